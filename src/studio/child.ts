import type { Failure } from '../threads/protocol.js';

/** What the studio and the process of a training say to each other. */
export interface ChildRequest {
  readonly command: 'learn' | 'train';
  readonly data: string | undefined;
  /** Checked by the table of the command. */
  readonly options: Readonly<Record<string, unknown>>;
}

export type ChildEvent =
  | { readonly type: 'plan' | 'rung' }
  | { readonly type: 'note'; readonly message: string }
  | { readonly type: 'training'; readonly index: number; readonly count: number }
  /** A part of such a training: epochs before it, and of all its parts. */
  | { readonly type: 'part'; readonly before: number; readonly all: number }
  /** Of a part; `epochs`: those that it has, told when it begins. */
  | { readonly type: 'steps'; readonly done: number; readonly total: number; readonly epochs?: number | undefined }
  | { readonly type: 'epoch'; readonly epoch: number; readonly loss: number }
  /** A picture of a batch, as base64: the answer to `batch`. */
  | { readonly type: 'batch'; readonly png: string }
  | { readonly type: 'evaluation'; readonly epoch: number; readonly top1: number | null }
  | { readonly type: 'end'; readonly state: 'finished' | 'stopped' }
  | { readonly type: 'end'; readonly state: 'failed'; readonly message: string };

/** What is asked of the process that tells how long a training would take; `out`: a folder that is thrown away. */
export interface ForecastRequest extends ChildRequest {
  readonly data: string;
  readonly out: string;
}

export type ForecastAnswer = { readonly seconds: number } | { readonly failure: Failure };
