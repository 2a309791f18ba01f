import { PupilError, type ErrorCode } from '../errors.js';

/** A request with the number that its reply carries. */
export interface NumberedRequest<Request> {
  readonly id: number;
  readonly request: Request;
}

/** What comes back: what the request was answered with, or what was thrown. */
export type Reply = { readonly id: number } & ({ readonly value: unknown } | { readonly failure: Failure });

/** An error as it can be sent from thread to thread. */
export interface Failure {
  readonly message: string;
  readonly stack?: string | undefined;
  /** Of a user's mistake, also of one that was wrapped. */
  readonly code?: ErrorCode | undefined;
  readonly option?: string | undefined;
}

/** The message of anything thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export function failureOf(error: unknown): Failure {
  const mistake = mistakeIn(error);
  return {
    message: messageOf(error),
    stack: error instanceof Error ? error.stack : undefined,
    code: mistake?.code,
    option: mistake?.option,
  };
}

const mistakeIn = (error: unknown): PupilError | undefined =>
  error instanceof PupilError ? error : error instanceof Error ? mistakeIn(error.cause) : undefined;

/** What was thrown in a thread that goes on. */
export class ThreadError extends Error {}

export const errorOf = ({ message, stack, code, option }: Failure): Error =>
  code === undefined ? Object.assign(new ThreadError(message), { stack }) : new PupilError(code, message, { option });
