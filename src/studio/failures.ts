import type { Hono } from 'hono';
import { PupilError, type ErrorCode } from '../errors.js';
import { Malformed } from './bodies.js';
import { failure } from './safety.js';

const statusOf: Readonly<Partial<Record<ErrorCode, 400 | 404 | 409 | 500>>> = {
  'not-found': 404,
  'busy': 409,
  'exists': 409,
  'interrupted': 409,
  'bad-path': 500,
  'io': 500,
  'crashed': 500,
};

/** Errors as `Failure`; of those that are bugs, nothing is told but that, and which request met it. */
export function answerErrors(app: Hono): void {
  app.onError((error, context) => {
    const request = `${context.req.method} ${context.req.path}`;
    if (error instanceof Malformed) return context.json(failure(error.code, `${request}: ${error.message}`), 400);
    if (error instanceof PupilError)
      return context.json(failure(error.code, error.message), statusOf[error.code] ?? 400);
    process.stderr.write(`pupil: internal error: ${request}: ${error.message}\n`);
    return context.json(failure('internal', `${request}: an internal error (a bug in Pupil)`), 500);
  });
}
