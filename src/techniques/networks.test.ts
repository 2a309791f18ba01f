import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Engine } from '../engine/engine.js';
import { createDnnlEngine } from '../engine/onednn/index.js';
import { createOrtEngine } from '../engine/ort/index.js';
import { createReferenceEngine } from '../engine/reference/index.js';
import { float32 } from '../tensor.js';
import { withoutDnnl } from '../testing/onednn.js';
import { tinyGroups, tinyModel, tinySize } from '../testing/tiny-model.js';
import { buildTrainingStep } from '../train/step.js';
import { objectiveOf, type TechniqueName } from './index.js';
import type { TechniqueOptions } from './technique.js';

/** Whole steps of a network in PyTorch, in double precision, with all that they leave behind. */
interface Training {
  readonly technique: TechniqueName;
  readonly settings: Partial<TechniqueOptions>;
  readonly batchSize: number;
  /** Images in a batch, of all views. */
  readonly rows: number;
  readonly lr: number;
  readonly momentum: number;
  readonly average: number;
  readonly initial: Readonly<Record<string, readonly number[]>>;
  readonly steps: readonly {
    readonly labels: readonly number[];
    readonly draws?: Readonly<Record<string, readonly number[]>>;
    readonly loss: number;
    readonly weight?: readonly number[];
    readonly state: Readonly<Record<string, readonly number[]>>;
    readonly average: Readonly<Record<string, readonly number[]>>;
    readonly memory: Readonly<Record<string, readonly number[]>>;
  }[];
}
const trainings = JSON.parse(
  readFileSync(new URL('../../fixtures/techniques/networks.json', import.meta.url), 'utf8'),
) as readonly Training[];

/** The images of fixtures/techniques/make.py. */
const pixelsOf = (step: number, rows: number): Uint8Array =>
  Uint8Array.from({ length: rows * 192 }, (_, at) => {
    const i = at % 192,
      row = Math.floor(at / 192);
    return (i * (row * 7 + 3) + Math.floor(i / 3) * (i % 3) + step * 29 + row * 31) % 256;
  });

/**
 * Trains as PyTorch did; the largest difference, relative to the largest of each tensor (or to 0.1:
 * the images' means are near zero, a difference of numbers that float32 rounds).
 */
async function largestDifference(engine: Engine, training: Training): Promise<number> {
  const { technique, settings, batchSize, rows, lr, momentum, average, initial, steps } = training;
  const base = tinyModel(),
    classes = 3;
  const parameters = new Map(
    [...base.parameters].map(([name, { dims }]) => [name, float32(dims, Float32Array.from(initial[name]!))]),
  );
  const step = buildTrainingStep(
    { ...base, parameters },
    {
      batchSize,
      groups: tinyGroups(base),
      optimizer: { name: 'sgd', momentum },
      seed: 1,
      objective: objectiveOf({ labelSmoothing: 0, ...settings, technique }),
      average: { decay: average },
    },
  );
  await engine.write(step.initialState);
  const program = await engine.compile(step.main.graph, { state: step.main.state });
  let largest = 0;
  const compare = (what: string, got: ArrayLike<number | bigint>, wanted: readonly number[]): void => {
    assert.equal(got.length, wanted.length, what);
    const scale = Math.max(...wanted.map(Math.abs), 0.1);
    wanted.forEach((value, i) => (largest = Math.max(largest, Math.abs(Number(got[i]) - value) / scale)));
  };
  for (const [i, expected] of steps.entries()) {
    const targets = expected.labels.flatMap((label) => [0, 1, 2].map((c) => Number(c === label)));
    const draws = Object.entries(expected.draws ?? {}).map(([name, values]) => [
      name,
      float32([batchSize, classes], values),
    ]);
    const outputs = await program.run({
      ...step.main.feeds({ step: i, microStep: 0, learningRate: lr, total: steps.length }),
      pixels: { dtype: 'uint8', dims: [rows, tinySize, tinySize, 3], data: pixelsOf(i, rows) },
      targets: float32([batchSize, classes], targets),
      ...(Object.fromEntries(draws) as Record<string, ReturnType<typeof float32>>),
    });
    compare('loss', outputs['loss']!.data, [expected.loss]);
    if (expected.weight) compare('weight', outputs['weight']!.data, expected.weight);
    const state = await engine.read([...step.initialState.keys()]);
    const entries = [
      ...Object.entries(expected.state),
      ...Object.entries(expected.average).map(([name, values]) => [`${name}@ema`, values] as const),
      ...Object.entries(expected.memory).map(([name, values]) => [`${technique}:${name}`, values] as const),
    ];
    for (const [name, values] of entries) compare(`${name} after step ${i}`, state.get(name)!.data, values);
  }
  await program.close();
  await engine.remove([...step.initialState.keys()]);
  return largest;
}

for (const [name, tolerance, skip, open] of [
  ['the reference in double precision', 3e-6, undefined, () => createReferenceEngine({ float64: true })],
  ['onnxruntime', 2e-5, undefined, () => createOrtEngine({ threads: 1 })],
  ['oneDNN', 2e-5, withoutDnnl || undefined, () => createDnnlEngine({ threads: 1, precision: 'f32' })],
] as const) {
  test(
    `weights, averages, running statistics and memory after some steps equal PyTorch's, on ${name}`,
    { skip },
    async (t) => {
      const engine = await open();
      try {
        for (const training of trainings) {
          const difference = await largestDifference(engine, training);
          t.diagnostic(`${training.technique}: ${difference.toExponential(1)}`);
          assert.ok(difference < tolerance, `${training.technique}: off by ${difference}`);
        }
      } finally {
        await engine.close();
      }
    },
  );
}
