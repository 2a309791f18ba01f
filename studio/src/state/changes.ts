/** What it takes to give images the marks that a person wants them to have. */
import type { LabelChange } from '../protocol.ts';
import { accepted, classes, markOf } from './labels.ts';
import { classOf, isSame, type Change, type Mark } from './marks.ts';

export type Source = LabelChange['source'];

export interface Wanted {
  readonly id: number;
  readonly to: Mark;
  readonly source: Source;
}

/** Those that have the mark already are left alone. */
export const changesTo = (wanted: readonly Wanted[]): readonly Change[] =>
  wanted
    .map(({ id, to, source }): Change => ({ id, was: markOf(id), to, wasFrom: giverOf(id), source }))
    .filter(({ was, to }) => !isSame(was, to));

/** Who gave an image the label that it has. */
export const giverOf = (id: number): Source => (accepted.value.has(id) ? 'accepted' : 'person');

/** Classes that come into being by changes. */
export function newIn(changes: readonly Change[]): readonly string[] {
  const known = new Set(classes.value);
  return [...new Set(changes.flatMap(({ to }) => classOf(to) ?? []).filter((name) => !known.has(name)))];
}
