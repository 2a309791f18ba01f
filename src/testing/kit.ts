import assert from 'node:assert/strict';
import type { Job, ResultEvent } from '../job.js';

/** Runs a job to its end. Its last event has to be the result, which is not among `events`. */
export async function collect<Event extends { readonly type: string }, Result>(
  job: Job<Event, Result>,
  onEvent: (event: Event) => void = () => undefined,
): Promise<{ readonly events: Event[]; readonly result: Result }> {
  const events: Event[] = [];
  let last: Event | ResultEvent<Result> | undefined;
  for await (const event of job) {
    last = event;
    if (isResult(event)) continue;
    events.push(event);
    onEvent(event);
  }
  assert.ok(last && isResult(last), 'the last event is the result');
  assert.equal(await job, last.result);
  return { events, result: last.result };
}

/** As JSON has it: without what is undefined. */
export const asJson = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

const isResult = <Event extends { readonly type: string }, Result>(
  event: Event | ResultEvent<Result>,
): event is ResultEvent<Result> => event.type === 'result';
