import { Option, type Command } from 'commander';
import { engineNames } from '../engine/index.js';
import { PupilError } from '../errors.js';
import { normalizations, parseNormalization } from '../data/preprocessing.js';
import { nearest } from '../nearest.js';

/** Reads the text after an option; throws a PupilError that names the option and what it takes. */
export type Parser<T> = (text: string, option: string) => T;

/** The name that the library has for a flag: `--labels-per-class` is `labelsPerClass`. */
const optionOf = (flag: string): string =>
  flag.replace(/^--(no-)?/, '').replace(/-[a-z]/g, ([, letter]) => letter!.toUpperCase());

const refuse = (flag: string, takes: string, got: string, hint = ''): never => {
  throw new PupilError('usage', `${flag} takes ${takes}, got ${JSON.stringify(got)}${hint}`, {
    option: optionOf(flag),
  });
};

const numberPattern = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** A number that satisfies `accept`; `takes` says in words which ones do. */
export const number =
  (takes: string, accept: (value: number) => boolean): Parser<number> =>
  (text, option) => {
    const value = numberPattern.test(text.trim()) ? Number(text) : NaN;
    return Number.isFinite(value) && accept(value) ? value : refuse(option, takes, text);
  };

/** A whole number of at least `least`. */
export const integer = (least: number): Parser<number> =>
  number(`a whole number of at least ${least}`, (value) => Number.isSafeInteger(value) && value >= least);

export const positive = number('a number above 0', (value) => value > 0);
export const notNegative = number('a number of at least 0', (value) => value >= 0);
/** [0, 1) */
export const share = number('a number from 0 to below 1', (value) => value >= 0 && value < 1);
/** [0, 1] */
export const probability = number('a number from 0 to 1', (value) => value >= 0 && value <= 1);
/** (0, 1] */
export const factor = number('a number above 0 and at most 1', (value) => value > 0 && value <= 1);

/**
 * The value of an option that may stand without one: what else follows was probably meant for the
 * command.
 */
export const optional =
  <T>(parser: Parser<T>, bare: string): Parser<T> =>
  (value, name) => {
    if (!numberPattern.test(value.trim())) {
      throw new PupilError(
        'usage',
        `${name} takes a number or nothing (${bare}), got ${JSON.stringify(value)}; write ${name}=${bare} if that is not its value`,
        { option: optionOf(name) },
      );
    }
    return parser(value, name);
  };

/** One of a few words; a wrong one is answered with the nearest. */
export const choice =
  <T extends string>(words: readonly T[]): Parser<T> =>
  (text, option) => {
    const found = words.find((word) => word === text);
    if (found !== undefined) return found;
    const near = nearest(text, words);
    return refuse(option, `one of ${words.join(', ')}`, text, near === undefined ? '' : `; did you mean ${near}?`);
  };

/** What `parser` reads, or the word itself. */
export const orWord =
  <T, W extends string>(word: W, parser: Parser<T>): Parser<T | W> =>
  (text, option) => {
    if (text === word) return word;
    try {
      return parser(text, option);
    } catch (error) {
      if (error instanceof PupilError)
        throw new PupilError('usage', error.message.replace(' takes ', ` takes ${word} or `), {
          option: error.option,
          cause: error,
        });
      throw error;
    }
  };

/** Any text that is not empty. */
export const text: Parser<string> = (value, option) => (value.trim() === '' ? refuse(option, 'a name', value) : value);

/** What data/preprocessing understands as a normalisation; kept as text. */
export const normalization: Parser<string> = (value) => {
  const near =
    Object.hasOwn(normalizations, value) || value.includes('/')
      ? undefined
      : nearest(value, Object.keys(normalizations));
  if (near !== undefined)
    throw new PupilError('usage', `--normalize ${value}: unknown name; did you mean ${near}?`, {
      option: 'normalize',
    });
  parseNormalization(value);
  return value;
};

/**
 * Declares `flags` (commander's spelling, such as `--epochs <N>`) with a parser; `repeat` collects
 * a list, `bare` is the text that an option with an optional value (`--cutmix [ALPHA]`) stands for
 * without one.
 */
export function option<T>(
  command: Command,
  flags: string,
  description: string,
  parser: Parser<T> = text as unknown as Parser<T>,
  { repeat = false, bare }: { readonly repeat?: boolean; readonly bare?: string } = {},
): Command {
  const name = flags.split(/[ ,]/)[0]!;
  const declared = new Option(flags, description);
  if (bare !== undefined) declared.preset(bare);
  if (repeat)
    declared.argParser((value: string, previous: T[] | undefined) => [...(previous ?? []), parser(value, name)]);
  else declared.argParser((value: string) => parser(value, name));
  return command.addOption(declared);
}

/** What every command understands. */
export interface CommonOptions {
  readonly json?: true;
  readonly seed?: number;
  readonly out?: string;
  readonly engine?: (typeof engineNames)[number];
  readonly threads?: number;
}

/** Adds the options of every command; `out` describes what `--out` names. */
export function common(command: Command, out = '--out <DIR>', outDescription = 'folder to write into'): Command {
  command.optionsGroup('Everywhere:');
  command.option('--json', 'print one JSON object on stdout, nothing else');
  option(command, '--seed <N>', 'seed of all random choices (default 0)', integer(0));
  option(command, out, outDescription);
  option(command, '--engine <NAME>', `${engineNames.join('|')} (default auto)`, choice(engineNames));
  option(command, '--threads <N>', 'threads inside an operation (default: physical cores)', integer(1));
  return command.helpOption('-h, --help', 'show this help');
}
