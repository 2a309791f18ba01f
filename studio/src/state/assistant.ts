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

/** The server proposes no more at once. */
const mostAsked = 500;

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
  const isFree = ({ id }: Proposal): boolean => markOf(id) === null;
  const ask = async (isPast: boolean): Promise<void> => {
    // What was passed over is proposed again, before the others.
    const passed = isPast ? list.value.filter(isFree).length : 0;
    const next = await get<Proposal[]>(`/next?count=${Math.min(mostAsked, batch + passed)}${query}`);
    const kept = list.value.filter((one, i) => !isFree(one) || i < seen.value);
    const known = new Set(kept.map(({ id }) => id));
    const fresh = next.filter(({ id }) => !known.has(id));
    isExhausted = fresh.length === 0;
    list.value = [...kept, ...fresh];
  };
  return {
    list,
    seen,
    /** Whether more are on their way. */
    isAsking,
    /**
     * Asks for more where few are left; `isAnew`: better ones may be known by now; `isPast`: all that are here were
     * labelled or passed over, others are wanted.
     */
    more(isAnew = false, isPast = false): Promise<void> {
      if (isAnew || isPast) isExhausted = false;
      else if (isExhausted || list.value.filter(isFree).length > batch / 2) return Promise.resolve();
      const { length } = list.value;
      // What is on its way was asked for before, and may be nothing new.
      if (isPast && asking !== undefined)
        return asking.then(() => (list.value.length > length ? undefined : this.more(true, true)));
      isAsking.value = true;
      return (asking ??= ask(isPast).finally(() => {
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
