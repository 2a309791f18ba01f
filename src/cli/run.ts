import { CommanderError } from 'commander';
import { PupilError } from '../errors.js';
import { version } from '../version.js';
import { createProgram } from './program.js';
import type { Terminal } from './terminal.js';

/** Errors of the operating system that their user can mend, by Node's code. */
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
};

/** A user's mistake, if `error` is one: ours as they are, the operating system's translated. */
export function asUserError(error: unknown): PupilError | undefined {
  if (error instanceof PupilError) return error;
  if (error instanceof Error && error.name === 'AbortError')
    return new PupilError('interrupted', 'interrupted before anything was saved', { cause: error });
  const { code, path, dest } = (error ?? {}) as { code?: unknown; path?: unknown; dest?: unknown };
  const says = typeof code === 'string' ? systemErrors[code] : undefined;
  if (says === undefined) return undefined;
  const place = typeof dest === 'string' ? dest : typeof path === 'string' ? path : 'a file';
  return new PupilError(code === 'ENOENT' ? 'not-found' : 'io', `${place} ${says}`, { cause: error });
}

const oneLine = (message: string): string => message.replace(/\s*\n\s*/g, ' ').trim();

/**
 * Runs one command line (`argv` without node and script). Returns the exit code: 0 done, 2 a user's
 * mistake (one line on stderr), 130 interrupted with the state saved, 1 a fault of ours (its stack
 * is shown when PUPIL_DEBUG is set).
 */
export async function runCommandLine(argv: readonly string[], terminal: Terminal): Promise<number> {
  const debug = Boolean(process.env['PUPIL_DEBUG']);
  try {
    const program = createProgram(terminal, version);
    if (argv.length === 0) {
      terminal.err(program.helpInformation());
      throw new PupilError('usage', 'no command given; see pupil --help');
    }
    await program.parseAsync(argv, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const mistake = asUserError(error);
    if (mistake !== undefined) {
      terminal.err(`pupil: ${oneLine(mistake.message)}\n`);
      if (debug) terminal.err(`${mistake.stack ?? ''}\n`);
      return mistake.code === 'interrupted' ? 130 : 2;
    }
    const fault = error instanceof Error ? error : new Error(String(error));
    terminal.err(
      `pupil: internal error: ${oneLine(fault.message) || fault.name} (a fault of pupil's, not yours; ` +
        `${debug ? 'please report it with the lines below' : 'run again with PUPIL_DEBUG=1 and report what it prints'})\n`,
    );
    if (debug) terminal.err(`${fault.stack ?? ''}\n`);
    return 1;
  }
}
