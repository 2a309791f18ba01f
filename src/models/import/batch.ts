import { listOf } from '../../graph/attributes.js';
import type { Dim, Node, Shape, Value } from '../../graph/graph.js';
import { elementwiseRules } from '../../graph/inference/elementwise.js';
import { windowRules } from '../../graph/inference/windows.js';
import { reshapeTarget } from '../../graph/passes/fold.js';

/** A node that does not fit the sizes around it: the file may be read in another way. */
export class NodeError extends Error {
  /** How many choices had been made when it did not fit. */
  readonly decided: number | undefined;

  constructor(message: string, { decided, ...options }: ErrorOptions & { readonly decided?: number | undefined } = {}) {
    super(message, options);
    this.decided = decided;
  }
}

/** Ways in which the same file is read, tried in order of likelihood, each choice at its first use. */
export class Choices {
  readonly #taken: { readonly key: string; option: number; readonly count: number }[] = [];

  get decided(): number {
    return this.#taken.length;
  }

  /** Which of `count` options is taken wherever `key` occurs. */
  option(key: string, count: number): number {
    const known = this.#taken.find((choice) => choice.key === key);
    if (known) return known.option;
    this.#taken.push({ key, option: 0, count });
    return 0;
  }

  /** Changes the last of the first `decided` choices that has an option left; false when none has. */
  advance(decided = this.#taken.length): boolean {
    this.#taken.length = Math.min(decided, this.#taken.length);
    for (let last = this.#taken.at(-1); last; last = this.#taken.at(-1)) {
      if (++last.option < last.count) return true;
      this.#taken.pop();
    }
    return false;
  }
}

/**
 * Where the images of a batch lie in a value: along which axis, and how many elements of this axis
 * belong to one step from image to image. In [N, 49, 32] as [49 N, 32] this is 49, in [49, N, 32] as
 * [49 N, 32] it is 1.
 */
interface Place {
  readonly axis: number;
  readonly inner: number;
  /** Elements of the axis for each image. */
  readonly each: number;
}

const product = (sizes: Shape): number => sizes.reduce<number>((a, b) => a * Number(b), 1);

/** How many elements of a size belong to each image: 1 of `N`, 49 of `49*N`; undefined without a batch. */
function eachOf(dim: Dim): number | undefined {
  if (typeof dim === 'number') return undefined;
  const found = /^(?:(\d+)\*)?N$/.exec(dim);
  if (!found) throw new Error(`a size of ${dim} joins the batch with something else`);
  return Number(found[1] ?? 1);
}

const transparent: ReadonlySet<string> = new Set([
  'Transpose',
  'Squeeze',
  'Unsqueeze',
  'Expand',
  'Tile',
  'Pad',
  'Slice',
]);
const along: Readonly<Record<string, number>> = {
  Softmax: -1,
  LogSoftmax: -1,
  Hardmax: -1,
  LpNormalization: -1,
  TopK: -1,
  ArgMax: 0,
  ArgMin: 0,
  Concat: 0,
  Split: 0,
  Gather: 0,
  GatherElements: 0,
  ScatterElements: 0,
};
/** Ops that work on each [C, ...] along the first axis by itself. */
const byImage: ReadonlySet<string> = new Set([
  ...windowRules.keys(),
  'InstanceNormalization',
  'GroupNormalization',
  'LRN',
  'MeanVarianceNormalization',
  'Resize',
  'DepthToSpace',
  'SpaceToDepth',
]);
/** What gives integers about sizes. */
const ofSizes: ReadonlySet<string> = new Set(['Shape', 'Size', 'ConstantOfShape', 'Range']);

/** Axes along which a node mixes the elements of its input `index`; undefined: not known. */
function mixedAxes(node: Node, inputs: readonly (Value | undefined)[], index: number): readonly number[] | undefined {
  const { op, attributes } = node;
  const rank = inputs[index]!.shape.length;
  const all = Array.from({ length: rank }, (_, axis) => axis);
  const positive = (axis: number): number => (axis < 0 ? axis + rank : axis);
  if (op === 'LayerNormalization') return all.slice(positive(Number(attributes['axis'] ?? -1)));
  const axis = along[op];
  if (axis !== undefined) return op === 'Gather' && index > 0 ? [] : [positive(Number(attributes['axis'] ?? axis))];
  if (op === 'CumSum' || op === 'Trilu' || op === 'ScatterND' || op === 'GatherND') return undefined;
  if (byImage.has(op)) return all.slice(1);
  if (op === 'MatMul') return [index === 0 || rank < 2 ? rank - 1 : rank - 2];
  if (op === 'Gemm') return index === 0 ? [attributes['transA'] === 1 ? 0 : 1] : index === 1 ? all : [];
  if (op.startsWith('Reduce')) return listOf(attributes, 'axes')?.map(positive) ?? (op === 'ReduceSum' ? [] : all);
  if (op === 'Einsum') return summedAxes(String(attributes['equation']), index);
  return transparent.has(op) || elementwiseRules.has(op) ? [] : undefined;
}

function summedAxes(equation: string, index: number): readonly number[] | undefined {
  const [from = '', to] = equation.replaceAll(' ', '').split('->');
  if (to === undefined || from.includes('.')) return undefined;
  return [...from.split(',')[index]!].flatMap((label, axis) => (to.includes(label) ? [] : [axis]));
}

/**
 * Reads a file that was exported for batches of `size` images as one for any number, `N`. It follows
 * where the images lie in each value and refuses every node that would mix them, so that what comes
 * out gives for many images what the file gives for each. In a batch of one, a Reshape may leave more
 * than one axis to the batch: `choices` says which, until one fits to the end.
 */
export class FreedBatch {
  readonly #inner = new Map<string, number>();

  constructor(
    readonly size: number,
    readonly choices: Choices,
  ) {}

  /** The shape that a value has in the file. */
  inFile(shape: Shape): number[] {
    return shape.map((dim) => (typeof dim === 'number' ? dim : (eachOf(dim) ?? 1) * this.size));
  }

  /** Throws for more than one axis with the batch in it. */
  placeOf({ name, shape }: Value): Place | undefined {
    const places = shape.flatMap((dim, axis) => {
      const each = eachOf(dim);
      return each === undefined ? [] : [{ axis, each, inner: this.#inner.get(name) ?? each }];
    });
    if (places.length > 1) throw new Error(`[${shape.join(', ')}] has the batch in it twice`);
    return places[0];
  }

  /**
   * The target of a Reshape that means for every batch what the file's target means for its own.
   * Undefined when there is none.
   */
  reshapeTarget(x: Value, target: readonly number[]): number[] | undefined {
    const place = this.placeOf(x);
    const resolved = resolve(this.inFile(x.shape), target);
    if (!place || !resolved) return undefined;
    // The images are `before` apart, counted in what lies before them in memory.
    const before = product(x.shape.slice(0, place.axis)) * (place.each / place.inner);
    const options = resolved.flatMap((dim, axis) => {
      const ahead = product(resolved.slice(0, axis));
      const fits = before % ahead === 0 && (ahead * dim) % (before * this.size) === 0;
      return fits ? [{ axis, dim, isLeading: ahead === before }] : [];
    });
    // An axis of its own, else the first part of an axis, else the last.
    const rank = ({ dim, isLeading }: (typeof options)[number]): number => (dim === this.size ? 0 : isLeading ? 1 : 2);
    options.sort((a, b) => rank(a) - rank(b));
    if (options.length === 0) return undefined;
    const key = `[${x.shape.join()}] by ${place.inner} to [${resolved.join()}]`;
    const chosen = options[options.length === 1 ? 0 : this.choices.option(key, options.length)]!;
    const each = chosen.dim / this.size;
    const open = resolved.map((dim, axis): Dim => (axis === chosen.axis ? (each === 1 ? 'N' : `${each}*N`) : dim));
    return reshapeTarget(open, x);
  }

  /** Notes where a node leaves the images. Throws when it mixes them or may do so. */
  follow(node: Node, inputs: readonly (Value | undefined)[], outputs: readonly Value[]): void {
    if (ofSizes.has(node.op)) return;
    const placed = inputs.flatMap((input, index) => {
      const place = input && this.placeOf(input);
      return place ? [{ input, index, place }] : [];
    });
    if (placed.length === 0) return;
    const isReshape = node.op === 'Reshape' || node.op === 'Flatten';
    if (!isReshape)
      for (const { index, place } of placed)
        if (mixedAxes(node, inputs, index)?.includes(place.axis) ?? true)
          throw new Error(`${node.op} works across the batch`);
    for (const output of outputs) {
      const place = this.placeOf(output);
      if (!place) throw new Error(`${node.op} loses the batch`);
      const inner = isReshape
        ? this.#innerOf(placed[0]!.input, placed[0]!.place, output, place)
        : this.#inherited(
            node,
            placed.map(({ place: from }) => from),
            place,
          );
      if (inner !== place.each) this.#inner.set(output.name, inner);
    }
  }

  /** After a Reshape the images lie where they lay in memory. */
  #innerOf(x: Value, from: Place, y: Value, to: Place): number {
    const before = product(x.shape.slice(0, from.axis)) * (from.each / from.inner);
    const outer = before / product(y.shape.slice(0, to.axis));
    if (!Number.isInteger(outer) || to.each % outer !== 0) throw new Error('a Reshape moves the batch');
    return to.each / outer;
  }

  #inherited(node: Node, from: readonly Place[], to: Place): number {
    const inner = from.find(({ each }) => each === to.each)?.inner;
    if (inner === undefined || from.some((place) => place.each !== to.each || place.inner !== inner))
      throw new Error(`${node.op} joins batches that are not in one order`);
    return inner;
  }
}

/** The target with its 0 and -1 replaced by the sizes they stand for. */
function resolve(sizes: readonly number[], target: readonly number[]): number[] | undefined {
  const out = target.map((dim, i) => (dim === 0 ? (sizes[i] ?? 0) : dim));
  const open = out.indexOf(-1);
  const total = product(sizes);
  if (open >= 0) out[open] = total / out.reduce((a, b, i) => (i === open ? a : a * b), 1);
  return product(out) === total && out.every(Number.isInteger) ? out : undefined;
}
