import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createOrtEngine } from '../engine/ort/index.js';
import { differentiate } from '../graph/autodiff.js';
import { GraphBuilder } from '../graph/builder.js';
import { evaluateGraph } from '../graph/evaluate.js';
import type { Graph, Value } from '../graph/graph.js';
import { math } from '../graph/math.js';
import { float32, tensor, type Tensor } from '../tensor.js';
import { runProfiled, withoutDnnl } from '../testing/onednn.js';
import type { Objective } from '../train/objective.js';
import { flexibleThresholds } from './flexmatch.js';
import { objectiveOf, type TechniqueName } from './index.js';
import { resolveSettings, type Settings } from '../runs/resolve.js';
import { meanOpinion } from './teacher.js';

/** One row of losses.json: a technique on one batch, or on several that follow one another. */
interface Case {
  readonly technique: TechniqueName;
  readonly about: string;
  readonly settings: Partial<Settings>;
  readonly classes: number;
  readonly batchSize: number;
  /**
   * FlexMatch: what each image was last confidently predicted as, and the thresholds that follow.
   */
  readonly learned?: readonly number[];
  readonly thresholds?: readonly number[];
  /** SoftMatch: the running averages to begin with, where not the first ones. */
  readonly start?: Readonly<Record<string, readonly number[]>>;
  readonly steps: readonly {
    readonly logits: readonly number[];
    readonly targets: readonly number[];
    readonly teachers?: readonly number[][];
    readonly loss: number;
    readonly gradient: readonly number[];
    readonly weight?: readonly number[];
    readonly memory?: Readonly<Record<string, readonly number[]>>;
  }[];
}
const cases = JSON.parse(
  readFileSync(new URL('../../fixtures/techniques/losses.json', import.meta.url), 'utf8'),
) as readonly Case[];

const float64 = (dims: readonly number[], values: Iterable<number> & ArrayLike<number>): Tensor =>
  tensor('float64', dims, Float64Array.from(values));

/** The loss of a technique as a graph whose network gives the fed `logits`, with their gradient. */
function lossGraph(
  objective: Objective,
  classes: number,
  batchSize: number,
  rows: number,
  letThrough = false,
): { graph: Graph; memory: Map<string, Tensor> } {
  const builder = new GraphBuilder('loss'),
    constants: Value[] = [];
  const logits = builder.input('logits', 'float32', [rows, classes]);
  const memory = new Map<string, Tensor>(),
    remembered = new Map<string, Value>();
  const { loss, observed = {} } = objective({
    math: math(builder),
    batchSize,
    classes,
    size: [1, 1],
    input: (name, dtype, dims) => builder.input(name, dtype, dims),
    scalar: () => assert.fail('no objective has a ramp'),
    uniform: () => assert.fail('no objective draws'),
    forward: () => logits,
    detach: (value) => (letThrough || constants.push(value), value),
    memory: (name, initial) => (memory.set(name, initial), builder.input(name, initial.dtype, initial.dims)),
    remember: (name, value) => void remembered.set(name, value),
  });
  const [gradient] = differentiate(builder, loss, [logits], constants);
  const named = (name: string, value: Value): Value =>
    builder.op('Identity', [value], {}, { name: `output ${name}`, outputNames: [name] });
  builder.outputs([
    named('loss', loss),
    named('gradient', gradient!),
    ...Object.entries(observed).map(([name, value]) => named(`observed:${name}`, value)),
    ...[...remembered].map(([name, value]) => named(`next:${name}`, value)),
  ]);
  return { graph: builder.build(), memory };
}

function assertClose(got: ArrayLike<number>, wanted: readonly number[], what: string, tolerance: number): void {
  assert.equal(got.length, wanted.length, what);
  const largest = Math.max(...wanted.map(Math.abs));
  wanted.forEach((value, i) =>
    assert.ok(Math.abs(got[i]! - value) <= tolerance * largest, `${what} ${i}: ${got[i]}, PyTorch ${value}`),
  );
}

const settingsOf = ({ settings }: Case): Settings => ({
  ...resolveSettings(undefined, {}),
  labelSmoothing: 0,
  ...settings,
});

/** Rows of weak views: what a network says of them is a target. */
const weakRows = ({ technique, batchSize, settings, classes }: Case): readonly [number, number] =>
  technique === 'distillation' || technique === 'pseudo-labels'
    ? [0, 0]
    : [batchSize * classes, batchSize * (1 + settings.unlabelledRatio!) * classes];

/** Holds a case to PyTorch's numbers; `run` computes a graph from inputs that `make` has made. */
async function hold(
  row: Case,
  make: typeof float64,
  run: (graph: Graph, feeds: Readonly<Record<string, Tensor>>) => Promise<Readonly<Record<string, Tensor>>>,
  tolerance: number,
  lossTolerance = tolerance,
): Promise<void> {
  const { technique, classes, batchSize, steps, thresholds, start } = row;
  const settings = settingsOf(row),
    rows = steps[0]!.logits.length / classes;
  const { graph, memory } = lossGraph(objectiveOf({ ...settings, technique }), classes, batchSize, rows);
  let state = Object.fromEntries(
    [...memory].map(([name, { dims, data }]) => [
      name,
      make(dims, start?.[name.replace('softmatch:', '')] ?? Array.from(data, Number)),
    ]),
  );
  if (thresholds)
    assertClose(flexibleThresholds(row.learned!, classes, settings.threshold!), thresholds, 'thresholds', 1e-6);
  for (const { logits, targets, teachers, loss, gradient, weight, memory: expected = {} } of steps) {
    const outputs = await run(graph, {
      ...state,
      logits: make([rows, classes], logits),
      targets: make([targets.length / classes, classes], targets),
      pixels: tensor('uint8', [rows, 1, 1, 3], new Uint8Array(rows * 3)),
      ...(thresholds && { thresholds: make([classes], thresholds) }),
      ...(teachers && {
        teacher: make(
          [rows, classes],
          teachers.length === 1
            ? teachers[0]!
            : meanOpinion(
                teachers.map((one) => Float32Array.from(one)),
                rows,
                settings.temperature!,
              ),
        ),
      }),
    });
    const numbers = (name: string): number[] => Array.from(outputs[name]!.data, Number);
    const close = (name: string, wanted: readonly number[], within = tolerance): void =>
      assertClose(numbers(name), wanted, `${technique}, ${row.about}: ${name}`, within);
    close('loss', [loss], lossTolerance);
    close('gradient', gradient);
    assert.ok(
      numbers('gradient')
        .slice(...weakRows(row))
        .every((x) => x === 0),
      'no gradient through the weak views',
    );
    if (weight) close('observed:weight', weight);
    for (const [name, values] of Object.entries(expected)) close(`next:softmatch:${name}`, values);
    state = Object.fromEntries(Object.keys(state).map((name) => [name, outputs[`next:${name}`]!]));
  }
}

for (const row of cases) {
  test(`${row.technique}: ${row.about}: loss and gradient equal PyTorch's`, () =>
    hold(row, float64, async (graph, feeds) => evaluateGraph(graph, feeds, { float64: true }), 1e-6));
}

test('onnxruntime computes the same in single precision', async () => {
  const engine = await createOrtEngine({ threads: 1 });
  try {
    for (const row of cases) {
      await hold(
        row,
        float32,
        async (graph, feeds) => {
          const program = await engine.compile(graph),
            outputs = await program.run(feeds);
          await program.close();
          return outputs;
        },
        1e-5,
      );
    }
  } finally {
    await engine.close();
  }
});

// At a high temperature the loss is T^2 times a small difference of logarithms, which its
// exponential gives to about 1e-6; gradients do not suffer.
test('oneDNN computes the same in single precision', { skip: withoutDnnl }, async () => {
  for (const row of cases)
    await hold(row, float32, async (graph, feeds) => runProfiled(graph, feeds).outputs, 2e-5, 5e-4);
});

test('what stops the gradient at the weak views is detach: without it SoftMatch would learn to be less sure', () => {
  const row = cases.find(({ technique, start }) => technique === 'softmatch' && start !== undefined)!;
  const { classes, batchSize, steps } = row,
    rows = steps[0]!.logits.length / classes;
  const { graph, memory } = lossGraph(
    objectiveOf({ ...settingsOf(row), technique: 'softmatch' }),
    classes,
    batchSize,
    rows,
    true,
  );
  const { gradient } = evaluateGraph(graph, {
    ...Object.fromEntries(
      [...memory].map(([name, { dims }]) => [name, float32(dims, row.start![name.replace('softmatch:', '')]!)]),
    ),
    logits: float32([rows, classes], steps[0]!.logits),
    targets: float32([batchSize, classes], steps[0]!.targets),
    pixels: tensor('uint8', [rows, 1, 1, 3], new Uint8Array(rows * 3)),
  });
  assert.ok(
    Array.from(gradient!.data, Number)
      .slice(...weakRows(row))
      .some((x) => x !== 0),
  );
});
