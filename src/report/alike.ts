import type { AlikeFile, AlikeImage } from '../artifact/formats.js';
import type { Block } from './blocks.js';
import { short } from './format.js';
import { listOf, numberOf, objectOf, textOf } from './json.js';

/** Pairs that are shown. */
const shown = 20;

/** Reads alike.json; undefined without a pair. */
export function readAlike(value: unknown): AlikeFile | undefined {
  const file = objectOf(value);
  const pairs = listOf(file['pairs'])
    .slice(0, shown)
    .map((item) => {
      const pair = objectOf(item);
      return {
        first: readImage(pair['first']),
        second: readImage(pair['second']),
        samePixels: pair['samePixels'] === true,
      };
    });
  return pairs.length === 0 ? undefined : { count: Math.max(numberOf(file['count']), pairs.length), pairs };
}

function readImage(value: unknown): AlikeImage {
  const { path, split, label } = objectOf(value);
  return { path: textOf(path) ?? '', split: textOf(split) ?? '', label: textOf(label) };
}

/** Pairs beside each other, each image with its split and label. */
export function alikeBlocks({ count, pairs }: AlikeFile): Block[] {
  const few = count > pairs.length ? ` The first ${pairs.length} are shown.` : '';
  return [
    {
      type: 'text',
      text:
        `${short(count)} ${count === 1 ? 'pair' : 'pairs'} of images in two splits that show nearly the same: ` +
        `accuracy looks better than it is. Move both to one split, or remove one.${few}`,
    },
    {
      type: 'photos',
      images: pairs.flatMap(({ first, second }) =>
        [first, second].map(({ path, split, label }) => ({
          path,
          lines: [label === undefined ? split : `${split}, ${label}`],
        })),
      ),
    },
  ];
}
