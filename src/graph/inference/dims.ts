import type { Dim, Shape } from '../graph.js';

/**
 * Arithmetic on sizes known only by name. A size is a polynomial in its names with whole
 * coefficients, written in one canonical way (`49*N`, `N+U`, `2*N-1`), so that equal sizes are
 * equal strings; what is no polynomial is a name of its own (`floor((H-1)/2)`).
 */
type Polynomial = Map<string, number>;

const one = '';

/** Splits at the separators that stand outside of parentheses. */
function split(text: string, separators: string): { sign: string; part: string }[] {
  const parts: { sign: string; part: string }[] = [];
  let depth = 0;
  let start = 0;
  let sign = separators[0]!;
  for (let i = 0; i <= text.length; i++) {
    const c = text[i];
    if (c === '(') depth++;
    else if (c === ')') depth--;
    else if (i === text.length || (depth === 0 && separators.includes(c!))) {
      if (i > start) parts.push({ sign, part: text.slice(start, i) });
      sign = c ?? '';
      start = i + 1;
    }
  }
  return parts;
}

function parse(dim: Dim): Polynomial {
  const polynomial: Polynomial = new Map();
  if (typeof dim === 'number') return dim === 0 ? polynomial : polynomial.set(one, dim);
  for (const { sign, part } of split(dim, '+-')) {
    let coefficient = sign === '-' ? -1 : 1;
    const names: string[] = [];
    for (const { part: factor } of split(part, '*')) {
      if (/^\d+$/.test(factor)) coefficient *= Number(factor);
      else names.push(factor);
    }
    accumulate(polynomial, names.sort().join('*'), coefficient);
  }
  return polynomial;
}

function accumulate(polynomial: Polynomial, term: string, coefficient: number): void {
  const sum = (polynomial.get(term) ?? 0) + coefficient;
  if (sum === 0) polynomial.delete(term);
  else polynomial.set(term, sum);
}

function format(polynomial: Polynomial): Dim {
  if (polynomial.size === 0) return 0;
  if (polynomial.size === 1 && polynomial.has(one)) return polynomial.get(one)!;
  const terms = [...polynomial].sort(([a], [b]) => (a === one ? 1 : b === one ? -1 : a < b ? -1 : 1));
  // A term that is subtracted cannot come first: it would be read as a name.
  terms.sort(([, a], [, b]) => Number(a < 0) - Number(b < 0));
  return terms
    .map(([term, coefficient], index) => {
      const magnitude = Math.abs(coefficient);
      const body = term === one ? String(magnitude) : magnitude === 1 ? term : `${magnitude}*${term}`;
      return (coefficient < 0 ? (index === 0 ? '0-' : '-') : index === 0 ? '' : '+') + body;
    })
    .join('');
}

/** a + b */
export function addDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  const sum = parse(a);
  for (const [term, coefficient] of parse(b)) accumulate(sum, term, coefficient);
  return format(sum);
}

/** a * b */
export function multiplyDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  const product: Polynomial = new Map();
  const right = parse(b);
  for (const [s, x] of parse(a)) {
    for (const [t, y] of right)
      accumulate(
        product,
        [...s.split('*'), ...t.split('*')]
          .filter((name) => name !== '')
          .sort()
          .join('*'),
        x * y,
      );
  }
  return format(product);
}

/** a - b */
export const subtractDims = (a: Dim, b: Dim): Dim => addDims(a, multiplyDims(b, -1));

/** The product of sizes: how many elements a shape has. */
export const productOf = (dims: Shape): Dim => dims.reduce<Dim>(multiplyDims, 1);

/** a / b when that is whole whatever the names stand for, else undefined. */
export function divideExactly(a: Dim, b: Dim): Dim | undefined {
  if (a === b) return 1;
  if (b === 0) return undefined;
  const divisor = [...parse(b)];
  const quotient: Polynomial = new Map();
  if (divisor.length !== 1) return undefined;
  const [names, by] = [divisor[0]![0].split('*').filter((name) => name !== ''), divisor[0]![1]];
  for (const [term, coefficient] of parse(a)) {
    const left = term.split('*').filter((name) => name !== '');
    for (const name of names) {
      const index = left.indexOf(name);
      if (index < 0) return undefined;
      left.splice(index, 1);
    }
    if (coefficient % by !== 0) return undefined;
    accumulate(quotient, left.join('*'), coefficient / by);
  }
  return format(quotient);
}

/** floor(a / b) or ceil(a / b). */
export function divideDims(a: Dim, b: Dim, rounding: 'floor' | 'ceil' = 'floor'): Dim {
  if (typeof a === 'number' && typeof b === 'number') return Math[rounding](a / b);
  return divideExactly(a, b) ?? `${rounding}((${a})/(${b}))`;
}

/** The value of a size once its names are known; undefined when one is missing. */
export function evaluateDim(dim: Dim, names: Readonly<Record<string, number>>): number | undefined {
  if (typeof dim === 'number') return dim;
  let sum = 0;
  for (const [term, coefficient] of parse(dim)) {
    let product = coefficient;
    for (const name of term.split('*')) {
      if (name === '') continue;
      const value = names[name] ?? evaluateQuotient(name, names);
      if (value === undefined) return undefined;
      product *= value;
    }
    sum += product;
  }
  return sum;
}

function evaluateQuotient(atom: string, names: Readonly<Record<string, number>>): number | undefined {
  const match = /^(floor|ceil)\((.*)\)$/.exec(atom);
  if (!match) return undefined;
  const [a, b] = split(match[2]!, '/').map(({ part }) => evaluateDim(part.slice(1, -1), names));
  return a === undefined || b === undefined ? undefined : Math[match[1] as 'floor' | 'ceil'](a / b);
}
