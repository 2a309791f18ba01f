import type { ErrorCode } from '../errors.js';

/** How a command that failed ends. */
export type FailureCode = 1 | 2 | 130;

/**
 * The exit code of a command that ended with an error, as schedulers need it: 2 invalid input, the next try
 * ends the same; 1 a cause that may pass, or a bug (`internal`): try a few times; 130 interrupted: try again.
 */
export const exitCodes: Readonly<Record<ErrorCode | 'internal', FailureCode>> = {
  'usage': 2,
  'not-found': 2,
  'bad-data': 2,
  'bad-model': 2,
  'bad-path': 2,
  'unsupported': 2,
  'exists': 2,
  'diverged': 2,
  'busy': 1,
  'io': 1,
  'network': 1,
  'crashed': 1,
  'internal': 1,
  'interrupted': 130,
};
