/** The command line: the list of commands, made known to commander. */
import { Command as Commander, Option as Flag, type CommanderError } from 'commander';
import { PupilError } from '../errors.js';
import { refuseUnaided } from '../options/option.js';
import type { Command, CommandGroup } from './command.js';
import { augment } from './commands/augment.js';
import { compare } from './commands/compare.js';
import { completion } from './commands/completion.js';
import { demo } from './commands/demo.js';
import { distill } from './commands/distill.js';
import { doctor } from './commands/doctor.js';
import { evaluate } from './commands/evaluate.js';
import { exporting } from './commands/export.js';
import { features } from './commands/features.js';
import { gap } from './commands/gap.js';
import { learn } from './commands/learn.js';
import { models } from './commands/models.js';
import { predict } from './commands/predict.js';
import { pseudoLabel } from './commands/pseudo-label.js';
import { report } from './commands/report.js';
import { search } from './commands/search.js';
import { selfTrain } from './commands/self-train.js';
import { serve } from './commands/serve.js';
import { shards } from './commands/shards.js';
import { label, studio, tryRun } from './commands/studio.js';
import { suggest } from './commands/suggest.js';
import { train } from './commands/train.js';
import { addOptions } from './flags.js';
import { commandHelp, groupHelp, type HelpOptions } from './help.js';
import { flagsOf } from './messages.js';
import { usageError } from './refuse.js';
import { jsonLine, type Terminal } from './terminal.js';

/** Every command, in the order of help. */
export const commands: readonly (Command | CommandGroup)[] = [
  demo,
  studio,
  label,
  tryRun,
  serve,
  train,
  learn,
  distill,
  selfTrain,
  search,
  gap,
  pseudoLabel,
  suggest,
  evaluate,
  compare,
  predict,
  features,
  shards,
  exporting,
  doctor,
  augment,
  models,
  report,
  completion(() => commands),
];

/** The commands that do something: those of groups instead of the groups. */
export const leaves: readonly Command[] = commands.flatMap((one) => ('commands' in one ? one.commands : [one]));

export interface Program {
  readonly commander: Commander;
  /** The flags of all options by the library's names; those of the command that runs first. */
  flags(): ReadonlyMap<string, string>;
}

const programSays =
  'Train small, accurate image classifiers from few labels. Exit codes: 0 success, 1 a cause that may pass ' +
  '(disk full, network) or a bug, 2 invalid input (with the fix), 130 interrupted (resumable).';
const programExamples = [
  'pupil demo                                              see it work on the bundled digits',
  'pupil train photos --model backbone.onnx --out runs/a   fine-tune a backbone on a folder of photos',
  'pupil predict runs/a photo.jpg                          what is in a photo',
];

/**
 * The command line. What a command does is loaded when it runs, so that `--help` is quick. `all`:
 * help shows every option; `json`: help and version are JSON too.
 */
export function createProgram(terminal: Terminal, version: string, { all = false, json = false } = {}): Program {
  const help: HelpOptions = { width: terminal.width, all };
  const tables = leaves.map(({ options }) => options);
  let flags = flagsOf(...tables);
  const setUp = (commander: Commander, text: () => string): Commander => {
    commander.helpInformation = text;
    return quiet(commander).configureOutput({
      writeOut: (text) => terminal.out(json ? jsonLine(text === `${version}\n` ? { version } : { help: text }) : text),
      writeErr: (line) => terminal.err(line),
      outputError: () => undefined,
    });
  };

  function add(parent: Commander, path: string, command: Command): void {
    const commander = setUp(parent.command(command.name), () => commandHelp(`${path} ${command.name}`, command, help));
    for (const usage of Object.keys(command.arguments))
      commander.argument(command.merge === undefined ? usage : usage.replace('<', '[').replace('>', ']'));
    addOptions(commander, command.options);
    const names = Object.keys(command.arguments).map((usage) => usage.replace(/[<>[\].]/g, ''));
    commander.action((...given: unknown[]) => {
      const values = Object.fromEntries(names.map((name, i) => [name, given[i]]));
      const { merge: folder, ...options } = given[names.length] as Readonly<Record<string, unknown>>;
      refuseUnaided(command.options, options);
      if (command.merge === undefined) return command.run(values, { merge: folder, ...options }, terminal);
      assertArguments(command, values, typeof folder === 'string');
      if (typeof folder === 'string') return command.merge(folder, options, terminal);
      return command.run(values, options, terminal);
    });
    parent.hook('preSubcommand', (_, child) => {
      if (child === commander) flags = flagsOf(...tables, command.options);
    });
  }

  /** Throws `usage` where arguments are missing, or given though parts are merged. */
  function assertArguments(
    { name, options, arguments: declared }: Command,
    values: Readonly<Record<string, unknown>>,
    isMerging: boolean,
  ): void {
    const isGiven = (value: unknown): boolean => (Array.isArray(value) ? value.length > 0 : value !== undefined);
    const [given] = Object.entries(values).find(([, value]) => isGiven(value)) ?? [];
    if (isMerging && given !== undefined)
      throw new PupilError('usage', `${name} with \`merge\` takes no <${given}>: the parts are all that it reads`, {
        option: 'merge',
      });
    const required = Object.keys(declared).filter((usage) => usage.startsWith('<'));
    const missing = required.map((usage) => usage.replace(/[<>.]/g, '')).find((one) => !isGiven(values[one]));
    if (isMerging || missing === undefined) return;
    flags = flagsOf(...tables, options);
    throw new PupilError('usage', `${name} needs <${missing}>; see pupil ${name} --help`);
  }

  const program = setUp(new Commander('pupil'), () => groupHelp('pupil', programSays, commands, programExamples, help))
    .version(version, '-V, --version', 'show the version')
    .enablePositionalOptions() // what follows a command is the command's
    .helpCommand(false);
  for (const one of commands) {
    if (!('commands' in one)) {
      add(program, 'pupil', one);
      continue;
    }
    const path = `pupil ${one.name}`;
    const group = setUp(program.command(one.name), () => groupHelp(path, one.says, one.commands, one.examples, help))
      .enablePositionalOptions()
      .addOption(new Flag('--json').hideHelp()); // without a command: of the error below
    for (const child of one.commands) add(group, path, child);
    group.action(() => {
      const names = one.commands.map(({ name }) => name).join(', ');
      throw new PupilError('usage', `${one.name} needs one of ${names}; see pupil ${one.name} --help`);
    });
  }
  return { commander: program, flags: () => flags };
}

/**
 * `pupil help train` as `pupil train --help`; a command that is not there is left to be refused.
 * Anything else stays as it is.
 */
export function asHelpFlag(argv: readonly string[]): readonly string[] {
  if (argv[0] !== 'help') return argv;
  const words = argv.slice(1).filter((word) => !word.startsWith('-'));
  const [name, child] = words;
  const top = commands.find((one) => one.name === name);
  const known =
    name === undefined ||
    (top !== undefined &&
      (child === undefined || ('commands' in top && top.commands.some((one) => one.name === child))));
  return known ? [...argv.slice(1), '--help'] : words;
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
    .allowExcessArguments(false);
}
