import type { Command, CommanderError } from 'commander';
import { PupilError } from '../errors.js';
import { nearest } from '../nearest.js';
import { printable } from './table.js';

/** The command's name as one types it, without `pupil`. */
const pathOf = (command: Command): string =>
  command.parent === null ? '' : `${pathOf(command.parent)} ${command.name()}`.trim();

const quoted = (message: string): string => /'(.*)'/s.exec(message)?.[1] ?? '';
const meant = (word: string, candidates: readonly string[]): string => {
  const near = nearest(word, candidates);
  return near === undefined ? '' : `; did you mean ${near}?`;
};

/** The one line that answers a command line that commander cannot read. */
export function usageError(error: CommanderError, command: Command): PupilError {
  const { line, option } = described(error, command);
  return new PupilError('usage', line, { option, cause: error });
}

interface Described {
  readonly line: string;
  /** The option that it is about, as the library spells it. */
  readonly option?: string | undefined;
}

function described(error: CommanderError, command: Command): Described {
  const path = pathOf(command);
  const help = `see pupil ${path === '' ? '' : `${path} `}--help`;
  const where = path === '' ? '' : ` for ${path}`;
  const flags = command.options.flatMap((item) => (item.long === undefined ? [] : [item.long])).concat('--help');
  const word = quoted(error.message);
  const unknownCommand = (name: string): string => {
    const names = command.commands.map((item) => item.name());
    const hint = meant(name, names) || `; the commands are ${names.join(', ')}`;
    return `unknown command ${printable([path, name].join(' ').trim())}${hint}`;
  };
  switch (error.code) {
    case 'commander.unknownOption': {
      const flag = word.split('=')[0]!;
      const line = `unknown option ${printable(flag)}${where}${meant(flag, flags) || `; ${help}`}`;
      return { line, option: optionOf(nearest(flag, flags) ?? flag, command) };
    }
    case 'commander.unknownCommand':
      return { line: unknownCommand(word) };
    case 'commander.optionMissingArgument': {
      const [flag = ''] = word.split(' ');
      return { line: `${flag} needs a value (${word}); ${help}`, option: optionOf(flag, command) };
    }
    case 'commander.missingArgument':
      return { line: `${path} needs <${word}>; ${help}` };
    case 'commander.excessArguments': {
      if (command.commands.length > 0) return { line: unknownCommand(command.args[0]!) };
      const names = command.registeredArguments.map((item) => `<${item.name()}>`).join(' ');
      const got = command.args.map((item) => JSON.stringify(item)).join(' ');
      return { line: `${path} takes ${names === '' ? 'no arguments' : `only ${names}`}, got ${got}; ${help}` };
    }
    default:
      return { line: `${error.message.replace(/^error: /, '')}; ${help}` };
  }
}

/** The library's name of a flag's option; of an unknown flag, its name written like one. */
const optionOf = (flag: string, { options }: Command): string =>
  options.find(({ long }) => long === flag)?.attributeName() ??
  flag.replace(/^-+/, '').replace(/-+(\w?)/g, (_, letter: string) => letter.toUpperCase());
