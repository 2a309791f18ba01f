import type { Tensor } from '../../tensor.js';

/**
 * Names of tensors in the store, and the model output that replaces each after a run (null: only
 * read).
 */
export type StateMap = Readonly<Record<string, string | null>>;

/** What the worker needs to open a session. */
export interface SessionSettings {
  readonly threads: number | undefined;
  readonly optimization: 'disabled' | 'basic' | 'extended' | 'layout' | 'all';
  readonly providers: readonly string[];
  /** File prefix of a profile, written when the program closes. */
  readonly profile: string | undefined;
}

/**
 * What the main thread asks of the worker; answers: `run` outputs, `read` tensors, `time`
 * milliseconds. `device` makes the store keep its float32 tensors in the memory of the providers'
 * device, `copy` being the model that moves them; `resident` names the outputs that stay there.
 */
export type Request =
  | { readonly kind: 'device'; readonly providers: readonly string[]; readonly copy: Uint8Array }
  | {
      readonly kind: 'open';
      readonly program: number;
      readonly name: string;
      readonly model: Uint8Array;
      readonly state: StateMap;
      readonly resident: readonly string[];
      readonly settings: SessionSettings;
    }
  | { readonly kind: 'run'; readonly program: number; readonly feeds: Readonly<Record<string, Tensor>> }
  | {
      readonly kind: 'time';
      readonly program: number;
      readonly feeds: Readonly<Record<string, Tensor>>;
      readonly runs: number;
    }
  | { readonly kind: 'release'; readonly program: number }
  | { readonly kind: 'write'; readonly state: ReadonlyMap<string, Tensor> }
  | { readonly kind: 'read'; readonly names: readonly string[] | undefined }
  | { readonly kind: 'remove'; readonly names: readonly string[] };
