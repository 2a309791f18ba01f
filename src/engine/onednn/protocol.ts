import type { Graph } from '../../graph/graph.js';
import type { Tensor } from '../../tensor.js';

/** What the worker is started with. */
export interface WorkerSettings {
  readonly threads: number | undefined;
  readonly choices: Readonly<Record<string, unknown>>;
  /** File prefix of profiles, written when a program closes. */
  readonly profile: string | undefined;
}

/**
 * What the main thread asks of the worker; answers: `open` the choices so far, `has bfloat16`
 * whether the processor computes with it, `run` outputs, `read` tensors, `lend` views of the heap,
 * which both threads see.
 */
export type Request =
  | {
      readonly kind: 'open';
      readonly program: number;
      readonly graph: Graph;
      readonly state: Readonly<Record<string, string | null>>;
      readonly precision: 'f32' | 'bf16';
    }
  | { readonly kind: 'has bfloat16' }
  | { readonly kind: 'run'; readonly program: number; readonly feeds: Readonly<Record<string, Tensor>> }
  | { readonly kind: 'release'; readonly program: number }
  | { readonly kind: 'write'; readonly state: ReadonlyMap<string, Tensor> }
  | { readonly kind: 'lend'; readonly names: readonly string[] }
  | { readonly kind: 'read'; readonly names: readonly string[] | undefined }
  | { readonly kind: 'remove'; readonly names: readonly string[] };
