/** Events out of functions that have none, and generators within generators. */
import type { RunEvent } from './events.js';

/**
 * Runs `work` and yields what it emits meanwhile; of progress that nobody has read yet only the
 * latest is kept. Returns what it returns.
 */
export async function* relaying<T>(
  work: (emit: (event: RunEvent) => void) => Promise<T>,
): AsyncGenerator<RunEvent, T, undefined> {
  const queue: RunEvent[] = [];
  let wake: () => void = () => undefined;
  let over = false;
  const finished = work((event) => {
    if (event.type === 'progress' && queue.at(-1)?.type === 'progress') queue.pop();
    queue.push(event);
    wake();
  });
  const end = (): void => {
    over = true;
  };
  const ended = finished.then(end, end);
  while (!over || queue.length > 0) {
    const event = queue.shift();
    if (event) yield event;
    else
      await Promise.race([
        ended,
        new Promise<void>((resolve) => {
          wake = resolve;
        }),
      ]);
  }
  return finished;
}

/** Runs `work` and yields its progress. */
export const reporting = <T>(
  what: string,
  unit: string,
  work: (report: (done: number, total: number) => void) => Promise<T>,
): AsyncGenerator<RunEvent, T, undefined> =>
  relaying((emit) => work((done, total) => emit({ type: 'progress', what, unit, done, total })));

/**
 * Yields the events of a generator as `change` makes them, once it is done with each (undefined:
 * leaves it out), and returns what the generator returns. An error of `change` ends the generator.
 */
export async function* tap<Event, Result, Changed>(
  events: AsyncGenerator<Event, Result, undefined>,
  change: (event: Event) => Changed | undefined | Promise<Changed | undefined>,
): AsyncGenerator<Changed, Result, undefined> {
  try {
    for (;;) {
      const { value, done } = await events.next();
      if (done) return value;
      const changed = await change(value);
      if (changed !== undefined) yield changed;
    }
  } finally {
    await events.return(undefined as never);
  }
}

/** Runs a generator for what it returns, without its events. */
export const resultOf = async <Result>(events: AsyncGenerator<unknown, Result, undefined>): Promise<Result> => {
  const { value, done } = await tap(events, () => undefined).next();
  if (!done) throw new Error('an event was left');
  return value;
};

/** Events without warnings, which are said again later. */
export const unwarned = <T>(events: AsyncGenerator<RunEvent, T, undefined>): AsyncGenerator<RunEvent, T, undefined> =>
  tap(events, (event) => (event.type === 'warning' ? undefined : event));
