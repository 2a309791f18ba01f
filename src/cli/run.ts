import { CommanderError } from 'commander';
import { codeOfSystemError, PupilError } from '../errors.js';
import { version } from '../version.js';
import { exitCodes, type FailureCode } from './exit-codes.js';
import { resumeCommand } from './last-words.js';
import { withFlags } from './messages.js';
import { asHelpFlag, createProgram } from './program.js';
import { printable } from './table.js';
import { isJsonLine, jsonLine, shown, type Terminal } from './terminal.js';

/** Errors of the operating system that are no bugs, by Node's code. */
const systemErrors: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'may not be read or written',
  EPERM: 'may not be read or written',
  ENOSPC: 'cannot be written: the disk is full',
  EROFS: 'cannot be written: the file system is read-only',
  EISDIR: 'is a folder, not a file',
  ENOTDIR: 'is not a folder',
  EMFILE: 'cannot be opened: too many open files (raise ulimit -n)',
  EDQUOT: 'cannot be written: the disk quota is used up',
  ENAMETOOLONG: 'is too long a name',
  EFBIG: 'cannot be written: the file would be too large',
  EIO: 'cannot be read or written: the disk reported a fault',
  ESTALE: 'cannot be read or written: the share was lost',
  ENOTCONN: 'cannot be read or written: the share was lost',
  EHOSTDOWN: 'cannot be read or written: the server of the share does not answer',
};

/** A user's mistake, if `error` is one: ours as they are, the operating system's translated. */
export function asUserError(error: unknown): PupilError | undefined {
  if (error instanceof PupilError) return error;
  if (error instanceof Error && error.name === 'AbortError')
    return new PupilError('interrupted', 'interrupted before anything was saved', { cause: error });
  if (error instanceof Error && error.name === 'NotCapable')
    return new PupilError('unsupported', `${error.message}; pupil needs deno run --allow-all`, { cause: error });
  const { code, path, dest } = (error ?? {}) as { code?: unknown; path?: unknown; dest?: unknown };
  const says = typeof code === 'string' ? systemErrors[code] : undefined;
  if (says === undefined) return undefined;
  const place = typeof dest === 'string' ? dest : typeof path === 'string' ? path : 'a file';
  return new PupilError(code === 'ENOENT' ? 'not-found' : codeOfSystemError(code), `${place} ${says}`, {
    cause: error,
  });
}

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
