/** The form of a command, from its table of options: those that the studio does not decide itself. */
import { isPolicyFile } from '../augment/policy.js';
import { PupilError } from '../errors.js';
import { learnOptions } from '../options/jobs.js';
import { checkOptions, labelOf, usualOf, type Given, type Option, type Options } from '../options/option.js';
import { trainingOptions } from '../options/training.js';
import type { OptionField, RunRequest } from './protocol.js';

const tables: Readonly<Record<string, Options>> = { learn: learnOptions, train: trainingOptions };
const kinds = { number: 'number', choice: 'choice', text: 'text', flag: 'flag' } as const;

const tableOf = (command: string): Options => {
  const table = Object.hasOwn(tables, command) ? tables[command] : undefined;
  if (table === undefined) throw new PupilError('not-found', 'there are forms of learn and train');
  return table;
};

/** A page asks for no path: which files are read and written is the studio's to say. */
const isShown = (row: Option): boolean =>
  row.kind.type in kinds && row.kind.isPath !== true && row.flag !== false && row.never === undefined;

/** What a form shows at once, in this order; everything else is under "more". */
const first: Readonly<Record<string, readonly string[]>> = {
  learn: ['minutes', 'flip'],
  train: ['mode', 'epochs', 'minutes', 'augment', 'flip'],
};

/** Help of an option as a form says it: other options by their labels. */
const helpIn = (table: Options, { says }: Option): string =>
  says.replaceAll(/`(\w+)`/g, (name, key: string) =>
    Object.hasOwn(table, key) ? `"${labelOf(key, table[key]!)}"` : name,
  );

/** A form of `learn` or `train`, what matters most first. Throws `not-found` for another command. */
export function optionFields(command: string): OptionField[] {
  const table = tableOf(command),
    ahead = first[command]!;
  return Object.entries(table)
    .filter(([, row]) => isShown(row))
    .map(([name, row]): OptionField => {
      const usual = usualOf(row, 'finetune'),
        place = ahead.indexOf(name);
      return {
        name,
        label: labelOf(name, row),
        says: helpIn(table, row),
        group: row.group,
        kind: kinds[row.kind.type as keyof typeof kinds],
        choices: row.kind.words,
        usual: typeof usual === 'object' ? undefined : (usual as OptionField['usual']),
        rank: place < 0 ? undefined : place + 1,
      };
    })
    .sort((a, b) => (a.rank ?? Infinity) - (b.rank ?? Infinity) || 0);
}

/** The options that a page sent, checked. Throws `usage`, naming the option. */
export function checkedOptions(command: string, options: RunRequest['options']): Given<Options> {
  const table = tableOf(command);
  for (const [name, value] of Object.entries(options)) {
    const row = Object.hasOwn(table, name) ? table[name] : undefined;
    if (row !== undefined && !isShown(row))
      throw new PupilError('usage', `\`${name}\` is decided by the studio`, { option: name });
    if (typeof value === 'string' && isPolicyFile(value.trim()))
      throw new PupilError('usage', `\`${name}\`: the studio reads no policy file; give a policy by its name`, {
        option: name,
      });
  }
  return checkOptions(table, options);
}
