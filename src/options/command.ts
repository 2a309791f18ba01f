import { flagName, type Option, type Options } from './option.js';

const quote = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** A value as one types it: a policy by its name. */
const typed = (value: unknown): string =>
  typeof value === 'object' && value !== null && 'name' in value ? String(value.name) : String(value);

/** The words of one option on a command line; none where it has no flag. */
function wordsOf(name: string, row: Option, value: unknown): string[] {
  const flag = flagName(name, row);
  if (flag === undefined) return [];
  if (typeof value === 'boolean') return [value ? `--${flag}` : `--no-${flag}`];
  if (Array.isArray(value) && row.kind.argument === 'list') return [`--${flag}`, value.map(typed).join(',')];
  return (Array.isArray(value) ? value : [value]).flatMap((item) => [`--${flag}`, typed(item)]);
}

/**
 * The command line that does the same again, ready to be pasted: what was given, without what is
 * the machine's and what is usual.
 */
export function commandOf(command: string, table: Options, data: string | undefined, options: object): string {
  const words = Object.entries(options).flatMap(([name, value]: [string, unknown]) => {
    const row = Object.hasOwn(table, name) ? table[name] : undefined;
    if (row === undefined || value === undefined || row.machine || row.unsaved || value === row.usual) return [];
    return wordsOf(name, row, value);
  });
  return ['pupil', command, data ?? 'DATA', ...words].map(quote).join(' ');
}
