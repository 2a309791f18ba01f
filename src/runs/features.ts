import type { Run } from '../artifact/run.js';
import type { PreparedImages } from '../data/prepare.js';
import { earlierLayer } from '../models/cuts.js';
import type { Model } from '../models/model.js';
import type { Features } from '../techniques/features.js';
import { featuresOf } from '../techniques/stored-features.js';
import type { RunContext } from './context.js';
import type { RunEvent } from './events.js';
import { reporting } from './relay.js';

/** The folder of a run that features of images are kept in, where no other is given (`featureCache`). */
export const featuresOfRun = (run: Run): string => run.file('features');

/** Layers before the features that are looked at, too. */
export const earlierLayers = (model: Model): string[] => {
  const layer = earlierLayer(model);
  return layer === undefined ? [] : [layer.name];
};

export interface RunFeatures {
  /** Indexes of images. */
  readonly subset: readonly number[];
  /** Default: the run's model, and its images for evaluation. */
  readonly model?: Model | undefined;
  readonly images?: PreparedImages | undefined;
  /** Of another model: what progress says after `features`. */
  readonly of?: string | undefined;
}

/**
 * Features of a run's images: of the last layer, then of an earlier one. All that looks at features
 * takes them here, so that a backbone runs once over each image.
 */
export function runFeatures(
  context: RunContext,
  { subset, model = context.model, images = context.images.evaluation, of = '' }: RunFeatures,
): AsyncGenerator<RunEvent, Features[], undefined> {
  const { engine, featureCache: cache, signal } = context;
  const earlier = earlierLayers(model);
  return reporting(`features${of}`, 'images', (onProgress) =>
    featuresOf(engine, model, { images, subset, earlier, cache, onProgress, signal }),
  );
}
