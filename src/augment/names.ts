import { PupilError } from '../errors.js';
import { suggestion } from '../nearest.js';

const folded = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/** `shearX` as `shear-x`: how names stand in captions and on the command line. */
export const hyphenated = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/**
 * The one of `known` that `name` is, in any case or hyphenation (`shear-x`, `Shear_X`, `SHEARX`),
 * or that `aliases` (folded to small letters) say it is. Throws `usage` naming `what` and the
 * nearest name.
 */
export function findName<Name extends string>(
  name: string,
  known: readonly Name[],
  what: string,
  aliases: Readonly<Record<string, Name>> = {},
): Name {
  const wanted = folded(String(name));
  const found =
    known.find((other) => folded(other) === wanted) ?? (Object.hasOwn(aliases, wanted) ? aliases[wanted] : undefined);
  if (found === undefined)
    throw new PupilError('usage', `no ${what} named ${JSON.stringify(name)}: ${suggestion(String(name), known)}`);
  return found;
}
