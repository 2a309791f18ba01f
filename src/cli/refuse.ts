import type { Command, CommanderError } from 'commander';
import { PupilError } from '../errors.js';
import { nearest } from '../nearest.js';

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
  const path = pathOf(command);
  const help = `see pupil ${path === '' ? '' : `${path} `}--help`;
  const where = path === '' ? '' : ` for ${path}`;
  const flags = command.options.flatMap((item) => (item.long === undefined ? [] : [item.long])).concat('--help');
  const word = quoted(error.message);
  const unknownCommand = (name: string): string => {
    const names = command.commands.map((item) => item.name());
    const hint = meant(name, names) || `; the commands are ${names.join(', ')}`;
    return `unknown command ${[path, name].join(' ').trim()}${hint}`;
  };
  const line = ((): string => {
    switch (error.code) {
      case 'commander.unknownOption':
        return `unknown option ${word.split('=')[0]!}${where}${meant(word.split('=')[0]!, flags) || `; ${help}`}`;
      case 'commander.unknownCommand':
        return unknownCommand(word);
      case 'commander.optionMissingArgument':
        return `${word.split(' ')[0]!} needs a value (${word}); ${help}`;
      case 'commander.missingArgument':
        return `${path} needs <${word}>; ${help}`;
      case 'commander.excessArguments': {
        if (command.commands.length > 0) return unknownCommand(command.args[0]!);
        const names = command.registeredArguments.map((item) => `<${item.name()}>`).join(' ');
        const got = command.args.map((item) => JSON.stringify(item)).join(' ');
        return `${path} takes ${names === '' ? 'no arguments' : `only ${names}`}, got ${got}; ${help}`;
      }
      default:
        return `${error.message.replace(/^error: /, '')}; ${help}`;
    }
  })();
  return new PupilError('usage', line, { cause: error });
}
