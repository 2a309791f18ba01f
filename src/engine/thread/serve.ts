import { workerData } from 'node:worker_threads';
import { invariant } from '../../errors.js';
import { answer, type Perform } from '../../threads/answer.js';
import { cell, type EngineRequest } from './protocol.js';

/** A loaded library: its version, how requests are answered, and how everything is freed. */
export interface Served<Request> {
  readonly version: string;
  readonly perform: Perform<Request>;
  close(): void | Promise<void>;
}

/**
 * The worker thread's end: loads the library with the settings that it is sent, then answers
 * requests. When `load` throws, the library is not available.
 */
export function serve<Request extends { readonly kind: string }>(
  load: (settings: unknown) => Served<Request> | Promise<Served<Request>>,
): void {
  const cells = new Int32Array(workerData as SharedArrayBuffer);
  let served: Served<Request> | undefined;
  const perform: Perform<EngineRequest<Request>> = async (request, transfer) => {
    if (isLoad(request)) {
      served = await load(request.settings);
      return served.version;
    }
    invariant(served, 'the library was not loaded');
    if (isClose(request)) return served.close();
    return served.perform(request, transfer);
  };
  answer<EngineRequest<Request>>(async (request, transfer) => {
    Atomics.store(cells, cell.busy, 1);
    try {
      if (Atomics.load(cells, cell.stopping) === 1) return undefined; // the process ends
      return await perform(request, transfer);
    } finally {
      Atomics.store(cells, cell.busy, 0);
      Atomics.notify(cells, cell.busy);
    }
  }, isClose);
}

type Load = Extract<EngineRequest<never>, { kind: 'load' }>;
type Close = Extract<EngineRequest<never>, { kind: 'close' }>;
const isLoad = (request: { readonly kind: string }): request is Load => request.kind === 'load';
const isClose = (request: { readonly kind: string }): request is Close => request.kind === 'close';
