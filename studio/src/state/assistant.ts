/** What the model that learns beside says, and what to label next. */
import { computed, signal } from '@preact/signals';
import type { Assistant, Proposal } from '../protocol.ts';
import { markOf } from './labels.ts';
import { get, inOrder } from './requests.ts';

export const assistant = signal<Assistant>({ version: -1, waiting: null, predictions: [], estimate: null });
/** Estimates of this visit, for a line that shows where they go. */
export const estimates = signal<readonly number[]>([]);

export const predictions = computed(
  () => new Map(assistant.value.predictions.map(({ id, label, confidence }) => [id, { label, confidence }])),
);

const hear = inOrder<Assistant>((said) => {
  assistant.value = said;
  if (said.estimate !== null) estimates.value = [...estimates.value, said.estimate.accuracy];
});

export const loadAssistant = (): Promise<void> => hear(get('/assistant'));

/**
 * Images in the order in which they were proposed, labelled meanwhile or not. `query`: which of them; `batch`: how many
 * more are asked for, as of half as many left.
 */
function supplyOf(query: string, batch: number) {
  const list = signal<readonly Proposal[]>([]);
  /** So many of the list were in sight: these stay as they are. */
  const seen = signal(0);
  let asking: Promise<void> | undefined;
  const isAsking = signal(false);
  let isExhausted = false;
  const ask = async (): Promise<void> => {
    const next = await get<Proposal[]>(`/next?count=${batch}${query}`);
    const kept = list.value.filter(({ id }, i) => markOf(id) !== null || i < seen.value);
    const known = new Set(kept.map(({ id }) => id));
    isExhausted = next.length === 0;
    list.value = [...kept, ...next.filter(({ id }) => !known.has(id))];
  };
  return {
    list,
    seen,
    /** Whether more are on their way. */
    isAsking,
    /** Asks for more where few are left; `isAnew`: better ones may be known by now. */
    more(isAnew = false): Promise<void> {
      if (isAnew) isExhausted = false;
      else if (isExhausted || list.value.filter(({ id }) => markOf(id) === null).length > batch / 2)
        return Promise.resolve();
      isAsking.value = true;
      return (asking ??= ask().finally(() => {
        asking = undefined;
        isAsking.value = false;
      }));
    },
  };
}
export type Supply = ReturnType<typeof supplyOf>;

/** What teaches most, with some drawn at random. */
export const proposed = supplyOf('', 24);
/** Those drawn at random alone: few at once, as the model suggests nothing for what is drawn. */
export const drawn = supplyOf('&only=random', 8);

export const alike = (id: number, count: number): Promise<number[]> => get(`/alike/${id}?count=${count}`);
