import { shownPlace } from '../http/address.js';
import { trainingTables } from './jobs.js';
import { flagName, usualOf, type Mode, type Option, type Options } from './option.js';
import { recipeDefault, type TechniqueName } from './training.js';

/** A word for a shell. */
export const quote = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/** A value as one types it: a policy by its name. */
function typed(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  return 'name' in value && typeof value.name === 'string' ? value.name : JSON.stringify(value);
}

/** The words of one option on a command line; none where it has no flag. */
function wordsOf(name: string, row: Option, value: unknown): string[] {
  const flag = flagName(name, row);
  if (flag === undefined) return [];
  if (typeof value === 'boolean') return [value ? `--${flag}` : `--no-${flag}`];
  if (Array.isArray(value) && row.kind.argument === 'list') return [`--${flag}`, value.map(typed).join(',')];
  return (Array.isArray(value) ? value : [value]).flatMap((item) => [`--${flag}`, typed(item)]);
}

/** Whether an option is told what it would be anyway, by itself, in this mode or by this technique. */
function isUsual(name: string, row: Option, value: unknown, { mode, technique }: Chosen): boolean {
  const usual = recipeDefault(name, technique ?? 'supervised', mode ?? 'finetune') ?? usualOf(row, mode ?? 'finetune');
  return usual !== undefined && JSON.stringify(typed(value)) === JSON.stringify(typed(usual));
}

interface Chosen {
  readonly mode?: Mode | undefined;
  readonly technique?: TechniqueName | undefined;
}

/**
 * The command line that does the same again, ready to be pasted: what was chosen, without what is
 * the machine's and what is usual. `options`: as given, or as `run.json` keeps them.
 */
export function commandOf(command: keyof typeof trainingTables, data: string | undefined, options: object): string {
  const table: Options = trainingTables[command];
  const words = Object.entries(options).flatMap(([name, value]: [string, unknown]) => {
    const row = Object.hasOwn(table, name) ? table[name] : undefined;
    if (row === undefined || value === undefined || value === null || row.machine || row.unsaved) return [];
    return isUsual(name, row, value, options) ? [] : wordsOf(name, row, value);
  });
  return ['pupil', command, data ?? 'DATA', ...words].map((word) => quote(shownPlace(word))).join(' ');
}

/** The command line that makes a run again, from its `run.json`; undefined for other files. */
export function reproduce(config: object): string | undefined {
  const { command, settings } = config as { readonly command?: unknown; readonly settings?: unknown };
  if (typeof command !== 'string' || !Object.hasOwn(trainingTables, command)) return undefined;
  if (typeof settings !== 'object' || settings === null) return undefined;
  const { data } = settings as { readonly data?: unknown };
  return commandOf(command as keyof typeof trainingTables, typeof data === 'string' ? data : undefined, settings);
}
