/** What the labelling section shows: which images, how, and which of them are chosen. */
import { batch, computed, signal } from '@preact/signals';
import { drawn, predictions, proposed, type Supply } from '../state/assistant.ts';
import { present } from '../state/folder.ts';
import { classes, markOf, marks } from '../state/labels.ts';
import { classOf, isAside } from '../state/marks.ts';

export type Show =
  /** What is proposed next, or of that the images alone that are drawn at random. */
  | { readonly kind: 'next' | 'random' }
  | { readonly kind: 'suggested' | 'unlabelled' | 'all' | 'aside' }
  | { readonly kind: 'class'; readonly name: string }
  /** Images most like one, nearest first. */
  | { readonly kind: 'alike'; readonly id: number; readonly ids: readonly number[] };

const shown = signal<Show>({ kind: 'next' });
export const show = computed(() => shown.value);
/** Where the images come from that are shown, if there are more and more of them. */
export const supply = computed<Supply | undefined>(() => {
  const { kind } = shown.value;
  return kind === 'next' ? proposed : kind === 'random' ? drawn : undefined;
});
export const isSingle = signal(false);
/** Columns of the grid, as wide as it is. */
export const columns = signal(1);
/** Pixels that a cell should have at least. */
export const cellSize = signal(168);

/** Confidence from which on suggestions are shown. */
export const leastSure = signal(0.8);
/** What the model suggests for images without a label, as sure as that. */
export const suggested = computed(() =>
  [...predictions.value].flatMap(([id, said]) =>
    said.confidence >= leastSure.value && !marks.value.has(id) ? [{ id, ...said }] : [],
  ),
);

export const ids = computed<readonly number[]>(() => {
  const { value } = shown;
  if (supply.value !== undefined) return supply.value.list.value.map(({ id }) => id);
  if (value.kind === 'alike') return [value.id, ...value.ids];
  const all = present.value.map(({ id }) => id);
  if (value.kind === 'all') return all;
  if (value.kind === 'class') return all.filter((id) => classOf(marks.value.get(id) ?? null) === value.name);
  if (value.kind === 'aside') return all.filter((id) => isAside(marks.value.get(id) ?? null));
  if (value.kind === 'suggested') return all.filter((id) => predictions.value.has(id) && !marks.value.has(id));
  return all.filter((id) => !marks.value.has(id));
});

/** Whether an image stays in the list when it gets another label. */
export const isLasting = computed(() => ['next', 'random', 'alike', 'all'].includes(shown.value.kind));

const wantedAt = signal(0);
/** Whether the focus has gone past the last image, after this got its label: nothing is done to it a second time. */
export const isPast = computed(() => isLasting.value && ids.value.length > 0 && wantedAt.value >= ids.value.length);
/** Whether the image that gets the focus is on its way. */
export const isComing = computed(() => isPast.value && supply.value?.isAsking.value === true);
/** The place of the image that has the focus. */
export const at = computed(() => Math.max(0, Math.min(wantedAt.value, ids.value.length - 1)));
export const focused = computed(() => ids.value[at.value]);

/** Among suggestions, the image that has the keyboard. */
export const picked = signal<number | null>(null);

export const selection = signal<ReadonlySet<number>>(new Set());
/** From where a range is chosen. */
let anchor = 0;

export function showImages(next: Show): void {
  batch(() => {
    shown.value = next;
    wantedAt.value = 0;
    selection.value = new Set();
    picked.value = null;
    anchor = 0;
  });
}

/** What a label is given to: those that are chosen, else the one that has the focus. */
export function targets(): readonly number[] {
  if (shown.value.kind === 'suggested') return ids.value.filter((id) => id === picked.value);
  const visible = ids.value.filter((id) => selection.value.has(id));
  if (visible.length > 0) return visible;
  if (isPast.value) return [];
  return focused.value === undefined ? [] : [focused.value];
}

/** Moves the focus; with `isRange` all from the anchor to there are chosen. */
export function moveTo(place: number, isRange = false): void {
  const last = ids.value.length - 1;
  const to = Math.max(0, Math.min(place, last));
  batch(() => {
    wantedAt.value = to;
    if (isRange) selectRange(to);
    else anchor = to;
  });
}

function selectRange(to: number): void {
  const [first, last] = [Math.min(anchor, to), Math.max(anchor, to)];
  selection.value = new Set(ids.value.slice(first, last + 1));
}

export function toggle(place: number): void {
  const id = ids.value[place];
  if (id === undefined) return;
  const chosen = new Set(selection.value);
  if (!chosen.delete(id)) chosen.add(id);
  batch(() => {
    selection.value = chosen;
    wantedAt.value = place;
    anchor = place;
  });
}

export const selectOnly = (chosen: Iterable<number>): void => {
  selection.value = new Set(chosen);
};

/** Goes past the last image: to the first that is still to come, if there are more and more of them. */
export const goPast = (): void => void (wantedAt.value = ids.value.length);

/** After one at `from` got its label: the focus goes to the next without one, or past the last. */
export function advance(from: number): void {
  if (!isLasting.value) return moveTo(from);
  const next = ids.value.findIndex((id, i) => i > from && markOf(id) === null);
  moveTo(next >= 0 ? next : from + 1);
  if (next < 0 && (supply.value !== undefined || from === ids.value.length - 1)) goPast();
}

/** The class of a number key. */
export const classOfKey = (key: string): string | undefined =>
  /^[1-9]$/.test(key) ? classes.value[Number(key) - 1] : undefined;
