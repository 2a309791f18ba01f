/** Stable codes of user-facing errors; scripts may rely on them. */
export type ErrorCode =
  | 'usage' // an unknown option or an impossible value
  | 'not-found' // a file, folder, model or node that does not exist
  | 'bad-data' // images, labels or manifests that cannot be used
  | 'bad-model' // a file that is not a usable ONNX model
  | 'unsupported' // a correct input that Pupil cannot handle
  | 'exists' // something that would be overwritten
  | 'busy' // a run folder that another process is at work in
  | 'io' // the disk is full, or a path cannot be written
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
 * prints the message and exits 2 (130 for `interrupted`, 1 for `crashed`); any other error is a bug in Pupil.
 */
export class PupilError extends Error {
  readonly code: ErrorCode;
  /** The option that the error is about, as the library spells it; undefined: none in particular. */
  readonly option: string | undefined;

  constructor(code: ErrorCode, message: string, { option, ...options }: PupilErrorOptions = {}) {
    super(message.replace(/\s*\n\s*/g, ' '), options);
    this.name = 'PupilError';
    this.code = code;
    this.option = option;
  }
}

/** The error as one about this option, if it is a user's mistake; `before` stands before its message. */
export const errorAbout = (option: string, error: unknown, before = ''): unknown =>
  error instanceof PupilError
    ? new PupilError(error.code, before + error.message, { option, cause: error.cause })
    : error;

/** Throws an error that is a bug in Pupil (not a user's mistake) unless `condition` holds. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(message);
}
