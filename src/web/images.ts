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

/** Pixels that tell images apart. */
const looked = 65_536;

/** A text that copies of an image share: its size and two hashes of pixels from all over it. */
export function contentOf({ width, height, data }: Image): string {
  const step = 1 + 3 * Math.floor(data.length / (3 * looked)); // another channel each time
  let one = 0x811c9dc5,
    other = 0x01000193;
  for (let i = 0; i < data.length; i += step) {
    one = Math.imul(one ^ data[i]!, 0x01000193);
    other = Math.imul(other + data[i]!, 0x85ebca6b) ^ (other >>> 13);
  }
  return `${width}x${height} ${(one >>> 0).toString(16)} ${(other >>> 0).toString(16)}`;
}
