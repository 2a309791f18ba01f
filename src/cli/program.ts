/** The command line: the list of commands, made known to commander. */
import { Command as Commander, type CommanderError } from 'commander';
import { PupilError } from '../errors.js';
import type { Command, CommandGroup } from './command.js';
import { augment } from './commands/augment.js';
import { demo } from './commands/demo.js';
import { distill } from './commands/distill.js';
import { doctor } from './commands/doctor.js';
import { evaluate } from './commands/evaluate.js';
import { exporting } from './commands/export.js';
import { gap } from './commands/gap.js';
import { learn } from './commands/learn.js';
import { models } from './commands/models.js';
import { predict } from './commands/predict.js';
import { pseudoLabel } from './commands/pseudo-label.js';
import { report } from './commands/report.js';
import { search } from './commands/search.js';
import { selfTrain } from './commands/self-train.js';
import { train } from './commands/train.js';
import { addOptions } from './flags.js';
import { flagsOf } from './messages.js';
import { usageError } from './refuse.js';
import type { Terminal } from './terminal.js';

/** Every command, in the order of help. */
export const commands: readonly (Command | CommandGroup)[] = [
  demo,
  train,
  learn,
  distill,
  selfTrain,
  search,
  gap,
  pseudoLabel,
  evaluate,
  predict,
  exporting,
  doctor,
  augment,
  models,
  report,
];

/** The commands that do something: those of groups instead of the groups. */
export const leaves: readonly Command[] = commands.flatMap((one) => ('commands' in one ? one.commands : [one]));

export interface Program {
  readonly commander: Commander;
  /** The flags of all options by the library's names; those of the command that runs first. */
  flags(): ReadonlyMap<string, string>;
}

const examplesText = (lines: readonly string[]): string =>
  `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}\n`;

/** The command line. What a command does is loaded when it runs, so that `--help` is quick. */
export function createProgram(terminal: Terminal, version: string): Program {
  const output = {
    writeOut: (text: string) => terminal.out(text),
    writeErr: (text: string) => terminal.err(text),
    outputError: () => undefined,
    getOutHelpWidth: () => terminal.width,
    getErrHelpWidth: () => terminal.width,
  };
  const tables = leaves.map(({ options }) => options);
  let flags = flagsOf(...tables);
  const setUp = (commander: Commander, says: string, examples: readonly string[]): Commander =>
    quiet(commander).configureOutput(output).description(says).addHelpText('after', examplesText(examples));

  function add(parent: Commander, command: Command): void {
    const commander = setUp(parent.command(command.name), command.says, command.examples);
    for (const [usage, says] of Object.entries(command.arguments)) commander.argument(usage, says);
    addOptions(commander, command.options);
    const names = Object.keys(command.arguments).map((usage) => usage.replace(/[<>[\].]/g, ''));
    commander.action((...given: unknown[]) => {
      const values = Object.fromEntries(names.map((name, i) => [name, given[i]]));
      return command.run(values, given[names.length] as Readonly<Record<string, unknown>>, terminal);
    });
    parent.hook('preSubcommand', (_, child) => {
      if (child === commander) flags = flagsOf(...tables, command.options);
    });
  }

  const program = setUp(new Commander('pupil'), 'Train small, accurate image classifiers from few labels.', [
    'pupil demo                                              see it work on the bundled digits',
    'pupil train photos --model backbone.onnx --out runs/a   fine-tune a backbone on a folder of photos',
    'pupil predict runs/a photo.jpg                          what is in a photo',
  ])
    .version(version, '-V, --version', 'show the version')
    .usage('COMMAND [options]')
    .helpCommand(false);
  for (const one of commands) {
    if (!('commands' in one)) {
      add(program, one);
      continue;
    }
    const group = setUp(program.command(one.name), one.says, one.examples).usage('COMMAND');
    for (const child of one.commands) add(group, child);
    group.action(() => {
      const names = one.commands.map(({ name }) => name).join(', ');
      throw new PupilError('usage', `${one.name} needs one of ${names}; see pupil ${one.name} --help`);
    });
  }
  return { commander: program, flags: () => flags };
}

/**
 * Usage errors are thrown as PupilErrors; help and version end as commander's own errors with exit
 * code 0.
 */
function quiet(command: Commander): Commander {
  return command
    .exitOverride((error: CommanderError) => {
      if (error.exitCode === 0) throw error;
      throw usageError(error, command);
    })
    .showSuggestionAfterError(false)
    .allowExcessArguments(false)
    .helpOption('-h, --help', 'show this help')
    .configureHelp({ sortSubcommands: false, optionDescription: (item) => item.description });
}
