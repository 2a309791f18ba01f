/** The time that a job of many trainings may take. All times are seconds. */

/** Seconds of work whose estimate is taken to have been right, before any was done. */
const trusted = 30;

/** Work that is under way ends when the time is over by this share, or where it is nearly done by the other. */
const tolerance = { usual: 0.05, nearlyDone: 0.1 };

export interface Clock {
  /** Used by this session and those before, but for what these finished until `replayed` counts it. */
  used(): number;
  left(): number;
  /** Whether work that is under way has to end. */
  isOver(work?: { readonly isNearlyDone: boolean }): boolean;
  /** What work will take, corrected by how long that before it took. */
  expected(seconds: number): number;
  /** After work: what was expected, and what it took over all sessions. */
  done(work: { readonly expected: number; readonly took: number }): void;
  /** After work that a session before finished: what it took then. */
  replayed(took: number): void;
}

/** Minutes of a run whose sessions may use so many seconds in all: those it was told, unless it is others by now. */
export function minutesOf(seconds: number, told: number | undefined): number | undefined {
  if (seconds === Infinity || (told !== undefined && Math.abs(60 * told - seconds) < 0.5)) return told;
  return Math.ceil((100 * seconds) / 60) / 100;
}

/**
 * A clock for `budget` seconds; `elapsed` tells those of this session. `earlier`: those of sessions before that
 * `replayed` will not tell; `closing`: those that the end takes, when all work is done.
 */
export function createClock(
  budget: number,
  elapsed: () => number,
  { earlier: before = 0, closing = 0 }: { readonly earlier?: number; readonly closing?: number } = {},
): Clock {
  let spent = 0,
    planned = 0,
    earlier = before;
  const used = (): number => earlier + elapsed();
  return {
    used,
    left: () => budget - closing - used(),
    isOver: ({ isNearlyDone } = { isNearlyDone: false }) =>
      used() > budget * (1 + (isNearlyDone ? tolerance.nearlyDone : tolerance.usual)),
    expected: (seconds) => seconds * ((spent + trusted) / (planned + trusted)),
    done({ expected, took }) {
      spent += took;
      planned += expected;
    },
    replayed(took) {
      earlier += took;
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
