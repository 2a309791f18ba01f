import type { Tensor } from '../../tensor.js';

/** Names of tensors in the store, and the model output that replaces each after a run (null: only read). */
export type StateMap = Readonly<Record<string, string | null>>;

/** What the worker needs to open a session. */
export interface SessionSettings {
  readonly threads: number | undefined;
  readonly optimization: 'disabled' | 'basic' | 'extended' | 'layout' | 'all';
  readonly providers: readonly string[];
  /** File prefix of a profile, written when the program closes. */
  readonly profile: string | undefined;
}

/** What the main thread asks of the worker. */
export type Request =
  | { readonly kind: 'open'; readonly program: number; readonly name: string; readonly model: Uint8Array; readonly state: StateMap;
      readonly settings: SessionSettings }
  | { readonly kind: 'run'; readonly program: number; readonly feeds: Readonly<Record<string, Tensor>> }
  | { readonly kind: 'time'; readonly program: number; readonly feeds: Readonly<Record<string, Tensor>>; readonly runs: number }
  | { readonly kind: 'release'; readonly program: number }
  | { readonly kind: 'write'; readonly state: ReadonlyMap<string, Tensor> }
  | { readonly kind: 'read'; readonly names: readonly string[] | undefined }
  | { readonly kind: 'remove'; readonly names: readonly string[] }
  | { readonly kind: 'close' };

/** A request with the number that its reply carries. */
export interface RequestMessage {
  readonly id: number;
  readonly request: Request;
}

/** What comes back: a value by kind of request (`run`: outputs, `read`: tensors, `time`: milliseconds), or an error's message. */
export type ReplyMessage =
  | { readonly kind: 'ready'; readonly version: string }
  | { readonly kind: 'unavailable'; readonly message: string }
  | { readonly kind: 'reply'; readonly id: number; readonly value?: unknown; readonly error?: string };

/**
 * Two shared 32-bit cells, for a process that ends while a session runs: onnxruntime aborts a thread that is torn down inside a
 * call, so the main thread says `stopping` and waits until the worker is not `busy`.
 */
export const cell = { busy: 0, stopping: 1 } as const;

/** What the worker thread is started with. */
export interface WorkerData {
  readonly cells: SharedArrayBuffer;
}
