import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { evaluateGraph } from '../graph/evaluate.js';
import { float32, type Tensor } from '../tensor.js';
import { refused } from '../testing/kit.js';
import { createOptimizer, optimizerNames, type OptimizerOptions } from './optimizers.js';
import { ProgramBuilder, type StepProgram } from './program.js';
import { averageDecay, chain, descend, scaleByLearningRate } from './transforms.js';

interface Fixture {
  readonly optimizers: {
    readonly start: Record<string, number[]>;
    readonly shapes: Record<string, number[]>;
    readonly rates: number[];
    readonly gradients: Record<string, number[]>[];
    readonly cases: Record<
      string,
      { options: OptimizerOptions & { weightDecay?: number }; trajectory: Record<string, number[]>[] }
    >;
  };
  readonly averages: Record<string, number[][]>;
}
const fixture = JSON.parse(
  readFileSync(new URL('../../fixtures/train/torch.json', import.meta.url), 'utf8'),
) as Fixture;
const { shapes, start, rates, gradients, cases } = fixture.optimizers;

/** A program that updates parameters from gradients that are fed as `NAME!gradient`. */
function optimizerProgram(
  options: OptimizerOptions,
  parameters: Record<string, { dims: number[]; weightDecay: number }>,
  initial: Map<string, Tensor>,
): StepProgram {
  const program = new ProgramBuilder('optimizer', 0, initial);
  const list = Object.entries(parameters).map(([name, { weightDecay }]) => ({ name, group: name, weightDecay }));
  const updates = new Map(
    Object.entries(parameters).map(([name, { dims }]) => [name, program.input(`${name}!gradient`, 'float32', dims)]),
  );
  const final = chain(
    createOptimizer(options),
    scaleByLearningRate(() => 1),
    descend(),
  )(updates, program.transforming(list));
  for (const [name, value] of final) program.set(name, value);
  return program.finish({});
}

/** Runs a program once on a store, as an engine would. */
function run(program: StepProgram, store: Map<string, Tensor>, feeds: Record<string, Tensor>): Record<string, Tensor> {
  const inputs = Object.fromEntries(Object.keys(program.state).map((name) => [name, store.get(name)!]));
  const outputs = evaluateGraph(program.graph, { ...inputs, ...feeds });
  for (const [name, output] of Object.entries(program.state)) if (output) store.set(name, outputs[output]!);
  return outputs;
}

for (const [name, { options, trajectory }] of Object.entries(cases)) {
  test(`optimizers: ${name} follows PyTorch`, () => {
    const store = new Map<string, Tensor>(
      Object.entries(start).map(([key, values]) => [key, float32(shapes[key]!, values)]),
    );
    const parameters = Object.fromEntries(
      Object.entries(shapes).map(([key, dims]) => [
        key,
        { dims, weightDecay: key === 'w' ? (options.weightDecay ?? 0) : 0 },
      ]),
    );
    const program = optimizerProgram(options, parameters, store);
    gradients.forEach((gradient, step) => {
      const at = { step, microStep: 0, learningRate: rates[step]!, total: 100 };
      run(program, store, {
        ...program.feeds(at),
        ...Object.fromEntries(
          Object.entries(gradient).map(([key, values]) => [`${key}!gradient`, float32(shapes[key]!, values)]),
        ),
      });
      for (const [key, expected] of Object.entries(trajectory[step]!)) {
        (store.get(key)!.data as Float32Array).forEach((x, i) =>
          assert.ok(
            Math.abs(x - expected[i]!) < 2e-6 * (1 + Math.abs(expected[i]!)),
            `${key}[${i}] after step ${step}: ${x}, PyTorch ${expected[i]}`,
          ),
        );
      }
    });
  });
}

test('optimizers: every one goes down a narrow valley, with one graph', () => {
  for (const name of optimizerNames) {
    const store = new Map<string, Tensor>([['w', float32([2], [3, -2])]]);
    const program = optimizerProgram({ name }, { w: { dims: [2], weightDecay: 0 } }, store);
    const loss = (): number => {
      const [a, b] = store.get('w')!.data as Float32Array;
      return 0.5 * (a! * a! + 20 * b! * b!);
    };
    const before = loss();
    for (let step = 0; step < 150; step++) {
      const [a, b] = store.get('w')!.data as Float32Array;
      const learningRate = (name === 'sgd' ? 0.01 : 0.1) * (1 - step / 150);
      run(program, store, {
        ...program.feeds({ step, microStep: 0, learningRate, total: 100 }),
        'w!gradient': float32([2], [a!, 20 * b!]),
      });
    }
    assert.ok(loss() < 1e-2 * before, `${name}: ${before} to ${loss()}`);
  }
});

test('optimizers: slots are named after the parameter', () => {
  const slots = (options: OptimizerOptions): string[] => {
    const store = new Map<string, Tensor>([['w', float32([1], [0])]]);
    optimizerProgram(options, { w: { dims: [1], weightDecay: 0.1 } }, store);
    return [...store.keys()].sort();
  };
  assert.deepEqual(slots({ name: 'sgd' }), ['w', 'w@momentum']);
  assert.deepEqual(slots({ name: 'sgd', momentum: 0 }), ['w']);
  assert.deepEqual(slots({ name: 'adamw' }), ['w', 'w@exp_avg', 'w@exp_avg_sq']);
});

test('optimizers: clipping leaves small gradients alone and scales large ones to the limit', () => {
  for (const [scale, expected] of [
    [0.01, 0.05],
    [10, 1],
  ] as const) {
    const store = new Map<string, Tensor>([
      ['a', float32([1], [0])],
      ['b', float32([2], [0, 0])],
    ]);
    const program = optimizerProgram(
      { name: 'sgd', momentum: 0, clip: 1 },
      { a: { dims: [1], weightDecay: 0 }, b: { dims: [2], weightDecay: 0 } },
      store,
    );
    run(program, store, {
      ...program.feeds({ step: 0, microStep: 0, learningRate: 1, total: 1 }),
      'a!gradient': float32([1], [3 * scale]),
      'b!gradient': float32([2], [0, 4 * scale]),
    });
    const norm = Math.hypot(store.get('a')!.data[0] as number, ...(store.get('b')!.data as Float32Array));
    assert.ok(Math.abs(norm - expected) < 1e-5, `${norm}`);
  }
});

test('optimizers: the average of weights follows timm', () => {
  for (const [name, rows] of Object.entries(fixture.averages)) {
    let average = [0, 0, 0];
    rows.forEach((row, i) => {
      // The fixture's averages begin with zeros, one update after the first copy.
      const decay = averageDecay(i + 1, 0.9, name === 'warm-up');
      const weights = [i + 1, -(i + 1), (i + 1) ** 2];
      average = average.map((a, j) => decay * a + (1 - decay) * weights[j]!);
      row.forEach((x, j) =>
        assert.ok(
          Math.abs(x - average[j]!) < 1e-5 * (1 + Math.abs(x)),
          `${name} ${i}: ${average.join()} and ${row.join()}`,
        ),
      );
    });
  }
  assert.equal(averageDecay(0, 0.9), 0);
});

test('optimizers: wrong values are refused', () => {
  const refuses = (options: unknown, pattern: RegExp): void =>
    assert.throws(() => createOptimizer(options as OptimizerOptions), refused('usage', pattern));
  refuses({ name: 'sdg' }, /"sdg": unknown; give one of sgd, adam, adamw/);
  refuses({ name: 'sgd', momentum: 1 }, /momentum 1/);
  refuses({ name: 'sgd', clip: 0 }, /clipping/);
});
