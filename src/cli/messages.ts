/** What lower floors say, in the words of the command line. */
import { flagName, type Options } from '../options/option.js';

/** Flags by the names that the library has for options; later tables win. */
export const flagsOf = (...tables: readonly Options[]): ReadonlyMap<string, string> =>
  new Map(
    tables.flatMap((table) =>
      Object.entries(table).flatMap(([name, row]) => {
        const flag = flagName(name, row);
        return flag === undefined ? [] : [[name, `--${flag}`] as const];
      }),
    ),
  );

/**
 * A message with the options that it names in backticks as flags: `labelsPerClass` becomes
 * --labels-per-class, `mode: finetune` becomes --mode finetune, `flip: false` becomes --no-flip.
 * Other words in backticks stay as they are.
 */
export const withFlags = (message: string, flags: ReadonlyMap<string, string>): string =>
  message.replace(/`([a-z]\w*)(?:: ([^`]*))?`/gi, (text, name: string, value: string | undefined) => {
    const flag = flags.get(name);
    if (flag === undefined) return text;
    if (value === 'false') return flag.replace('--', '--no-');
    return value === undefined || value === 'true' ? flag : `${flag} ${value}`;
  });
