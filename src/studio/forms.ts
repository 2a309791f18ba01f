/** The form of a command, from its table of options: those that the studio does not decide itself. */
import { shown } from '../arguments.js';
import { isPolicyFile } from '../augment/policy.js';
import { PupilError } from '../errors.js';
import { learnOptions } from '../options/jobs.js';
import { checkOptions, labelOf, usualOf, type Given, type Option, type Options } from '../options/option.js';
import { trainingOptions, type TechniqueName } from '../options/training.js';
import { techniqueOptions, techniques } from '../techniques/index.js';
import type { Technique } from '../techniques/technique.js';
import type { OptionField, RunRequest } from './protocol.js';

const tables: Readonly<Record<string, Options>> = { learn: learnOptions, train: trainingOptions };
const kinds = { number: 'number', choice: 'choice', text: 'text', flag: 'flag' } as const;

const tableOf = (command: string): Options => {
  const table = Object.hasOwn(tables, command) ? tables[command] : undefined;
  if (table === undefined) throw new PupilError('not-found', 'there are forms of learn and train');
  return table;
};

/**
 * A page asks for no path: which files are read and written is the studio's to say. It trains in one process, from a
 * folder of images without splits, and was told at its start how its network's file is read (`about`).
 */
const isAsked = (row: Option): boolean =>
  row.kind.type in kinds &&
  row.kind.isPath !== true &&
  row.flag !== false &&
  row.never === undefined &&
  row.about === undefined;

/** What a technique learns from that is named by a path: the studio names none. */
const isOffered = ({ needs }: Technique<TechniqueName>): boolean =>
  needs.teacher === undefined && needs.pseudoLabels === undefined;
const offered = Object.values<Technique<TechniqueName>>(techniques).filter(isOffered);
const readByOffered = new Set<string>(offered.flatMap(({ options }) => options));
const onlyTechniques: ReadonlySet<string> = techniqueOptions;

/** Also without those about others that are not asked for, such as the size of a teacher's images. */
const isShown = (table: Options, name: string, row: Option): boolean =>
  isAsked(row) &&
  row.only?.with?.every((other) => table[other] !== undefined && !isAsked(table[other])) !== true &&
  (!onlyTechniques.has(name) || readByOffered.has(name));

/** The words to choose from. */
function wordsOf(name: string, { kind }: Option): readonly string[] | undefined {
  if (name !== 'technique') return kind.words;
  return offered.map((technique) => technique.name);
}

/** What a form shows at once, in this order; everything else is under "more". */
const first: Readonly<Record<string, readonly string[]>> = {
  learn: ['minutes', 'flip'],
  train: ['mode', 'epochs', 'minutes', 'augment', 'flip'],
};

/** A text of the table as a form says it: other options by their labels. */
const byLabels = (table: Options, text: string): string =>
  text.replaceAll(/`(\w+)`/g, (said, key: string) =>
    Object.hasOwn(table, key) ? `"${labelOf(key, table[key]!)}"` : said,
  );

/** Help of an option, with the words that the form offers. */
const helpIn = (table: Options, name: string, row: Option): string =>
  byLabels(
    table,
    (row.inForm ?? row.says).replace(row.kind.words?.join(', ') ?? '', wordsOf(name, row)?.join(', ') ?? ''),
  );

/** Characters that a field has room for. */
const mostOfDefault = 28;

/** What an option is where its field is left empty: its default, in words where it is worked out, or off. */
function defaultIn(table: Options, name: string, row: Option): string {
  if (row.otherwise !== undefined) {
    const words = byLabels(table, row.otherwise.split(';')[0]!);
    return words.length > mostOfDefault ? 'automatic' : words;
  }
  const usual = usualOf(row, 'finetune');
  if (usual !== undefined && typeof usual !== 'object') return String(usual);
  return onlyTechniques.has(name) && row.off === undefined ? 'by the technique' : 'off';
}

/** A form of `learn` or `train`, what matters most first. Throws `not-found` for another command. */
export function optionFields(command: string): OptionField[] {
  const table = tableOf(command),
    ahead = first[command]!;
  return Object.entries(table)
    .filter(([name, row]) => isShown(table, name, row))
    .map(([name, row]): OptionField => {
      const usual = usualOf(row, 'finetune'),
        place = ahead.indexOf(name);
      return {
        name,
        label: labelOf(name, row),
        says: helpIn(table, name, row),
        group: row.group,
        kind: kinds[row.kind.type as keyof typeof kinds],
        choices: wordsOf(name, row),
        usual: typeof usual === 'object' ? undefined : (usual as OptionField['usual']),
        empty: defaultIn(table, name, row),
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
    if (row !== undefined && !isShown(table, name, row))
      throw new PupilError('usage', `\`${name}\` is not for the page to say: leave it out`, { option: name });
    const words = row && wordsOf(name, row);
    if (name === 'technique' && typeof value === 'string' && words?.includes(value) === false)
      throw new PupilError('usage', `\`technique\` takes ${words.join(', ')} here, got ${shown(value)}`, {
        option: name,
      });
    if (typeof value === 'string' && isPolicyFile(value.trim()))
      throw new PupilError('usage', `\`${name}\`: the studio reads no policy file; give a policy by its name`, {
        option: name,
      });
  }
  return checkOptions(table, options);
}
