import { PupilError } from '../../errors.js';
import { textOf } from '../../graph/attributes.js';
import type { Dim, Value } from '../../graph/graph.js';
import type { Converter } from './conversion.js';
import type { Emitter } from './emitter.js';

/** A tensor and a letter for each of its axes. */
interface Factor {
  readonly value: Value;
  readonly letters: readonly string[];
}

/** Letters for the axes that an ellipsis stands for; the last is that of the last of these axes. */
const ellipsisLetters = ['β3', 'β2', 'β1', 'β0'];

/**
 * The letters of each operand and of the result, or undefined where a term is not written out: a
 * letter twice in it (a diagonal), or what does not fit its operand.
 */
function lettersOf(
  equation: string,
  inputs: readonly Value[],
): { readonly terms: readonly (readonly string[])[]; readonly result: readonly string[] } | undefined {
  const [left = '', right] = equation.replace(/\s/g, '').split('->');
  const written = left.split(',');
  if (written.length !== inputs.length) return undefined;
  const free = written.map((term, i) => inputs[i]!.shape.length - term.replace('...', '').length);
  const spread = (term: string, count: number): string[] => {
    const [before, after] = term.split('...');
    return after === undefined
      ? [...term]
      : [...before!, ...ellipsisLetters.slice(ellipsisLetters.length - count), ...after];
  };
  const terms = written.map((term, i) => spread(term, Math.max(0, free[i]!)));
  const all = terms.flat();
  const result = spread(
    right ??
      (left.includes('...') ? '...' : '') +
        [...new Set([...left.replace(/[,.]/g, '')])]
          .filter((letter) => left.split(letter).length === 2)
          .sort()
          .join(''),
    Math.max(...free, 0),
  );
  const isPlain =
    terms.every((term, i) => term.length === inputs[i]!.shape.length && new Set(term).size === term.length) &&
    new Set(result).size === result.length &&
    result.every((letter) => all.includes(letter));
  return isPlain ? { terms, result } : undefined;
}

/** The axes in the order of `letters`, which are all that it has. */
function ordered(emitter: Emitter, { value, letters }: Factor, order: readonly string[]): Value {
  const perm = order.map((letter) => letters.indexOf(letter));
  return perm.every((axis, i) => axis === i) ? value : emitter.op('Transpose', [value], { perm });
}

/** Without the letters that only this factor has and nothing else needs. */
function summed(emitter: Emitter, factor: Factor, isNeeded: (letter: string) => boolean): Factor {
  const axes = factor.letters.flatMap((letter, axis) => (isNeeded(letter) ? [] : [axis]));
  if (axes.length === 0) return factor;
  const value = emitter.op('ReduceSum', [factor.value, emitter.builder.ints(axes)], { keepdims: 0 });
  return { value, letters: factor.letters.filter(isNeeded) };
}

const sizesOf = ({ value, letters }: Factor, wanted: readonly string[]): Dim[] =>
  wanted.map((letter) => value.shape[letters.indexOf(letter)]!);

/**
 * Reshapes behind the first `kept` axes. One size may be known only at run time.
 */
function reshaped(emitter: Emitter, value: Value, kept: number, sizes: readonly Dim[]): Value {
  if (sizes.filter((size) => typeof size === 'string').length > 1)
    throw new PupilError(
      'unsupported',
      'an Einsum over several sizes that are known only at run time; export the model with a fixed image size',
    );
  const target = [...new Array<number>(kept).fill(0), ...sizes.map((size) => (typeof size === 'string' ? -1 : size))];
  return emitter.op('Reshape', [value, emitter.builder.ints(target)]);
}

/** Several sizes as one. */
const product = (sizes: readonly Dim[]): Dim =>
  sizes.every((size) => typeof size === 'number') ? sizes.reduce<number>((a, b) => a * b, 1) : 'several';

/** The product of two factors, summed over the letters that are no longer needed. */
function multiplied(emitter: Emitter, a: Factor, b: Factor, isNeeded: (letter: string) => boolean): Factor {
  const shared = a.letters.filter((letter) => b.letters.includes(letter)),
    batch = shared.filter(isNeeded),
    inner = shared.filter((letter) => !isNeeded(letter)),
    rows = a.letters.filter((letter) => !shared.includes(letter)),
    columns = b.letters.filter((letter) => !shared.includes(letter));
  const letters = [...batch, ...rows, ...columns];
  const before = ordered(emitter, a, [...batch, ...rows, ...inner]),
    behind = ordered(emitter, b, inner.length === 0 ? [...batch, ...columns] : [...batch, ...inner, ...columns]);
  if (inner.length === 0) {
    const axes = (from: number, count: number): Value =>
      emitter.builder.ints(Array.from({ length: count }, (_, i) => from + i));
    const left =
      columns.length === 0
        ? before
        : emitter.op('Unsqueeze', [before, axes(letters.length - columns.length, columns.length)]);
    const right = rows.length === 0 ? behind : emitter.op('Unsqueeze', [behind, axes(batch.length, rows.length)]);
    return { value: emitter.op('Mul', [left, right]), letters };
  }
  const depth = product(sizesOf(a, inner)),
    [rowSizes, columnSizes] = [sizesOf(a, rows), sizesOf(b, columns)];
  // One weight for all: its partner keeps its axes.
  const keepsRows = batch.length === 0 && rows.length > 0 && inner.length === 1;
  const left =
    keepsRows || (rows.length === 1 && inner.length === 1)
      ? before
      : reshaped(emitter, before, batch.length, [product(rowSizes), depth]);
  const right =
    inner.length === 1 && columns.length === 1
      ? behind
      : reshaped(emitter, behind, batch.length, [depth, product(columnSizes)]);
  const value = emitter.op('MatMul', [left, right]);
  if (columns.length === 1 && (keepsRows || rows.length === 1)) return { value, letters };
  return { value: reshaped(emitter, value, batch.length, [...rowSizes, ...columnSizes]), letters };
}

/**
 * Products and sums that every engine has in place of an Einsum: operands are multiplied from left
 * to right.
 */
export const einsum: Converter = ({ inputs, attributes, emitter }) => {
  const given = inputs as readonly Value[],
    known = lettersOf(textOf(attributes, 'equation', ''), given);
  if (!known) return emitter.node('Einsum', inputs, attributes);
  const { terms, result } = known;
  const needed = (from: number) => {
    const rest = new Set([...result, ...terms.slice(from).flat()]);
    return (letter: string): boolean => rest.has(letter);
  };
  let made = given.length === 1 ? summed(emitter, { value: given[0]!, letters: terms[0]! }, needed(1)) : undefined;
  for (let i = 1; i < given.length; i++) {
    const before: Factor = made ?? { value: given[0]!, letters: terms[0]! },
      next: Factor = { value: given[i]!, letters: terms[i]! };
    const isLater = needed(i + 1);
    made = multiplied(
      emitter,
      summed(emitter, before, (letter) => isLater(letter) || next.letters.includes(letter)),
      summed(emitter, next, (letter) => isLater(letter) || before.letters.includes(letter)),
      isLater,
    );
  }
  return [ordered(emitter, made!, result)];
};
