/** Stable codes of user-facing errors; scripts may rely on them. */
export type ErrorCode =
  | 'usage' // an unknown option or an impossible value
  | 'not-found' // a file, folder, model or node that does not exist
  | 'bad-data' // images, labels or manifests that cannot be used
  | 'bad-model' // a file that is not a usable ONNX model
  | 'unsupported' // a correct input that Pupil cannot handle
  | 'exists' // something that would be overwritten
  | 'busy' // a run folder that another process is at work in
  | 'bad-path' // a path or address that may not be read or written, or cannot be of that name
  | 'io' // the disk is full, or a disk or share is gone
  | 'network' // a download failed
  | 'diverged' // the loss became NaN or infinite
  | 'crashed' // a worker thread that died, of want of memory for one
  | 'interrupted'; // Ctrl-C; the state was saved

/** What caused an error, and which option it is about. */
export interface PupilErrorOptions extends ErrorOptions {
  readonly option?: string | undefined;
}

/**
 * A mistake that its user can mend: says what, where, got and expected, and what to do, in one
 * line. Options are named in backticks as the library spells them (`labelsPerClass`, or with a
 * value: `mode: finetune`); the command line shows them as its flags (`--labels-per-class`). It
 * prints the message; its exit code follows from `code` (`cli/exit-codes.ts`). Any other error is a bug in Pupil.
 * Addresses stand in the message without their query, which may hold a signature.
 */
export class PupilError extends Error {
  readonly code: ErrorCode;
  /** The option that the error is about, as the library spells it; undefined: none in particular. */
  readonly option: string | undefined;

  constructor(code: ErrorCode, message: string, { option, ...options }: PupilErrorOptions = {}) {
    super(withoutQueries(message.replace(/\s*\n\s*/g, ' ')), options);
    this.name = 'PupilError';
    this.code = code;
    this.option = option;
  }
}

/** A text in which addresses end before their query; what follows them, such as a colon, is no part of it. */
const withoutQueries = (text: string): string =>
  text.replace(/(https?:\/\/[^\s?#]+)\?[^\s]*?(?=[:;,.)"'`\]]*(?:\s|$))/gi, '$1');

/** What an error says of a file, without its path at the beginning. */
export function withoutPath({ code, message }: PupilError, path: string): string {
  const prefix = new PupilError(code, `${path}: `).message; // on one line, as the message is
  return message.startsWith(prefix) ? message.slice(prefix.length) : message;
}

/** System errors, by Node's code, that the next try meets again: only another path, or other rights, help. */
const ofPaths: readonly unknown[] = [
  ...['EACCES', 'EPERM', 'EROFS', 'EISDIR', 'ENOTDIR', 'EEXIST', 'ENOTEMPTY', 'ENOENT', 'ENAMETOOLONG', 'ELOOP'],
  ...['ENXIO', 'EFBIG'],
];

/** The code of an error of the operating system: `bad-path`, or `io` for what may pass. */
export const codeOfSystemError = (systemCode: unknown): 'bad-path' | 'io' =>
  ofPaths.includes(systemCode) ? 'bad-path' : 'io';

/** The error as one about this option, if it is a user's mistake; `before` stands before its message. */
export const errorAbout = (option: string, error: unknown, before = ''): unknown =>
  error instanceof PupilError
    ? new PupilError(error.code, before + error.message, { option, cause: error.cause })
    : error;

/** Throws an error that is a bug in Pupil (not a user's mistake) unless `condition` holds. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(message);
}
