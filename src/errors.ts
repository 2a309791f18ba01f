/** Stable codes of user-facing errors; scripts may rely on them. */
export type ErrorCode =
  | 'usage' // an unknown option or an impossible value
  | 'not-found' // a file, folder, model or node that does not exist
  | 'bad-data' // images, labels or manifests that cannot be used
  | 'bad-model' // a file that is not a usable ONNX model
  | 'unsupported' // a correct input that Pupil cannot handle
  | 'exists' // something that would be overwritten
  | 'io' // the disk is full, or a path cannot be written
  | 'network' // a download failed
  | 'diverged' // the loss became NaN or infinite
  | 'interrupted'; // Ctrl-C; the state was saved

/**
 * A mistake that its user can mend: says what, where, got and expected, and what to do, in one
 * line. The command line prints the message and exits 2 (130 for `interrupted`); any other error is
 * a fault of ours.
 */
export class PupilError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message.replace(/\s*\n\s*/g, ' '), options);
    this.name = 'PupilError';
    this.code = code;
  }
}

/** Throws a fault of ours (not a user's mistake) unless `condition` holds. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(message);
}
