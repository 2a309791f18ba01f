/** Checks of what a program hands to a public function. All throw `usage`. */
import { PupilError } from './errors.js';
import { nearest } from './nearest.js';

/** A value in an error message: as JSON, shortened. */
export function shown(value: unknown): string {
  const text = typeof value === 'object' ? (JSON.stringify(value) ?? 'an object') : word(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
const word = (value: unknown): string => (typeof value === 'string' ? JSON.stringify(value) : String(value));

/** Refuses options that are no object. */
export function assertObject(options: unknown): asserts options is object {
  if (typeof options === 'object' && options !== null && !Array.isArray(options)) return;
  throw new PupilError('usage', `options are an object, such as { seed: 1 }, got ${shown(options)}`);
}

/**
 * The error for an option that nobody has, with the one that was meant perhaps. `synonyms`: other
 * words for options, by these.
 */
export function unknownOption(
  name: string,
  known: readonly string[],
  synonyms: Readonly<Record<string, string>> = {},
): PupilError {
  const near = Object.hasOwn(synonyms, name) ? synonyms[name] : nearest(name, known);
  const hint = near === undefined ? '' : `; did you mean \`${near}\`?`;
  return new PupilError('usage', `there is no option ${JSON.stringify(name)}${hint}`, { option: near ?? name });
}

/** Refuses options that are no object, and those that are not `known`. */
export function assertOptions(options: unknown, known: readonly string[]): void {
  assertObject(options);
  for (const [name, value] of Object.entries(options))
    if (value !== undefined && !known.includes(name)) throw unknownOption(name, known);
}

/** Refuses what is no text. */
export function assertText(text: unknown, what: string): asserts text is string {
  if (typeof text !== 'string') throw new PupilError('usage', `give ${what}, got ${shown(text)}`);
}

/** Refuses what is no path. */
export function assertPath(path: unknown, what: string): asserts path is string {
  assertText(path, what);
  if (path.trim() === '') throw new PupilError('usage', `give ${what}, got ${shown(path)}`);
}
