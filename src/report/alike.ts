import type { AlikeFile, AlikeImage } from '../artifact/formats.js';
import { short } from './format.js';
import { html, type Html } from './html.js';
import { listOf, numberOf, objectOf, textOf } from './json.js';
import { photo, type Pictures } from './photo.js';

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

export const alikePaths = ({ pairs }: AlikeFile): string[] =>
  pairs.flatMap(({ first, second }) => [first.path, second.path]);

export function alikeBody({ count, pairs }: AlikeFile, pictures: Pictures): Html {
  const figure = ({ path, split, label }: AlikeImage): Html =>
    html`<figure>
      ${photo(path, pictures)}
      <figcaption>${split}${label === undefined ? '' : `, ${label}`}</figcaption>
    </figure>`;
  const few = count > pairs.length ? ` The first ${pairs.length} are shown.` : '';
  return html`<p class="lead">
      ${short(count)} ${count === 1 ? 'pair' : 'pairs'} of images in two splits that show nearly the same: accuracy
      looks better than it is. Move both to one split, or remove one.${few}
    </p>
    <div class="mistakes">${pairs.flatMap(({ first, second }) => [figure(first), figure(second)])}</div>`;
}
