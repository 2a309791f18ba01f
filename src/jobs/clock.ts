/** The time that a job of many trainings may take. All times are seconds. */

/** Seconds of work whose estimate is taken to have been right, before any was done. */
const trusted = 30;

/** Work that is under way ends when the time is over by this share. */
const tolerance = 0.05;

export interface Clock {
  /** Used by this session and, for what they trained, by those before. */
  used(): number;
  left(): number;
  /** Whether work that is under way has to end. */
  isOver(): boolean;
  /** What work will take, corrected by how long that before it took. */
  expected(seconds: number): number;
  /** After work: what was expected, what it took over all sessions, and in this one. */
  done(work: { readonly expected: number; readonly took: number; readonly now: number }): void;
}

/** A clock for `budget` seconds; `elapsed` tells those of this session. */
export function createClock(budget: number, elapsed: () => number): Clock {
  let earlier = 0,
    spent = 0,
    planned = 0;
  const used = (): number => earlier + elapsed();
  return {
    used,
    left: () => budget - used(),
    isOver: () => used() > budget * (1 + tolerance),
    expected: (seconds) => seconds * ((spent + trusted) / (planned + trusted)),
    done({ expected, took, now }) {
      earlier += Math.max(0, took - now);
      spent += Math.max(took, now);
      planned += expected;
    },
  };
}

/** Passes on what happens until `stop` says so: then the work is left, and the result undefined. */
export async function* until<Event, Result>(
  stop: () => boolean,
  work: AsyncGenerator<Event, Result, undefined>,
): AsyncGenerator<Event, Result | undefined, undefined> {
  try {
    for (;;) {
      const next = await work.next();
      if (next.done) return next.value;
      yield next.value;
      if (stop()) return undefined;
    }
  } finally {
    await work.return(undefined as never);
  }
}
