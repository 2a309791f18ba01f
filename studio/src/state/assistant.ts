/** What the model that learns beside says, and what to label next. */
import { computed, signal } from '@preact/signals';
import type { Assistant, CheckDecision, CheckQueues, Proposal } from '../protocol.ts';
import { markOf } from './labels.ts';
import { get, post } from './requests.ts';

export const assistant = signal<Assistant>({ version: -1, waiting: null, predictions: [], estimate: null });
/** Estimates of this visit, for a line that shows where they go. */
export const estimates = signal<readonly number[]>([]);

export const predictions = computed(
  () => new Map(assistant.value.predictions.map(({ id, label, confidence }) => [id, { label, confidence }])),
);

export async function loadAssistant(): Promise<void> {
  const said = await get<Assistant>('/assistant');
  assistant.value = said;
  if (said.estimate !== null) estimates.value = [...estimates.value, said.estimate.accuracy];
}

/** Images in the order in which they were proposed, labelled meanwhile or not. */
export const proposals = signal<readonly Proposal[]>([]);
/** How many more are asked for, and as of how few left. */
const batch = 24,
  few = 12;
let asking: Promise<void> | undefined;
let isExhausted = false;

export const waitingProposals = (): number => proposals.value.filter(({ id }) => markOf(id) === null).length;

/** So many of the list were in sight: these stay as they are. */
export const seenProposals = signal(0);

/** Asks for more proposals where few are left; `isAnew`: better ones may be known by now. */
export function moreProposals(isAnew = false): Promise<void> {
  if (isAnew) isExhausted = false;
  else if (isExhausted || waitingProposals() > few) return Promise.resolve();
  asking ??= get<Proposal[]>(`/next?count=${batch}`)
    .then((next) => {
      const kept = proposals.value.filter(({ id }, i) => markOf(id) !== null || i < seenProposals.value);
      const known = new Set(kept.map(({ id }) => id));
      isExhausted = next.length === 0;
      proposals.value = [...kept, ...next.filter(({ id }) => !known.has(id))];
    })
    .finally(() => (asking = undefined));
  return asking;
}

export const alike = (id: number, count: number): Promise<number[]> => get(`/alike/${id}?count=${count}`);

export const queues = signal<CheckQueues>({ labels: [], alike: [], strangers: [] });

export async function loadQueues(): Promise<void> {
  queues.value = await get<CheckQueues>('/check');
}

export async function decide(decision: CheckDecision): Promise<void> {
  queues.value = await post<CheckQueues>('/check', decision);
}
