/** What of all that can be thrown is a user's to mend. */
import { codeOfSystemError, PupilError } from '../errors.js';

/** Errors of the operating system that are no bugs, by Node's code. */
const systemErrors: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'may not be read or written',
  EPERM: 'may not be read or written',
  ENOSPC: 'cannot be written: the disk is full; free some space',
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
