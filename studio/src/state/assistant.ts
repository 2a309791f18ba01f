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
  const asking = signal<Promise<void>>();
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
    isAsking: computed(() => asking.value !== undefined),
    /**
     * Asks for more where few are left (`enough`), or because better ones may be known by now; or for `others`, as all
     * that are here were labelled or passed over.
     */
    more(wanted: 'enough' | 'better' | 'others' = 'enough'): Promise<void> {
      if (wanted !== 'enough') isExhausted = false;
      else if (isExhausted || list.value.filter(isFree).length > batch / 2) return Promise.resolve();
      const { length } = list.value;
      // What is on its way was asked for before, and may be nothing new.
      if (wanted === 'others' && asking.value !== undefined)
        return asking.value.then(() => (list.value.length > length ? undefined : this.more('others')));
      return (asking.value ??= ask(wanted === 'others').finally(() => (asking.value = undefined)));
    },
  };
}
export type Supply = ReturnType<typeof supplyOf>;

/** What teaches most, with some drawn at random. */
export const proposed = supplyOf('', 24);
/** Those drawn at random alone: few at once, as the model suggests nothing for what is drawn. */
export const drawn = supplyOf('&only=random', 8);

export const alike = (id: number, count: number): Promise<number[]> => get(`/alike/${id}?count=${count}`);
