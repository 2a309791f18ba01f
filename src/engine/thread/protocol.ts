/**
 * Two shared 32-bit cells, for a process that ends while a program runs: libraries abort a thread
 * that is torn down inside a call, so the main thread says `stopping` and waits until the worker is
 * not `busy`.
 */
export const cell = { busy: 0, stopping: 1 } as const;

/** What every engine's worker is asked first and last, and the engine's own requests in between. */
export type EngineRequest<Request> =
  { readonly kind: 'load'; readonly settings: unknown } | { readonly kind: 'close' } | Request;
