import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { Engine } from '../engine/engine.js';
import { importFile } from '../models/import.js';
import type { Model } from '../models/model.js';
import { decodeOnnx } from '../onnx/index.js';
import { Random } from '../random.js';
import { float32, sizeOf, type FloatTensor, type Tensor } from '../tensor.js';
import { labelLoss, type Objective } from '../train/objective.js';
import { buildTrainingStep } from '../train/step.js';

/**
 * Reads `fixtures/compatibility`, trains what it describes and compares with PyTorch. The
 * formats are in its README.
 */
const folder = new URL('../../fixtures/compatibility/', import.meta.url);

interface Filled {
  readonly shape: readonly number[];
  readonly base: number;
  readonly scale: number;
}

export interface FixtureGraph {
  readonly file: string;
  readonly exporter: 'torchscript' | 'dynamo';
  readonly opset: number;
  /** `dynamic`: the batch has a name; `optimize`: by the exporter's own passes. */
  readonly options: readonly string[];
  readonly renamed: Readonly<Record<string, { readonly parameter: string; readonly permutation?: readonly number[] }>>;
}

interface Largest {
  readonly max: number;
  readonly parameter: string;
  readonly median: number;
}

export interface FixtureTarget {
  readonly steps: number;
  readonly lr: number;
  readonly momentum: number;
  readonly largestRms: number;
  readonly losses: readonly number[];
  readonly float32: {
    readonly full: Largest;
    readonly sampled: Largest;
    readonly gradient?: Largest;
    readonly spread: Readonly<Record<string, number>>;
  };
  readonly updates: Readonly<
    Record<
      string,
      { readonly norm: number; readonly samples: readonly number[]; readonly float32: readonly [number, number] }
    >
  >;
  readonly statistics?: Readonly<Record<string, { readonly norm: number; readonly samples: readonly number[] }>>;
}

export interface Fixture {
  readonly family: string;
  readonly model: string;
  readonly seed: number;
  readonly classes: number;
  readonly input: Filled;
  readonly labels: readonly number[];
  readonly batchNorm: boolean;
  readonly tensors: readonly (Filled & {
    readonly name: string;
    readonly kind: 'parameter' | 'running_mean' | 'running_var';
  })[];
  readonly graphs: readonly FixtureGraph[];
  readonly trained: FixtureTarget;
  readonly frozen: FixtureTarget;
}

/**
 * How far updates are from float64: the yardstick's largest value, its parameter and its median
 * over parameters.
 */
export interface Comparison extends Largest {
  /** PyTorch's own, in float32, over the same sampled entries. */
  readonly float32: Largest;
  /**
   * The same of -lr times the gradient, which is free of the rounding of p, after one step: ours
   * and PyTorch's in float32.
   */
  readonly gradient: (Largest & { readonly float32: Largest }) | undefined;
  /** Loss before the first step: ours, PyTorch's in float64. */
  readonly losses: readonly [number, number];
  /**
   * Largest relative error of a running mean or variance (norm of the samples), undefined where
   * nothing was compared.
   */
  readonly statistics: number | undefined;
  /** Of the steps, compiling excluded. */
  readonly seconds: number;
}

/**
 * PyTorch's own distance from float64 when it trains in bfloat16 (torch.autocast), by the order in
 * which it adds.
 */
type Bfloat16Target = Readonly<
  Record<string, { readonly updates: Largest; readonly gradient?: Largest; readonly losses: readonly number[] }>
>;

/**
 * Over those orders: the largest `max` and `median` of the updates, of the gradient where one step
 * was taken, and of the first loss's error.
 */
export interface Bfloat16Distance {
  readonly max: number;
  readonly median: number;
  readonly gradient: { readonly max: number; readonly median: number } | undefined;
  readonly loss: number;
}

const bfloat16 = JSON.parse(readFileSync(new URL('bfloat16.json', folder), 'utf8')) as {
  readonly made: { readonly torch: string };
  readonly families: Readonly<Record<string, Readonly<Record<'trained' | 'frozen', Bfloat16Target>>>>;
};

/** How far PyTorch's training in bfloat16 is from float64 on a fixture. */
export function bfloat16Distance(name: string, fixture: Fixture, mode: 'trained' | 'frozen'): Bfloat16Distance {
  const found = Object.values(bfloat16.families[name]![mode]);
  const most = (of: (entry: (typeof found)[number]) => number): number => Math.max(...found.map(of));
  return {
    max: most(({ updates }) => updates.max),
    median: most(({ updates }) => updates.median),
    gradient: found[0]!.gradient && {
      max: most(({ gradient }) => gradient!.max),
      median: most(({ gradient }) => gradient!.median),
    },
    loss: most(({ losses }) => Math.abs(losses[0]! - fixture[mode].losses[0]!)),
  };
}

/** Names of the families that have a fixture. */
export const fixtureNames = (): string[] =>
  readdirSync(folder)
    .filter((file) => file.endsWith('.json.gz'))
    .map((file) => file.slice(0, -'.json.gz'.length))
    .sort();

/** A family's fixture. */
export const readFixture = (name: string): Fixture =>
  JSON.parse(gunzipSync(readFileSync(new URL(`${name}.json.gz`, folder))).toString()) as Fixture;

/** base + scale * (2 u - 1), u from the stream of that name, rounded once. */
function filled({ shape, base, scale }: Filled, seed: number, name: string): Float32Array {
  const random = new Random(seed, 'compatibility', name);
  const data = new Float32Array(sizeOf(shape));
  for (let i = 0; i < data.length; i++) data[i] = base + scale * (2 * random.uniform() - 1);
  return data;
}

/**
 * For each element of `transpose(permutation)` of a tensor of `shape`, the element it comes from.
 */
function sourceIndices(shape: readonly number[], permutation: readonly number[]): Int32Array {
  const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
  let indices = Int32Array.of(0);
  for (const axis of permutation) {
    const next = new Int32Array(indices.length * shape[axis]!);
    for (let i = 0, k = 0; i < indices.length; i++)
      for (let j = 0; j < shape[axis]!; j++) next[k++] = indices[i]! + j * strides[axis]!;
    indices = next;
  }
  return indices;
}

/** Where element `index` of a tensor of `shape` stands in its `transpose(permutation)`. */
const permutedIndex = (index: number, shape: readonly number[], permutation: readonly number[]): number =>
  permutation.reduce(
    (position, axis) => position * shape[axis]! + (Math.floor(index / sizeOf(shape.slice(axis + 1))) % shape[axis]!),
    0,
  );

/** A fixture's graph, filled and imported. */
export interface LoadedGraph {
  readonly fixture: Fixture;
  readonly graph: FixtureGraph;
  readonly model: Model;
  /** Parameter of the model -> PyTorch's name. */
  readonly names: ReadonlyMap<string, string>;
}

/** Fills and imports a graph. Throws when the imported model lacks a parameter. */
export function loadGraph(fixture: Fixture, graph: FixtureGraph): LoadedGraph {
  const tensors = new Map(fixture.tensors.map((entry) => [entry.name, entry]));
  const file = decodeOnnx(gunzipSync(readFileSync(new URL(graph.file, folder))), {
    name: graph.file,
    external(location) {
      const { parameter, permutation } = graph.renamed[location] ?? { parameter: location, permutation: undefined };
      const entry = tensors.get(parameter);
      if (!entry) throw new Error(`${graph.file}: nothing known of ${location}`);
      const values = filled(entry, fixture.seed, parameter);
      return new Uint8Array(
        (permutation ? Float32Array.from(sourceIndices(entry.shape, permutation), (i) => values[i]!) : values).buffer,
      );
    },
  });
  const { model, origins } = importFile(file, graph.file);
  const names = new Map([...origins].map(([name, origin]) => [name, graph.renamed[origin]?.parameter ?? origin]));
  const found = new Set(names.values());
  const missing = fixture.tensors.filter(({ name }) => !found.has(name)).map(({ name }) => name);
  if (missing.length > 0)
    throw new Error(
      `${graph.file}: the imported model lacks ${missing.slice(0, 5).join(', ')}${missing.length > 5 ? '...' : ''}`,
    );
  // The images come normalised already: (255 x / 255 - 0) / 1.
  const preprocessing = { ...model.preprocessing, mean: [0, 0, 0] as const, std: [1 / 255, 1 / 255, 1 / 255] as const };
  return { fixture, graph, model: { ...model, preprocessing }, names };
}

/** Images as floats, channels last as a training step wants them; labels as one-hot rows. */
function batchOf(fixture: Fixture): Record<'pixels' | 'targets', FloatTensor> {
  const [count, channels, height, width] = fixture.input.shape as [number, number, number, number];
  const images = filled(fixture.input, fixture.seed, 'input');
  const order = sourceIndices(fixture.input.shape, [0, 2, 3, 1]);
  return {
    pixels: float32(
      [count, height, width, channels],
      Float32Array.from(order, (i) => images[i]!),
    ),
    targets: float32(
      [count, fixture.classes],
      fixture.labels.flatMap((label) => Array.from({ length: fixture.classes }, (_, i) => (i === label ? 1 : 0))),
    ),
  };
}

/** Mean cross-entropy of images that are floats. */
const objective: Objective = ({ math: m, batchSize, classes, size, input, forward }) => {
  const logits = forward(input('pixels', 'float32', [batchSize, ...size, 3]));
  const targets = input('targets', 'float32', [batchSize, classes]);
  return { loss: labelLoss(m, logits, targets, {}) };
};

/** Which entries of a tensor were recorded. */
function sampled(fixture: Fixture, name: string, size: number, count: number): number[] {
  if (size <= count) return Array.from({ length: size }, (_, i) => i);
  const random = new Random(fixture.seed, 'compatibility', 'samples', name);
  return Array.from({ length: count }, () => random.integer(size));
}

const norm = (values: readonly number[]): number => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));

/**
 * Trains a fixture's graph as it says and compares every parameter's update with PyTorch's in
 * float64:
 * |u - u64| / (|u64| + 1e-3 R sqrt(n)) over the n sampled entries, R the largest per-element rms
 * update of a parameter.
 */
export async function compare(
  engine: Engine,
  { fixture, graph, model, names }: LoadedGraph,
  mode: 'trained' | 'frozen',
): Promise<Comparison> {
  const target = fixture[mode];
  const parameters = [...model.parameters.keys()].filter((name) => !model.statistics.has(name));
  const step = buildTrainingStep(model, {
    batchSize: fixture.input.shape[0]!,
    seed: 0,
    objective,
    dropout: 0,
    size: [fixture.input.shape[2]!, fixture.input.shape[3]!],
    groups: [{ name: 'all', parameters, lrScale: 1, weightDecay: 0, frozen: false }],
    optimizer: { name: 'sgd', momentum: target.momentum, nesterov: false },
    batchNormalization: mode === 'trained' ? 'train' : 'frozen',
  });
  await engine.write(step.initialState);
  const program = await engine.compile(step.main.graph, { state: step.main.state });
  const batch = batchOf(fixture);
  let loss = NaN;
  const start = performance.now();
  for (let i = 0; i < target.steps; i++) {
    const outputs = await program.run({
      ...step.main.feeds({ step: i, microStep: 0, learningRate: target.lr, total: target.steps }),
      ...batch,
    });
    if (i === 0) loss = Number(outputs['loss']!.data[0]);
  }
  const seconds = (performance.now() - start) / 1000;
  await program.close();

  const after = await engine.read([...step.initialState.keys()]);
  await engine.remove([...step.initialState.keys()]);
  const layouts = new Map(Object.values(graph.renamed).map(({ parameter, permutation }) => [parameter, permutation]));
  const shapes = new Map(fixture.tensors.map(({ name, shape }) => [name, shape]));
  /** Sampled entries of a tensor of the model, in PyTorch's layout. */
  const entries = (t: Tensor, name: string, count: number): number[] => {
    const data = t.data as Float32Array;
    const permutation = layouts.get(name);
    if (!permutation) return sampled(fixture, name, data.length, count).map((i) => data[i]!);
    return sampled(fixture, name, data.length, count).map(
      (i) => data[permutedIndex(i, shapes.get(name)!, permutation)]!,
    );
  };
  const updates = new Map<string, number>(),
    gradients = new Map<string, number>();
  let statistics: number | undefined;
  for (const [own, name] of names) {
    const [now, before] = [after.get(own)!, model.parameters.get(own)!];
    const update = target.updates[name];
    if (update) {
      const scale = norm(update.samples) + 1e-3 * target.largestRms * Math.sqrt(update.samples.length);
      const [a, b] = [entries(now, name, 64), entries(before, name, 64)];
      updates.set(name, norm(a.map((x, i) => x - b[i]! - update.samples[i]!)) / scale);
      const slot = after.get(`${own}@momentum`);
      const gradient = slot ? entries(slot, name, 64) : update.samples.map(() => 0);
      gradients.set(name, norm(gradient.map((x, i) => -target.lr * x - update.samples[i]!)) / scale);
    }
    const statistic = target.statistics?.[name];
    if (statistic) {
      const error = norm(entries(now, name, 8).map((x, i) => x - statistic.samples[i]!)) / norm(statistic.samples);
      statistics = Math.max(statistics ?? 0, error);
    }
  }
  const exact = target.float32.gradient;
  return {
    ...largest(updates),
    float32: target.float32.sampled,
    statistics,
    seconds,
    losses: [loss, target.losses[0]!],
    gradient: exact && { ...largest(gradients), float32: exact },
  };
}

function largest(values: ReadonlyMap<string, number>): Largest {
  const sorted = [...values.values()].sort((a, b) => a - b);
  const [parameter, max] = [...values].reduce((best, entry) =>
    entry[1] > best[1] || Number.isNaN(entry[1]) ? entry : best,
  );
  const middle = sorted.length / 2;
  return { max, parameter, median: (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2 };
}
