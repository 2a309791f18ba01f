import { makeBatch } from '../data/batch.js';
import type { LoaderImages } from '../data/loader.js';
import { toTarget, type Target } from '../data/target.js';
import { invariant } from '../errors.js';
import type { Image } from '../image/image.js';

/** A decoded image with the index of its class; -1: not known. */
export interface LabelledImage {
  readonly image: Image;
  readonly label: number;
}

/** Images in memory, at the size that a training or an evaluation takes them. */
export function imagesAt(images: readonly LabelledImage[], target: Target): LoaderImages {
  const at = images.map(({ image }) => toTarget(image, target));
  return {
    samples: images.map(({ label }, i) => ({ label, path: `image ${i + 1}` })),
    locations: at.map((image, i) => ({
      kind: 'source',
      item: { path: `image ${i + 1}`, source: { kind: 'pixels', image } },
    })),
    target,
    pool: {
      workers: 0,
      run: (task) =>
        makeBatch(task, (location) => {
          invariant(location.kind === 'source' && location.item.source.kind === 'pixels', 'not in memory');
          return { image: location.item.source.image, owned: false };
        }),
    },
  };
}
