/** How long trainings would take, as the server works it out: by what would be trained on what. */
import { computed, signal } from '@preact/signals';
import type { Forecast, RunRequest } from '../protocol.ts';
import { folder } from './folder.ts';
import { classes, labelled } from './labels.ts';
import { messageOf, post } from './requests.ts';
import { isGoing, runs } from './runs.ts';

/** Seconds; null where that is not known while another training runs; or why the training would be refused. */
export type Expected = { readonly seconds: number | null } | { readonly failure: string };

const known = signal<ReadonlyMap<string, Expected>>(new Map());
const isBusy = computed(() => runs.value.some(isGoing));
/** What it depends on beside what is asked for. */
const situation = computed(() =>
  JSON.stringify([labelled.value, classes.value, folder.value?.images, folder.value?.backbone?.name, isBusy.value]),
);

export const keyOf = (request: RunRequest): string => JSON.stringify([request, situation.value]);
export const expectedOf = (request: RunRequest): Expected | undefined => known.value.get(keyOf(request));

let last = '',
  stopper = new AbortController();

/** Asks, unless it is known. Of several questions only the last one is answered. */
export async function askExpected(request: RunRequest): Promise<void> {
  const key = keyOf(request);
  const before = known.value.get(key);
  if (before !== undefined && !('failure' in before)) return;
  last = key;
  stopper.abort();
  const { signal } = (stopper = new AbortController());
  // A failure of before may be none by now.
  if (before !== undefined) known.value = new Map([...known.value].filter(([one]) => one !== key));
  let expected: Expected;
  try {
    expected = await post<Forecast>('/forecast', request, { signal });
  } catch (error) {
    expected = { failure: messageOf(error) };
  }
  if (last === key) known.value = new Map(known.value).set(key, expected);
}
