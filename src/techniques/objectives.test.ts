import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { differentiate } from '../graph/autodiff.js';
import { GraphBuilder } from '../graph/builder.js';
import { evaluateGraph } from '../graph/evaluate.js';
import type { Graph, Value } from '../graph/graph.js';
import { float32, tensor, type Tensor } from '../tensor.js';
import type { Objective } from '../train/step.js';
import { flexibleThresholds } from './mask-observer.js';
import { resolveSettings, type Settings } from './settings.js';
import { meanOpinion } from './teacher.js';
import { techniques, type TechniqueName } from './technique.js';

/** One row of losses.json: a technique on one batch, or on several that follow one another. */
interface Case {
  readonly technique: TechniqueName;
  readonly about: string;
  readonly settings: Partial<Settings>;
  readonly classes: number;
  readonly batchSize: number;
  /** FlexMatch: what each image was last confidently predicted as, and the thresholds that follow. */
  readonly learned?: readonly number[];
  readonly thresholds?: readonly number[];
  /** SoftMatch: the running averages to begin with, where not the first ones. */
  readonly start?: Readonly<Record<string, readonly number[]>>;
  readonly steps: readonly {
    readonly logits: readonly number[]; readonly targets: readonly number[]; readonly teachers?: readonly number[][];
    readonly loss: number; readonly gradient: readonly number[];
    readonly weight?: readonly number[]; readonly memory?: Readonly<Record<string, readonly number[]>>;
  }[];
}
const cases = JSON.parse(readFileSync(new URL('../../tests/fixtures/techniques/losses.json', import.meta.url), 'utf8')) as readonly Case[];

const float64 = (dims: readonly number[], values: ArrayLike<number>): Tensor => tensor('float64', dims, Float64Array.from(values));

/** The loss of a technique as a graph whose network gives the fed `logits`, with their gradient. */
function lossGraph(objective: Objective, classes: number, batchSize: number, rows: number, letThrough = false): { graph: Graph; memory: Map<string, Tensor> } {
  const builder = new GraphBuilder('loss'), constants: Value[] = [];
  const logits = builder.input('logits', 'float32', [rows, classes]);
  const memory = new Map<string, Tensor>(), remembered = new Map<string, Value>();
  const { loss, observed = {} } = objective({
    builder, batchSize, classes, size: [1, 1],
    input: (name, dtype, dims) => builder.input(name, dtype, dims),
    scalar: () => assert.fail('no objective has a ramp'),
    forward: () => logits,
    detach: (value) => (letThrough || constants.push(value), value),
    memory: (name, initial) => (memory.set(name, initial), builder.input(name, initial.dtype, initial.dims)),
    remember: (name, value) => void remembered.set(name, value),
  });
  const [gradient] = differentiate(builder, loss, [logits], constants);
  const named = (name: string, value: Value): Value => builder.op('Identity', [value], {}, { name: `output ${name}`, outputNames: [name] });
  builder.outputs([
    named('loss', loss), named('gradient', gradient!), ...Object.entries(observed).map(([name, value]) => named(`observed:${name}`, value)),
    ...[...remembered].map(([name, value]) => named(`next:${name}`, value)),
  ]);
  return { graph: builder.build(), memory };
}

function assertClose(got: ArrayLike<number>, wanted: readonly number[], what: string, tolerance = 1e-6): void {
  assert.equal(got.length, wanted.length, what);
  const largest = Math.max(...wanted.map(Math.abs));
  wanted.forEach((value, i) => assert.ok(Math.abs(got[i]! - value) <= tolerance * largest, `${what} ${i}: ${got[i]}, PyTorch ${value}`));
}

const settingsOf = ({ settings }: Case): Settings => ({ ...resolveSettings(undefined, {}), labelSmoothing: 0, ...settings });

/** Rows of weak views: what a network says of them is a target. */
const weakRows = ({ technique, batchSize, settings, classes }: Case): readonly [number, number] => (technique === 'distillation' || technique === 'pseudo-labels' ? [0, 0]
  : [batchSize * classes, batchSize * (1 + settings.unlabelledRatio!) * classes]);

for (const row of cases) {
  const { technique, about, classes, batchSize, steps, thresholds } = row;
  test(`${technique}: ${about}: loss and gradient equal PyTorch's`, () => {
    const settings = settingsOf(row), rows = steps[0]!.logits.length / classes;
    const { graph, memory } = lossGraph(techniques[technique].objective(settings), classes, batchSize, rows);
    let state = Object.fromEntries([...memory].map(([name, { dims, data }]) => [name, float64(dims, row.start?.[name.replace('softmatch:', '')] ?? Array.from(data, Number))]));
    if (thresholds) assertClose(flexibleThresholds(row.learned!, classes, settings.threshold!), thresholds, 'thresholds');
    for (const { logits, targets, teachers, loss, gradient, weight, memory: expected = {} } of steps) {
      const outputs = evaluateGraph(graph, {
        ...state, logits: float64([rows, classes], logits), targets: float64([targets.length / classes, classes], targets),
        pixels: tensor('uint8', [rows, 1, 1, 3], new Uint8Array(rows * 3)),
        ...(thresholds && { thresholds: float64([classes], thresholds) }),
        ...(teachers && { teacher: teachers.length === 1 ? float64([rows, classes], teachers[0]!)
          : float32([rows, classes], meanOpinion(teachers.map((one) => Float32Array.from(one)), rows, settings.temperature!)) }),
      }, { float64: true });
      const numbers = (name: string): number[] => Array.from(outputs[name]!.data, Number);
      assertClose(numbers('loss'), [loss], 'loss');
      assertClose(numbers('gradient'), gradient, 'gradient');
      assert.ok(numbers('gradient').slice(...weakRows(row)).every((x) => x === 0), 'no gradient through the weak views');
      if (weight) assertClose(numbers('observed:weight'), weight, 'weight');
      for (const [name, values] of Object.entries(expected)) assertClose(numbers(`next:softmatch:${name}`), values, name);
      state = Object.fromEntries(Object.keys(state).map((name) => [name, outputs[`next:${name}`]!]));
    }
  });
}

test('what stops the gradient at the weak views is detach: without it SoftMatch would learn to be less sure', () => {
  const row = cases.find(({ technique, start }) => technique === 'softmatch' && start !== undefined)!;
  const { classes, batchSize, steps } = row, rows = steps[0]!.logits.length / classes;
  const { graph, memory } = lossGraph(techniques.softmatch.objective(settingsOf(row)), classes, batchSize, rows, true);
  const { gradient } = evaluateGraph(graph, {
    ...Object.fromEntries([...memory].map(([name, { dims }]) => [name, float32(dims, row.start![name.replace('softmatch:', '')]!)])),
    logits: float32([rows, classes], steps[0]!.logits), targets: float32([batchSize, classes], steps[0]!.targets),
    pixels: tensor('uint8', [rows, 1, 1, 3], new Uint8Array(rows * 3)),
  });
  assert.ok(Array.from(gradient!.data, Number).slice(...weakRows(row)).some((x) => x !== 0));
});
