import { CommanderError } from 'commander';
import { PupilError } from '../errors.js';
import { version } from '../version.js';
import { exitCodes, type FailureCode } from './exit-codes.js';
import { resumeCommand } from './last-words.js';
import { withFlags } from './messages.js';
import { asHelpFlag, createProgram } from './program.js';
import { printable } from './table.js';
import { isJsonLine, jsonLine, shown, type Terminal } from './terminal.js';
import { asUserError } from './user-error.js';

const oneLine = (message: string): string => message.replace(/\s*\n\s*/g, ' ').trim();

/**
 * Runs one command line (`argv` without node and script). Returns the exit code: 0 done, or one of
 * `exitCodes`, with one line on stderr that says how to mend it (and the stack when PUPIL_DEBUG is set).
 * With `--json` stdout gets one object: the result, an error, help or the version. `onFailure` gets the error.
 */
export async function runCommandLine(
  argv: readonly string[],
  terminal: Terminal,
  onFailure?: (error: unknown) => void,
): Promise<number> {
  let printed = false;
  const json = argv.includes('--json'),
    words = argv.filter((word) => word !== '--json');
  const program = createProgram(
    {
      ...terminal,
      out: (text) => {
        printed = true;
        terminal.out(isJsonLine(text) ? text : shown(withFlags(text, program.flags())));
      },
      err: (text) => terminal.err(shown(withFlags(text, program.flags()))),
    },
    version,
    { all: argv.includes('--all'), json },
  );
  try {
    if (words.length === 0) {
      terminal.err(program.commander.helpInformation());
      throw new PupilError('usage', 'no command given; see pupil --help');
    }
    await program.commander.parseAsync(asHelpFlag(argv), { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const failure = describeFailure(error, program.flags());
    terminal.err(failure.line);
    if (process.env['PUPIL_DEBUG'])
      terminal.err(shown(`${error instanceof Error ? (error.stack ?? '') : String(error)}\n`));
    if (json && !printed) terminal.out(jsonLine({ error: failure.error }));
    onFailure?.(asUserError(error) ?? error);
    return failure.exitCode;
  }
}

interface Failure {
  readonly exitCode: FailureCode;
  /** For stderr. */
  readonly line: string;
  /** For `--json`. */
  readonly error: { readonly code: string; readonly message: string; readonly option?: string | undefined };
}

/** An error in the words of the command line: its message has options as `flags`; `option` is the library's name. */
export function describeFailure(error: unknown, flags: ReadonlyMap<string, string>): Failure {
  const mistake = asUserError(error);
  if (mistake === undefined) {
    const fault = error instanceof Error ? error : new Error(String(error));
    const message = oneLine(fault.message) || fault.name,
      resume = resumeCommand();
    const next = process.env['PUPIL_DEBUG']
      ? 'please report it with the lines below'
      : 'run again with PUPIL_DEBUG=1 and report what it prints';
    return {
      exitCode: exitCodes.internal,
      line:
        `pupil: internal error: ${printable(message)} (a bug in pupil, not in your input; ${next}` +
        `${resume === undefined ? '' : `; what was saved is kept: ${printable(resume)}`})\n`,
      error: { code: 'internal', message },
    };
  }
  const { code, option } = mistake;
  const message = oneLine(withFlags(mistake.message, flags));
  return {
    exitCode: exitCodes[code],
    line: `pupil: ${printable(message)}\n`,
    error: { code, message, option },
  };
}
