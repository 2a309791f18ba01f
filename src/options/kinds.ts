/**
 * Kinds of options: which values one takes, in words, with the check of a library user's value and
 * the reader of text on a command line.
 */
import type { AugmentPolicy } from '../augment/policy.js';
import { parseNormalization } from '../data/preprocessing.js';

export interface Kind<T> {
  /** How a form asks for it. */
  readonly type: 'number' | 'choice' | 'text' | 'path' | 'flag' | 'list' | 'value';
  /** Its range in words, after "takes": `a whole number of at least 1`. */
  readonly takes: string;
  /** How help calls the value: `number` of `<number>`. */
  readonly argument: string;
  /** Whether it names a file or folder (also one in a list). */
  readonly isPath?: boolean | undefined;
  /** The words to choose from, or those that may stand instead of a number. */
  readonly words?: readonly string[] | undefined;
  /** The range of a number; `above` and `below` are not in it. */
  readonly range?: Range | undefined;
  /** The value, where it is one of these; else undefined. May throw a PupilError that says more. */
  readonly check: (value: unknown) => T | undefined;
  /** What a text on the command line stands for; undefined where that is nothing of this kind. */
  readonly read: (text: string) => T | undefined;
}

interface Range {
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly above?: number | undefined;
  readonly below?: number | undefined;
  readonly whole?: boolean | undefined;
}

const numberPattern = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** Whether a text is a number as the command line takes it. */
export const isNumber = (text: string): boolean => numberPattern.test(text.trim());

/** A number in a range, which `takes` says in words. */
export function numberIn(range: Range, takes: string): Kind<number> {
  const { from = -Infinity, to = Infinity, above = -Infinity, below = Infinity, whole = false } = range;
  const accepts = (x: number): boolean =>
    (whole ? Number.isSafeInteger(x) : Number.isFinite(x)) && x >= from && x <= to && x > above && x < below;
  return {
    type: 'number',
    takes,
    argument: 'number',
    range,
    check: (value) => (typeof value === 'number' && accepts(value) ? value : undefined),
    read: (text) => (isNumber(text) && accepts(Number(text)) ? Number(text) : undefined),
  };
}

/** A whole number of at least `from`, and at most `to` where that is given. */
export const whole = (from: number, to?: number): Kind<number> =>
  numberIn(
    { from, to, whole: true },
    to === undefined ? `a whole number of at least ${from}` : `a whole number from ${from} to ${to}`,
  );
/** A kind of number without one of its values, which `takes` says in words. */
export const without = (value: number, kind: Kind<number>, takes: string): Kind<number> => {
  const others = (x: number | undefined): number | undefined => (x === value ? undefined : x);
  return { ...kind, takes, check: (x) => others(kind.check(x)), read: (text) => others(kind.read(text)) };
};
export const positive = numberIn({ above: 0 }, 'a number above 0');
export const notNegative = numberIn({ from: 0 }, 'a number of at least 0');
/** [0, 1) */
export const share = numberIn({ from: 0, below: 1 }, 'a number from 0 to below 1');
/** [0, 1] */
export const probability = numberIn({ from: 0, to: 1 }, 'a number from 0 to 1');
/** (0, 1] */
export const factor = numberIn({ above: 0, to: 1 }, 'a number above 0 and at most 1');

/** One of a few words. A library user may also give one of `unlisted`. */
export function choice<const Word extends string, const Unlisted extends string = never>(
  words: readonly Word[],
  unlisted: readonly Unlisted[] = [],
): Kind<Word | Unlisted> {
  const find = (value: unknown): Word | Unlisted | undefined => [...words, ...unlisted].find((word) => word === value);
  return { type: 'choice', takes: `one of ${words.join(', ')}`, argument: 'name', words, check: find, read: find };
}

/** The word itself, or what `kind` takes. */
export const orWord = <Word extends string, T>(word: Word, kind: Kind<T>): Kind<T | Word> => ({
  ...kind,
  takes: `${word} or ${kind.takes}`,
  words: [word],
  check: (value) => (value === word ? word : kind.check(value)),
  read: (text) => (text === word ? word : kind.read(text)),
});

const filled = (value: unknown): string | undefined =>
  typeof value === 'string' && value.trim() !== '' ? value : undefined;

/** Any text that is not empty; `argument` says what it is. */
export const text = (argument: string): Kind<string> => ({
  type: 'text',
  takes: `a ${argument}`,
  argument,
  check: filled,
  read: filled,
});

/** A file or folder. */
export const path = (argument: string): Kind<string> => ({ ...text(argument), type: 'path', isPath: true });

/** Yes or no: `--name`, and `--no-name` where yes is usual. */
export const flag: Kind<boolean> = {
  type: 'flag',
  takes: 'true or false',
  argument: '',
  check: (value) => (typeof value === 'boolean' ? value : undefined),
  read: (word) => (word === 'true' ? true : word === 'false' ? false : undefined),
};

/** Several values, for which one may stand; on the command line the flag is repeated. */
export const list = <T>(kind: Kind<T>): Kind<readonly T[]> => ({
  ...kind,
  type: 'list',
  takes: `a list, each ${kind.takes}`,
  check: (value) => every(Array.isArray(value) ? value : [value], kind.check),
  read: (word) => every([word], kind.read),
});

/** Several values; on the command line parted by commas. */
export const commaList = <T>(kind: Kind<T>, example: string): Kind<readonly T[]> => ({
  ...list(kind),
  takes: `a list such as ${example}, each ${kind.takes}`,
  argument: 'list',
  words: undefined,
  read: (words) =>
    every(
      words.split(',').map((word) => word.trim()),
      kind.read,
    ),
});

/** A list whose command line text is split by commas rather than repeated. */
const every = <In, T>(values: readonly In[], check: (value: In) => T | undefined): readonly T[] | undefined => {
  const found = values.map(check);
  return found.every((value) => value !== undefined) ? found : undefined;
};

/** Something that only a program can give. */
export const valueOf = <T>(takes: string, accepts: (value: unknown) => boolean): Kind<T> => ({
  type: 'value',
  takes,
  argument: 'value',
  check: (value) => (accepts(value) ? (value as T) : undefined),
  read: () => undefined,
});

/** An augmentation policy: a name or a file, or one as an object. */
export const policy: Kind<string | AugmentPolicy> = {
  ...text('policy'),
  takes: 'a policy, such as basic, randaugment:n=2,m=9 or policy.json',
  check: (value) =>
    typeof value === 'object' && value !== null && 'steps' in value && 'base' in value
      ? (value as AugmentPolicy)
      : text('policy').check(value),
};

/** How a file's pixels are normalised, as data/preprocessing reads it. */
export const normalization: Kind<string> = {
  ...text('normalization'),
  takes: 'imagenet, symmetric, unit, bytes or MEAN/STD',
  check: normalized,
  read: normalized,
};
function normalized(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  parseNormalization(value);
  return value;
}
