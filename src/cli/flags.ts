/** From a table of options to commander's declarations. What help shows of them is in help.ts. */
import { Option as Flag, type Command } from 'commander';
import { PupilError } from '../errors.js';
import { isNumber } from '../options/kinds.js';
import { flagName, readText, type Option, type Options } from '../options/option.js';

/** Declares every option of a table that has a flag. One that is given twice is refused, unless it is repeatable. */
export function addOptions(command: Command, table: Options): void {
  const known = new Set(
    Object.entries(table)
      .flatMap(([name, row]) => flagsOf(name, row))
      .map(({ long }) => long!),
  );
  for (const [name, row] of Object.entries(table)) {
    let given = '';
    for (const flag of flagsOf(name, row, known)) {
      command.addOption(flag);
      if (isRepeatable(row)) continue;
      command.on(`option:${flag.name()}`, () => {
        const both = given === flag.long ? `${given} is given twice` : `${given} and ${flag.long!} are given`;
        if (given !== '') throw new PupilError('usage', `${both}; leave one out`, { option: name });
        given = flag.long!;
      });
    }
  }
}

/** Whether a flag may be given again and again, each time with one more value. */
const isRepeatable = ({ kind }: Option): boolean => kind.type === 'list' && kind.argument !== 'list';

/**
 * The flags of one option: none, one, or `--name` and `--no-name`. A flag that is `known` is no value of one: that was
 * left out.
 */
function flagsOf(name: string, row: Option, known: ReadonlySet<string> = new Set()): Flag[] {
  const flag = flagName(name, row);
  if (flag === undefined) return [];
  const declare = (flags: string): Flag => {
    const declared = new Flag(flags);
    declared.attributeName = () => name;
    return declared;
  };
  const read = (text: string): unknown => readText(name, row, text);
  if (row.never !== undefined) return [declare(`--${flag} [value]`).preset('').argParser(read)];
  if (row.kind.type === 'flag') return [declare(`--${flag}`), declare(`--no-${flag}`)];
  if (row.bare !== undefined)
    return [
      declare(`--${flag} [value]`)
        .preset(String(row.bare))
        .argParser(bareParser(name, flag, row)),
    ];
  const argument = `<${row.argument ?? row.kind.argument}>`,
    declared = declare(`--${flag} ${argument}`);
  const readValue = (text: string): unknown => {
    if (!known.has(text.split('=')[0]!)) return read(text);
    throw new PupilError('usage', `--${flag} needs a value (--${flag} ${argument}), got the option ${text}`, {
      option: name,
    });
  };
  if (!isRepeatable(row)) return [declared.argParser(readValue)];
  const collect = (text: string, before: readonly unknown[] | undefined): readonly unknown[] => [
    ...(before ?? []),
    ...(readValue(text) as readonly unknown[]),
  ];
  return [declared.argParser(collect)];
}

/** Reads an option that may stand without a value: what else follows was meant for the command. */
const bareParser =
  (name: string, flag: string, row: Option) =>
  (text: string): unknown => {
    if (isNumber(text)) return readText(name, row, text);
    const bare = String(row.bare);
    throw new PupilError(
      'usage',
      `--${flag} takes a number or nothing (${bare}), got ${JSON.stringify(text)}; ` +
        `write --${flag}=${bare} if that is not its value`,
      { option: name },
    );
  };
