import { listOf, numberOf } from '../../graph/attributes.js';
import type { Dim, Node, Value } from '../../graph/graph.js';
import type { Emitter } from './emitter.js';

/** Ops that put numbers elsewhere and leave them as they are; the first input is the data. */
const moves: ReadonlySet<string> = new Set([
  'Identity',
  // Some of the classes, or in another order: of scores and probabilities alike.
  'Slice',
  'Gather',
  'Reshape',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'Transpose',
  'Cast',
  'Dropout',
]);

export interface Behind {
  readonly scores: Value;
  /** Whether each class has a probability of its own, which do not sum to one. */
  readonly areIndependent: boolean;
}

/** Below, the logarithm of a probability is cut off: exp(-27.6). */
const least = 1e-12;

/**
 * The scores of a classifier whose output may be probabilities: `softmax` of them gives the
 * probabilities that the file gives. Judged by what the output is, whatever stands behind: reshapes,
 * Clip, the exponential of log-probabilities, a softmax written out, the mean of several
 * distributions, percent, some of the classes. Independent probabilities (Sigmoid) give what goes into
 * the Sigmoid. Undefined when the output is none of these: scores themselves, or their
 * log-probabilities, which are scores too.
 */
export function scoresBehindProbabilities(emitter: Emitter, output: Value): Behind | undefined {
  const reader = new ProbabilityReader(emitter);
  return emitter.named('scores', () => {
    const before = reader.before(output);
    if (before) return { scores: before, areIndependent: reader.areIndependent };
    if (!reader.isDistribution(output)) return undefined;
    return { scores: emitter.op('Log', [emitter.op('Clip', [output, least])]), areIndependent: false };
  });
}

class ProbabilityReader {
  /** Whether they are of a Sigmoid. */
  areIndependent = false;

  constructor(readonly emitter: Emitter) {}

  #input(node: Node, index = 0): Value {
    return this.emitter.builder.value(node.inputs[index]!);
  }

  #number(node: Node, index: number): number | undefined {
    const found = node.inputs[index] ? this.emitter.builder.constantOf(this.#input(node, index)) : undefined;
    return found?.data.length === 1 ? Number(found.data[0]) : undefined;
  }

  /** What became probabilities by one softmax or sigmoid, moved to where they are. */
  before(value: Value): Value | undefined {
    const node = this.emitter.producer(value);
    if (!node) return undefined;
    if (moves.has(node.op)) {
      const scores = this.before(this.#input(node));
      const rest = node.inputs.slice(1).map((name) => (name === '' ? undefined : this.emitter.builder.value(name)));
      return scores && this.emitter.op(node.op, [scores, ...rest], node.attributes);
    }
    if (node.op === 'Sigmoid') this.areIndependent = true;
    if (node.op === 'Sigmoid' || this.isSoftmax(node)) return this.#input(node);
    // Logarithms of probabilities are scores, but those before them are nearer to the classifier.
    if (node.op === 'LogSoftmax' || node.op === 'Log') return this.#beforeLogarithm(value);
    if (this.#keepsProbabilities(node)) return this.before(this.#input(node));
    const scaled = this.#scaled(node);
    if (scaled) return this.before(scaled);
    if (node.op === 'Exp') return this.#beforeLogarithm(this.#input(node));
    if (node.op === 'Div') {
      const exponential = this.#dividedBySum(node) ? this.emitter.producer(this.#input(node)) : undefined;
      return exponential?.op === 'Exp' ? this.#input(exponential) : undefined;
    }
    return undefined;
  }

  /** What became log-probabilities. */
  #beforeLogarithm(value: Value): Value | undefined {
    const node = this.emitter.producer(value);
    if (!node) return undefined;
    if (node.op === 'LogSoftmax' && this.#isOverClasses(node)) return this.#input(node);
    return node.op === 'Log' ? this.before(this.#input(node)) : undefined;
  }

  /** Whether the numbers of each image are probabilities that sum to one. */
  isDistribution(value: Value): boolean {
    const node = this.emitter.producer(value);
    if (!node) return false;
    if (moves.has(node.op) || this.#keepsProbabilities(node)) return this.isDistribution(this.#input(node));
    if (this.isSoftmax(node)) return true;
    if (node.op === 'Exp') return this.#beforeLogarithm(this.#input(node)) !== undefined;
    if (node.op === 'Mean') return node.inputs.every((_, i) => this.isDistribution(this.#input(node, i)));
    if (node.op === 'Mul' || node.op === 'Div') return this.#isMean(node) || this.#isNormalised(node);
    return false;
  }

  isSoftmax(node: Node): boolean {
    return node.op === 'Softmax' && this.#isOverClasses(node);
  }

  /** Whether the axis of a softmax has all numbers of an image. */
  #isOverClasses(node: Node): boolean {
    const { shape } = this.#input(node);
    const axis = numberOf(node.attributes, 'axis', -1);
    return holdsAll(shape, axis < 0 ? axis + shape.length : axis);
  }

  /** What is multiplied with a number above 0, such as 100 for percent. */
  #scaled(node: Node): Value | undefined {
    if (node.op !== 'Mul' && node.op !== 'Div') return undefined;
    const first = node.op === 'Mul' ? (this.#number(node, 0) ?? 0) : 0;
    if (first > 0) return this.#input(node, 1);
    return (this.#number(node, 1) ?? 0) > 0 ? this.#input(node) : undefined;
  }

  /** A Clip or Relu that probabilities pass, all but the last digits. */
  #keepsProbabilities(node: Node): boolean {
    if (node.op === 'Relu') return true;
    if (node.op !== 'Clip') return false;
    const bound = (index: number, none: number): number | undefined =>
      node.inputs[index] ? this.#number(node, index) : none;
    const [low, high] = [bound(1, -Infinity), bound(2, Infinity)];
    return low !== undefined && high !== undefined && low <= 1e-3 && high >= 0.999;
  }

  /** x / sum(x) over the classes. */
  #dividedBySum(node: Node): boolean {
    const sum = node.op === 'Div' ? this.emitter.producer(this.#input(node, 1)) : undefined;
    if (sum?.op !== 'ReduceSum' || sum.inputs[0] !== node.inputs[0]) return false;
    const { shape } = this.#input(sum);
    const axes =
      listOf(sum.attributes, 'axes') ??
      (sum.inputs[1] ? this.emitter.builder.integersOf(this.#input(sum, 1))?.elements : undefined);
    const [axis] = axes ?? [];
    return axes?.length === 1 && typeof axis === 'number' && holdsAll(shape, axis < 0 ? axis + shape.length : axis);
  }

  /** Numbers that are not negative, divided by their sum. */
  #isNormalised(node: Node): boolean {
    const numerator = this.#dividedBySum(node) ? this.emitter.producer(this.#input(node)) : undefined;
    return numerator !== undefined && ['Exp', 'Relu', 'Sigmoid', 'Softplus'].includes(numerator.op);
  }

  /** A sum of n distributions by 1 / n. */
  #isMean(node: Node): boolean {
    const number = this.#number(node, 1) ?? (node.op === 'Mul' ? this.#number(node, 0) : undefined);
    if (number === undefined || number <= 0) return false;
    const value = this.#number(node, 1) === undefined ? this.#input(node, 1) : this.#input(node);
    const terms = this.#terms(value);
    const wanted = node.op === 'Mul' ? 1 / number : number;
    return Math.abs(terms.length - wanted) < 1e-3 && terms.every((term) => this.isDistribution(term));
  }

  /** What a chain of additions adds up. */
  #terms(value: Value): Value[] {
    const node = this.emitter.producer(value);
    return node?.op === 'Add' || node?.op === 'Sum'
      ? node.inputs.flatMap((_, i) => this.#terms(this.#input(node, i)))
      : [value];
  }
}

/** Whether all sizes behind the batch but one are 1. */
const holdsAll = (shape: readonly Dim[], axis: number): boolean =>
  axis > 0 && shape.every((dim, i) => i === 0 || i === axis || dim === 1);
