/** The text of `--help`, from the rows of a command. */
import { techniqueDefaults } from '../options/training.js';
import { describeDefault, flagName, type Option } from '../options/option.js';
import { flagsOf, withFlags } from './messages.js';
import type { Command, CommandGroup } from './command.js';

/** How many options help shows unless it is asked for all. */
const shownFirst = 10;

export interface HelpOptions {
  /** Columns of the display. */
  readonly width: number;
  /** Every option, under its heading. */
  readonly all: boolean;
}

/** Help of one command; `path` is what is typed for it, `pupil train`. */
export function commandHelp(path: string, command: Command, { width, all }: HelpOptions): string {
  const offered = Object.entries(command.options).filter(
    ([name, row]) => flagName(name, row) && row.never === undefined,
  );
  const ranked = [...offered].sort(([, a], [, b]) => (a.rank ?? Infinity) - (b.rank ?? Infinity) || 0);
  const item = itemOf(flagsOf(command.options));
  const few = offered.length <= shownFirst + 1;
  const parts = [
    `Usage: ${[path, ...Object.keys(command.arguments), '[options]'].join(' ')}`,
    wrap(command.says, width),
  ];
  if (Object.keys(command.arguments).length > 0)
    parts.push(section('Arguments', Object.entries(command.arguments), width));
  if (all) {
    const groups = new Set(offered.map(([, { group }]) => group));
    for (const group of groups)
      parts.push(section(group, offered.filter(([, row]) => row.group === group).map(item), width));
  } else parts.push(section('Options', (few ? offered : ranked.slice(0, shownFirst)).map(item), width));
  if (!all && !few) parts.push(`${path} --help --all shows ${offered.length - shownFirst} more options.`);
  return `${[...parts, examples(command.examples)].join('\n\n')}\n`;
}

/** Help of commands under one name, or of the program. */
export function groupHelp(
  path: string,
  says: string,
  commands: readonly (Command | CommandGroup)[],
  lines: readonly string[],
  { width }: HelpOptions,
): string {
  const items = commands.map((one): Item => [one.name, one.says]);
  const parts = [
    `Usage: ${path} <command> [options]`,
    wrap(says, width),
    section('Commands', items, width),
    wrap(`${path} help <command> shows what a command takes.`.replace(/^pupil (\S+) help/, 'pupil help $1'), width),
    examples(lines),
  ];
  return `${parts.join('\n\n')}\n`;
}

const examples = (lines: readonly string[]): string => `Examples:\n${lines.map((line) => `  ${line}`).join('\n')}`;

type Item = readonly [term: string, text: string];

/** What help says of one option. */
const itemOf =
  (flags: ReadonlyMap<string, string>) =>
  ([name, row]: readonly [string, Option]): Item => [termOf(name, row), withFlags(helpOf(name, row), flags)];

/** `--mode <mode>`, `--cutmix [alpha]`, `--balance`, `--no-flip`. */
function termOf(name: string, row: Option): string {
  const flag = flagName(name, row) ?? name;
  if (row.kind.type === 'flag') return row.no === undefined ? `--${flag}` : `--no-${flag}`;
  const argument = row.argument ?? row.kind.argument;
  return row.bare === undefined ? `--${flag} <${argument}>` : `--${flag} [${argument}]`;
}

/** One line of help, the default at its end. */
export function helpOf(name: string, row: Option): string {
  if (row.no !== undefined) return row.no;
  const usual = describeDefault(row) ?? techniqueDefaults(name);
  const bare = row.bare === undefined ? '' : ` (${String(row.bare)} if no number follows)`;
  return `${row.says}${bare}${usual === undefined ? '' : ` (default: ${usual})`}`;
}

/** A heading and its items, in two columns. */
function section(heading: string, items: readonly Item[], width: number): string {
  const column = Math.min(30, Math.max(...items.map(([term]) => term.length)) + 2);
  const lines = items.map(([term, text]) => {
    const said = wrap(text, width - column - 2).replaceAll('\n', `\n${' '.repeat(column + 2)}`);
    return term.length + 2 > column ? `  ${term}\n${' '.repeat(column + 2)}${said}` : `  ${term.padEnd(column)}${said}`;
  });
  return `${heading}:\n${lines.join('\n')}`;
}

/** Text in lines of at most `width` columns. */
function wrap(text: string, width: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join('\n');
}
