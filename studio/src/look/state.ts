/** What a run said of the images that it was measured on, and which of them are looked at. */
import { computed, signal } from '@preact/signals';
import type { HeldOutImages } from '../protocol.ts';
import { complain } from '../state/notices.ts';
import { get } from '../state/requests.ts';

export type HeldOutImage = HeldOutImages['images'][number];

/** A cell of the confusion matrix. */
export interface Cell {
  readonly label: string;
  readonly predicted: string;
}

export const view = signal<'images' | 'report'>('images');
/** Of the run that is looked at; null as long as it is on its way. */
export const said = signal<HeldOutImages | null>(null);
/** null: all mistakes. */
export const cell = signal<Cell | null>(null);
const chosen = signal<number | null>(null);

/** The surest predictions come first: among mistakes, those that say most. */
export const shown = computed<readonly HeldOutImage[]>(() =>
  (said.value?.images ?? [])
    .filter(({ label, predicted }) =>
      cell.value === null ? label !== predicted : label === cell.value.label && predicted === cell.value.predicted,
    )
    .sort((a, b) => b.confidence - a.confidence),
);
export const image = computed(() => shown.value.find(({ id }) => id === chosen.value) ?? shown.value[0]);

/** Whether a person has asked for it; else it is the first of its list. */
export const isChosen = (id: number): boolean => chosen.value === id;

export function choose(id: number): void {
  chosen.value = id;
}

export function showCell(one: Cell | null): void {
  cell.value = one;
  chosen.value = null;
}

export async function loadSaid(run: string): Promise<void> {
  said.value = null;
  showCell(null);
  said.value = await get<HeldOutImages>(`/runs/${encodeURIComponent(run)}/held-out`);
}

/** Labelled images that look most like one, by id. */
export const nearest = signal<readonly number[]>([]);

export async function loadNearest(id: number): Promise<void> {
  nearest.value = [];
  const found = await get<number[]>(`/nearest/${id}?count=6`);
  if (image.value?.id === id) nearest.value = found;
}

export const look = (run: string): void => void loadSaid(run).catch(complain);

/** The address of a picture that shows what spoke for a class. */
export const heatOf = (run: string, id: number, label: string): string =>
  `/api/runs/${encodeURIComponent(run)}/heat/${id}?label=${encodeURIComponent(label)}`;
