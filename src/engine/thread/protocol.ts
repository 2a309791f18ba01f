import type { ErrorCode } from '../../errors.js';

/** A request with the number that its reply carries. */
export interface RequestMessage<Request> {
  readonly id: number;
  readonly request: Request;
}

/** What comes back: a value by kind of request, or an error's message. */
export type ReplyMessage =
  | { readonly kind: 'ready'; readonly version: string }
  | { readonly kind: 'unavailable'; readonly message: string }
  | {
      readonly kind: 'reply';
      readonly id: number;
      readonly value?: unknown;
      readonly error?: string;
      /** Of a user's mistake. */ readonly code?: ErrorCode | undefined;
    };

/**
 * Two shared 32-bit cells, for a process that ends while a program runs: libraries abort a thread
 * that is torn down inside a call, so the main thread says `stopping` and waits until the worker is
 * not `busy`.
 */
export const cell = { busy: 0, stopping: 1 } as const;

/** What a worker thread is started with. */
export interface WorkerData {
  readonly cells: SharedArrayBuffer;
  readonly settings: unknown;
}
