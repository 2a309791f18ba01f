/**
 * Schemas of transforms' options. A schema's message says what to give; which option was wrong and
 * what it was is added by `readOptions`.
 */
import * as v from 'valibot';
import { shown } from '../arguments.js';
import { PupilError } from '../errors.js';
import { suggestion } from '../nearest.js';
import type { Colour } from '../image/image.js';

type Pair = [low: number, high: number];

const between = (low: number, high: number): string =>
  Number.isFinite(low) && Number.isFinite(high)
    ? ` from ${low} to ${high}`
    : Number.isFinite(low)
      ? ` from ${low} on`
      : '';

/** A number within [low, high]; `what` as in `give degrees from -180 to 180`. */
export function numberFrom(low: number, high: number, what = 'a number') {
  const message = `give ${what}${between(low, high)}`;
  return v.pipe(
    v.number(message),
    v.check((x) => Number.isFinite(x) && x >= low && x <= high, message),
  );
}

/** A whole number within [low, high]. */
export function wholeFrom(low: number, high: number, what = 'a whole number') {
  const message = `give ${what}${between(low, high)}`;
  return v.pipe(
    v.number(message),
    v.check((x) => Number.isInteger(x) && x >= low && x <= high, message),
  );
}

/** [low, high], both as `bound` says, in this order. */
export function rangeOf(bound: v.GenericSchema<number>) {
  return v.pipe(
    v.strictTuple([bound, bound], 'give [low, high]'),
    v.check(([low, high]) => low <= high, 'give [low, high] with the lower number first'),
  );
}

/** d, which means [-d, d], or [low, high], within [-limit, limit]. */
export const spreadWithin = (limit: number, what: string) =>
  v.pipe(
    v.union(
      [numberFrom(0, limit), rangeOf(numberFrom(-limit, limit, what))],
      `give ${what} from 0 to ${limit}, or [low, high] within ${limit} of 0`,
    ),
    v.transform((x): Pair => (typeof x === 'number' ? [-x, x] : x)),
  );

/** A number from 0 to 1. */
export const share = numberFrom(0, 1);

/** With which probability the transform is applied. */
export const probability = (usual: number) => v.optional(share, usual);

/** Sides of images that are made. */
export const pixels = wholeFrom(1, 20_000, 'whole pixels');

export const interpolation = v.optional(
  v.picklist(['bilinear', 'bicubic'], 'give "bilinear" or "bicubic"'),
  'bilinear',
);

export const sampling = v.optional(
  v.picklist(['nearest', 'bilinear', 'bicubic'], 'give "nearest", "bilinear" or "bicubic"'),
  'bilinear',
);

const byte = wholeFrom(0, 255);
export const colour = v.strictTuple([byte, byte, byte], 'give [red, green, blue], each from 0 to 255');

/** What is shown where the image has nothing. */
export const fillOf = (usual: Colour) => v.optional(colour, [...usual]);

/**
 * Options after their schema, defaults filled in. Throws `usage` in one line that starts with
 * `where`, such as `step 2 (rotate): range[1] is 400: give degrees from -180 to 180`.
 */
export function readOptions<S extends v.GenericSchema>(schema: S, options: unknown, where: string): v.InferOutput<S> {
  const result = v.safeParse(schema, options, { abortEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  const keys = (issue.path ?? []).map(({ key }) => key as string | number);
  const about = { option: typeof keys[0] === 'string' ? keys[0] : undefined };
  const at = keys.map((key, i) => (typeof key === 'number' ? `[${key}]` : i === 0 ? key : `.${key}`)).join('');
  if (issue.type === 'strict_object' && issue.expected === 'never') {
    const known = 'entries' in schema && keys.length === 1 ? Object.keys(schema.entries as object) : [];
    throw new PupilError(
      'usage',
      `${where}: no option ${JSON.stringify(at)}${known.length > 0 ? `: ${suggestion(at, known)}` : ' here'}`,
      about,
    );
  }
  if (issue.input === undefined && keys.length > 0) {
    const inner =
      'entries' in schema && keys.length === 1 ? (schema.entries as Record<string, v.GenericSchema>)[at] : undefined;
    const own = inner && issue.type === 'strict_object' ? (v.safeParse(inner, undefined).issues?.[0] ?? issue) : issue;
    throw new PupilError(
      'usage',
      `${where}: ${at} is missing${own.message.startsWith('Invalid ') ? '' : `: ${own.message}`}`,
      about,
    );
  }
  // A schema without a message of its own: valibot's says `Invalid type: Expected number but
  // received "x"`.
  const wanted =
    issue.message.startsWith('Invalid ') && issue.expected !== null ? `expected ${issue.expected}` : issue.message;
  throw new PupilError(
    'usage',
    `${where}: ${at === '' ? 'the options are' : `${at} is`} ${shown(issue.input)}: ${wanted}`,
    about,
  );
}
