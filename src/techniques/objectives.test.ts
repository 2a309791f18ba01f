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
import type { ScalarRule } from '../train/transforms.js';
import { flexibleThresholds } from './flexmatch.js';
import { objectiveOf, techniques, type TechniqueName } from './index.js';
import { meanOpinion } from './teacher.js';
import { countOf, type TechniqueOptions } from './technique.js';

/** One row of losses.json: a technique on one batch, or on several that follow one another. */
interface Case {
  readonly technique: TechniqueName;
  readonly about: string;
  readonly settings: Partial<TechniqueOptions>;
  readonly classes: number;
  readonly batchSize: number;
  /**
   * FlexMatch: what each image was last confidently predicted as, and the thresholds that follow.
   */
  readonly learned?: readonly number[];
  readonly thresholds?: readonly number[];
  /** The running averages to begin with, where not the first ones. */
  readonly start?: Readonly<Record<string, readonly number[]>>;
  /** Steps in all, where something rises with them. */
  readonly total?: number;
  readonly steps: readonly {
    readonly logits: readonly number[];
    readonly gradient: readonly number[];
    /** Logits of further passes; through an average of the weights no gradient goes. */
    readonly passes?: readonly { readonly logits: readonly number[]; readonly gradient?: readonly number[] }[];
    /** What the objective draws. */
    readonly draws?: Readonly<Record<string, readonly number[]>>;
    readonly targets: readonly number[];
    readonly teachers?: readonly number[][];
    readonly loss: number;
    readonly weight?: readonly number[];
    readonly memory?: Readonly<Record<string, readonly number[]>>;
  }[];
}
const cases = JSON.parse(
  readFileSync(new URL('../../fixtures/techniques/losses.json', import.meta.url), 'utf8'),
) as readonly Case[];

const float64 = (dims: readonly number[], values: Iterable<number> & ArrayLike<number>): Tensor =>
  tensor('float64', dims, Float64Array.from(values));

/** The loss of a technique as a graph of what its passes through a network give. */
interface LossGraph {
  readonly graph: Graph;
  /** What it remembers, as it begins. */
  readonly memory: ReadonlyMap<string, Tensor>;
  /** Its scalar inputs. */
  readonly scalars: ReadonlyMap<string, ScalarRule>;
}

/**
 * Inputs `logits`, `logits 2`... for each pass, outputs `loss`, `gradient`, `gradient 2`... of those
 * that have one, `observed:NAME` and `next:NAME`.
 */
function lossGraph({ technique, classes, batchSize, settings }: Case, letThrough = false): LossGraph {
  const builder = new GraphBuilder('loss'),
    constants: Value[] = [],
    passes: { readonly logits: Value; readonly isCurrent: boolean }[] = [];
  const memory = new Map<string, Tensor>(),
    remembered = new Map<string, Value>(),
    scalars = new Map<string, ScalarRule>();
  /** The second of two passes is `NAME 2`. */
  const numbered = (name: string, i: number): string => (i === 0 ? name : `${name} ${i + 1}`);
  const declared = (name: string, dims: readonly number[]): Value =>
    builder.has(name) ? builder.value(name) : builder.input(name, 'float32', dims);
  const { loss, observed = {} } = objectiveOf({ labelSmoothing: 0, ...settings, technique })({
    math: math(builder),
    batchSize,
    classes,
    size: [1, 1],
    input: (name, dtype, dims) => builder.input(name, dtype, dims),
    scalar: (name, rule) => (scalars.set(name, rule), declared(name, [])),
    uniform: (name, dims) => builder.input(name, 'float32', dims),
    forward: (pixels, { weights } = {}) => {
      const logits = builder.input(numbered('logits', passes.length), 'float32', [pixels.shape[0] as number, classes]);
      passes.push({ logits, isCurrent: weights !== 'averaged' });
      return logits;
    },
    detach: (value) => (letThrough || constants.push(value), value),
    memory: (name, initial) => (memory.set(name, initial), declared(name, initial.dims)),
    remember: (name, value) => void remembered.set(name, value),
    ranks: 1,
    meanOverRanks: (value) => value,
  });
  const own = passes.flatMap(({ logits, isCurrent }) => (isCurrent ? [logits] : []));
  const gradients = differentiate(builder, loss, own, constants);
  const named = (name: string, value: Value): Value =>
    builder.op('Identity', [value], {}, { name: `output ${name}`, outputNames: [name] });
  builder.outputs([
    named('loss', loss),
    ...gradients.flatMap((gradient, i) => (gradient ? [named(numbered('gradient', i), gradient)] : [])),
    ...Object.entries(observed).map(([name, value]) => named(`observed:${name}`, value)),
    ...[...remembered].map(([name, value]) => named(`next:${name}`, value)),
  ]);
  return { graph: builder.build(), memory, scalars };
}

/** The memory of a case as it begins, as an engine takes it. */
const beginning = (
  { technique, start }: Case,
  { memory }: LossGraph,
  make: typeof float64,
): Readonly<Record<string, Tensor>> =>
  Object.fromEntries(
    [...memory].map(([name, { dims, data }]) => [
      name,
      make(dims, start?.[name.slice(`${technique}:`.length)] ?? Array.from(data, Number)),
    ]),
  );

function assertClose(got: ArrayLike<number>, wanted: readonly number[], what: string, tolerance: number): void {
  assert.equal(got.length, wanted.length, what);
  const largest = Math.max(...wanted.map(Math.abs));
  wanted.forEach((value, i) =>
    assert.ok(Math.abs(got[i]! - value) <= tolerance * largest, `${what} ${i}: ${got[i]}, PyTorch ${value}`),
  );
}

/** Values of the logits of weak views: what a network says of them is a target. */
function weakLogits({ technique, batchSize, settings, classes }: Case): readonly [from: number, to: number] {
  const { views } = techniques[technique];
  // In a pass of their own they have no part in this gradient.
  if (settings.weakPass !== 'joint') return [0, 0];
  const at = views.findIndex(({ name }) => name === 'weak');
  const counts = views.map((view) => countOf(view, batchSize, settings.unlabelledRatio ?? 1) * classes);
  const from = counts.slice(0, Math.max(at, 0)).reduce((sum, count) => sum + count, 0);
  return [from, at < 0 ? from : from + counts[at]!];
}

/** What is fed in step `index` of a case, besides what it remembers. */
function feedsOf(row: Case, index: number, { scalars }: LossGraph, make: typeof float64): Record<string, Tensor> {
  const { technique, batchSize, classes, thresholds, total = row.steps.length, settings } = row;
  const { logits, targets, teachers, passes = [], draws = {} } = row.steps[index]!;
  const rows = logits.length / classes;
  const { views } = techniques[technique];
  const images = views.reduce((sum, view) => sum + countOf(view, batchSize, settings.unlabelledRatio ?? 1), 0);
  const table = (values: readonly number[]): Tensor => make([values.length / classes, classes], values);
  const feeds: Record<string, Tensor> = {
    logits: table(logits),
    targets: table(targets),
    pixels: tensor('uint8', [images, 1, 1, 3], new Uint8Array(images * 3)),
  };
  passes.forEach((pass, i) => (feeds[`logits ${i + 2}`] = table(pass.logits)));
  for (const [name, values] of Object.entries(draws)) feeds[name] = table(values);
  const position = { step: index, microStep: 0, learningRate: 1, total };
  for (const [name, rule] of scalars) feeds[name] = make([], [rule(position)]);
  if (thresholds) feeds['thresholds'] = make([classes], thresholds);
  if (teachers) {
    const several = (): Float32Array =>
      meanOpinion(
        teachers.map((one) => Float32Array.from(one)),
        rows,
        settings.temperature!,
      );
    feeds['teacher'] = make([rows, classes], teachers.length === 1 ? teachers[0]! : several());
  }
  return feeds;
}

/** Holds a case to PyTorch's numbers; `run` computes a graph from inputs that `make` has made. */
async function hold(
  row: Case,
  make: typeof float64,
  run: (graph: Graph, feeds: Readonly<Record<string, Tensor>>) => Promise<Readonly<Record<string, Tensor>>>,
  tolerance: number,
  lossTolerance = tolerance,
): Promise<void> {
  const { technique, classes, steps, thresholds, settings } = row;
  const built = lossGraph(row);
  let state = beginning(row, built, make);
  if (thresholds) {
    const most = settings.threshold === 'relative' ? 1 : settings.threshold!;
    assertClose(flexibleThresholds(row.learned!, classes, most), thresholds, 'thresholds', 1e-6);
  }
  for (const [index, { loss, gradient, passes = [], weight, memory = {} }] of steps.entries()) {
    const outputs = await run(built.graph, { ...feedsOf(row, index, built, make), ...state });
    const numbers = (name: string): number[] => Array.from(outputs[name]!.data, Number);
    const close = (name: string, wanted: readonly number[], within = tolerance): void =>
      assertClose(numbers(name), wanted, `${technique}, ${row.about}: ${name}`, within);
    close('loss', [loss], lossTolerance);
    close('gradient', gradient);
    passes.forEach((pass, i) => pass.gradient && close(`gradient ${i + 2}`, pass.gradient));
    const weak = numbers('gradient').slice(...weakLogits(row));
    assert.ok(
      weak.every((x) => x === 0),
      'no gradient through the weak views',
    );
    if (weight) close('observed:weight', weight);
    for (const [name, values] of Object.entries(memory)) close(`next:${technique}:${name}`, values);
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
  const built = lossGraph(row, true);
  const { gradient } = evaluateGraph(built.graph, {
    ...feedsOf(row, 0, built, float32),
    ...beginning(row, built, float32),
  });
  const weak = Array.from(gradient!.data, Number).slice(...weakLogits(row));
  assert.ok(weak.some((x) => x !== 0));
});

test('automatic running averages go with the number of steps, and forget at once what they began with', () => {
  const row = cases.find(({ technique }) => technique === 'softmatch')!;
  const built = lossGraph({ ...row, settings: { ...row.settings, runningDecay: 'auto' } });
  const at = (step: number, total: number): number[] =>
    [...built.scalars].map(([, rule]) => rule({ step, microStep: 0, learningRate: 1, total }));
  assert.deepEqual([...built.scalars.keys()], ['running:decay', 'running:rest']);
  assert.deepEqual(at(0, 250), [0.1, 0.9], 'the first batch counts nine tenths');
  assert.deepEqual(at(11, 250), [12 / 21, 1 - 12 / 21]);
  assert.deepEqual(at(500, 250), [0.98, 1 - 0.98], 'a fiftieth of 250 steps');
  assert.deepEqual(at(1e5, 1e6), [0.999, 1 - 0.999], 'never longer than in the papers');
  assert.deepEqual(at(2, 3), [0, 1], 'the batch alone, in a training of a few steps');
});
