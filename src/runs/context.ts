import type { Run } from '../artifact/run.js';
import type { Engine } from '../engine/engine.js';
import type { Model } from '../models/model.js';
import type { Ranks } from '../parallel/ranks.js';
import type { Backbone } from './consult.js';
import type { RunImages } from './images.js';
import type { Settings } from './resolve.js';
import type { Sharing } from './share.js';
import type { Teacher } from '../techniques/teacher.js';

/** The time of a training within a job, in place of its `minutes`. */
export interface StepsTime {
  /** Seconds for its steps from now on: asked when they begin, or go on in another session. */
  left(): number;
  /** Seconds of what follows them and has to be done in the job's time as well, at the pace of now. */
  readonly follows: number;
}

/** What every part of a training works with. */
export interface RunContext {
  readonly engine: Engine;
  readonly model: Model;
  readonly images: RunImages;
  readonly settings: Settings;
  readonly run: Run;
  /** The folder where features of images are kept. */
  readonly featureCache: string;
  /** Networks to learn from. */
  readonly teachers?: readonly Teacher[] | undefined;
  /** Networks whose features a consensus also looks at. */
  readonly backbones?: readonly Backbone[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Those that train together, of which this one leads; default it alone. */
  readonly ranks?: Ranks | undefined;
  /** Where other machines train the same network. */
  readonly sharing?: Sharing | undefined;
  readonly time?: StepsTime | undefined;
}

/** What a training made. */
export interface TrainedModel {
  readonly model: Model;
  readonly epoch: number;
  /** The share of its steps that its time allowed; absent: all, or it has none. */
  readonly completed?: number | undefined;
  /**
   * Logits of images that the model (or, with folds, its like) did not learn from, and which
   * images: indexes into `images.evaluation`.
   */
  readonly heldOut: { readonly logits: Float32Array; readonly indexes: readonly number[] };
}
