/**
 * Trainings on the parts of the labels that run at once in this process, each with its share of the threads. Most
 * operations of a small network on small images are too short to be divided: one such training leaves all cores but
 * one nearly idle.
 */
import { availableParallelism } from 'node:os';
import type { Preprocessing } from '../data/preprocessing.js';
import { threadsOfRank } from '../parallel/join.js';
import type { RunEvent } from '../runs/events.js';
import type { Part } from './parts.js';

type Trainings = AsyncGenerator<RunEvent, void, undefined>;

/** Pixels of the largest images on which trainings run at once: of larger ones each would need its own memory. */
const mostPixels = 64 * 64;

/** How many run at once, and the threads of each. */
export interface AtOnce {
  readonly trainings: number;
  /** Absent: those of one training alone. */
  readonly threads?: number | undefined;
}

/** `threads`: of all; default those of the machine, or of this rank. */
export function atOnce(
  parts: number,
  inputs: readonly Pick<Preprocessing, 'size'>[],
  threads = threadsOfRank() ?? availableParallelism(),
): AtOnce {
  const isSmall = inputs.every(({ size: [height, width] }) => height * width <= mostPixels),
    trainings = isSmall ? Math.min(parts, threads) : 1;
  return trainings > 1 ? { trainings, threads: Math.floor(threads / trainings) } : { trainings: 1 };
}

/**
 * Seconds until all of these have been done, the longest first, each begun by the first of so many processes that is
 * free.
 */
export function secondsTogether(each: readonly number[], processes: number): number {
  const busy = Array<number>(processes).fill(0);
  for (const seconds of each.toSorted((a, b) => b - a)) busy[busy.indexOf(Math.min(...busy))]! += seconds;
  return Math.max(...busy);
}

export interface SideBySide {
  readonly trainings: number;
  readonly signal: AbortSignal | undefined;
  /** Trains on a part; `ending` waits for the parts before it. */
  train(part: Part, ending: (() => Trainings) | undefined): Trainings;
}

/** One that is under way. */
interface Running {
  readonly part: Part;
  readonly events: Trainings;
  /** What it was last said to begin, for when it is shown. */
  readonly begun: Map<string, RunEvent>;
  /** What it did next, once that is known. */
  next?: IteratorResult<RunEvent, void> | { readonly error: unknown };
}

/**
 * Trains on all parts, the last first: it takes longest, and is calibrated on the others. Yields the events of one of
 * them, the last while it trains, and the warnings of all. The first error ends all; where they were interrupted, each
 * saves its state.
 */
export async function* trainSideBySide(parts: readonly Part[], { trainings, signal, train }: SideBySide): Trainings {
  const whole = parts.at(-1)!,
    coming = [whole, ...parts.slice(0, -1)],
    running: Running[] = [],
    ready: Running[] = [];
  let others = parts.length - 1,
    isWaiting = false,
    shown: Running | undefined,
    wake = (): void => undefined;
  const gate = openGate();
  const waitForOthers = async function* (): Trainings {
    isWaiting = true;
    yield { type: 'progress', what: 'waiting for the folds', unit: 'trainings', done: 0, total: parts.length };
    await gate.isOpen;
    isWaiting = false;
  };
  const pull = (one: Running): void => {
    const add = (next: Running['next']): void => {
      one.next = next!;
      ready.push(one);
      wake();
    };
    one.events.next().then(add, (error: unknown) => add({ error }));
  };
  const begin = (): void => {
    while (coming.length > 0 && running.length - Number(isWaiting) < trainings) {
      const part = coming.shift()!;
      const one = { part, events: train(part, part === whole ? waitForOthers : undefined), begun: new Map() };
      running.push(one);
      pull(one);
    }
  };
  try {
    for (begin(); running.length > 0; begin()) {
      while (ready.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      const one = ready.shift()!,
        next = one.next!;
      if ('error' in next) {
        running.splice(running.indexOf(one), 1);
        throw next.error;
      }
      if (next.done) {
        running.splice(running.indexOf(one), 1);
        if (one.part !== whole && --others === 0) gate.open();
        continue;
      }
      const event = next.value;
      if (event.type === 'phase' || event.type === 'start') one.begun.set(event.type, event);
      const first = running.find(({ part }) => part !== whole || !isWaiting);
      if (first === one) {
        if (shown !== undefined && shown !== one)
          for (const earlier of one.begun.values()) if (earlier !== event) yield earlier;
        shown = one;
        yield event;
      } else if (event.type === 'warning' || event.type === 'note') yield event;
      pull(one);
    }
  } finally {
    gate.fail(signal?.reason);
    await Promise.allSettled(running.map(({ events }) => (signal?.aborted ? drain(events) : events.return())));
  }
}

/** Lets work come to its end. */
async function drain(events: Trainings): Promise<void> {
  while (!(await events.next()).done);
}

function openGate(): { readonly isOpen: Promise<void>; open(): void; fail(reason: unknown): void } {
  let open = (): void => undefined,
    fail: (reason: unknown) => void = () => undefined;
  const isOpen = new Promise<void>((resolve, reject) => {
    [open, fail] = [resolve, reject];
  });
  isOpen.catch(() => undefined);
  return { isOpen, open, fail };
}
