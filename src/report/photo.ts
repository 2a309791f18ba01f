import { html, type Html } from './html.js';
import { placeOf } from './places.js';

/** An image inside the page. */
export interface Picture {
  readonly uri: string;
  /** Few enough pixels that each should be seen. */
  readonly tiny: boolean;
}

/** By path. */
export type Pictures = ReadonlyMap<string, Picture>;

export function photo(path: string, pictures: Pictures): Html {
  const picture = pictures.get(path),
    place = placeOf(path);
  return picture === undefined
    ? html`<span class="photo missing" title="${place}">not found</span>`
    : html`<img class="photo${picture.tiny ? ' pixels' : ''}" src="${picture.uri}" alt="${place}" title="${place}" />`;
}
