/** From a table of options to commander's declarations. */
import { Option as Flag, type Command } from 'commander';
import { PupilError } from '../errors.js';
import { isNumber } from '../options/kinds.js';
import { describeDefault, flagName, readText, type Option, type Options } from '../options/option.js';

/** Declares every option of a table that has a flag, group by group. */
export function addOptions(command: Command, table: Options): Command {
  const groups = new Set(Object.values(table).map(({ group }) => group));
  for (const group of groups) {
    command.optionsGroup(`${group}:`);
    for (const [name, row] of Object.entries(table))
      if (row.group === group) for (const flag of flagsOf(name, row)) command.addOption(flag);
  }
  return command;
}

/** The flags of one option: none, one, or `--name` and `--no-name`. */
function flagsOf(name: string, row: Option): Flag[] {
  const flag = flagName(name, row);
  if (flag === undefined) return [];
  const help = helpOf(row);
  const declare = (flags: string): Flag => {
    const declared = new Flag(flags, help);
    declared.attributeName = () => name;
    return declared;
  };
  if (row.never !== undefined) {
    const explain = (): never => readText(name, row, '') as never;
    return [declare(`--${flag} [value]`).argParser(explain).hideHelp()];
  }
  if (row.kind.type === 'flag') return yesOrNo(declare, flag, row);
  const argument = row.argument ?? row.kind.argument;
  if (row.bare !== undefined) {
    return [
      declare(`--${flag} [${argument}]`)
        .preset(String(row.bare))
        .argParser(bareParser(name, flag, row)),
    ];
  }
  const declared = declare(`--${flag} <${argument}>`);
  if (row.kind.type === 'list' && row.kind.argument !== 'list') {
    const collect = (text: string, before: readonly unknown[] | undefined): readonly unknown[] => [
      ...(before ?? []),
      ...(readText(name, row, text) as readonly unknown[]),
    ];
    return [declared.argParser(collect)];
  }
  return [declared.argParser((text: string) => readText(name, row, text))];
}

/** Where yes is usual, `--no-name` is what help shows; the other one is understood too. */
function yesOrNo(declare: (flags: string) => Flag, flag: string, { usual }: Option): Flag[] {
  const yes = declare(`--${flag}`),
    no = declare(`--no-${flag}`);
  if (usual === false || usual === undefined) return [yes, no.hideHelp()];
  no.description = `without: ${no.description}`;
  return [yes.hideHelp(), no];
}

/** Reads an option that may stand without a value: what else follows was meant for the command. */
const bareParser =
  (name: string, flag: string, row: Option) =>
  (text: string): unknown => {
    if (isNumber(text)) return readText(name, row, text);
    const bare = String(row.bare);
    throw new PupilError(
      'usage',
      `--${flag} takes a number or nothing (${bare}), got ${JSON.stringify(text)}; write --${flag}=${bare} if that is not its value`,
      { option: name },
    );
  };

/** One line of help, the default at its end. */
export function helpOf(row: Option): string {
  const usual = describeDefault(row);
  const bare = row.bare === undefined ? '' : ` (${String(row.bare)} if no number follows)`;
  return `${row.says}${bare}${usual === undefined ? '' : ` (default ${usual})`}`;
}
