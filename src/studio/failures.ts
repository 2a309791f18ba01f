import type { Hono } from 'hono';
import { PupilError, type ErrorCode } from '../errors.js';
import { failure } from './safety.js';

const statusOf: Readonly<Partial<Record<ErrorCode, 400 | 404 | 409 | 500>>> = {
  'not-found': 404,
  'busy': 409,
  'exists': 409,
  'bad-path': 500,
  'io': 500,
  'crashed': 500,
};

/** Errors as `Failure`; of those that are bugs, nothing is told but that. */
export function answerErrors(app: Hono): void {
  app.onError((error, context) => {
    if (error instanceof PupilError)
      return context.json(failure(error.code, error.message), statusOf[error.code] ?? 400);
    process.stderr.write(`pupil: internal error: ${error.message}\n`);
    return context.json(failure('internal', 'an internal error (a bug in Pupil)'), 500);
  });
}
