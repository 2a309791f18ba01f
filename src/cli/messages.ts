/** What lower floors say, in the words of the command line. */
import { flagOf } from '../options/flag.js';

/**
 * A message with the options that it names in backticks as flags: `labelsPerClass` becomes
 * --labels-per-class, `mode: finetune` becomes --mode finetune, `flip: false` becomes --no-flip.
 * Other words in backticks stay as they are.
 */
export const withFlags = (message: string, options: ReadonlySet<string>): string =>
  message.replace(/`([a-z]\w*)(?:: ([^`]*))?`/gi, (text, name: string, value: string | undefined) => {
    if (!options.has(name)) return text;
    if (value === 'false') return flagOf(name).replace('--', '--no-');
    return value === undefined || value === 'true' ? flagOf(name) : `${flagOf(name)} ${value}`;
  });
