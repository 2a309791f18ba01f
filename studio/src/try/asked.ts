/** What the page and its worker say to each other about a model. */
import type { Prediction } from '../protocol.ts';

export interface Request {
  readonly number: number;
  /** The run whose model it is. */
  readonly run: string;
  /** Of the model: another one is another text. */
  readonly version: string | undefined;
  readonly image: Blob;
}

export interface Response {
  readonly number: number;
  readonly result: (Prediction & { readonly provider: Provider }) | Failed;
}

export type Provider = 'webgpu' | 'wasm';

export interface Failed {
  readonly failed: string;
  /** Whether the model does not run here at all: of images, another may be decoded. */
  readonly isModel: boolean;
}
