/** How far a training is, and how long it still takes: from what its process says, and a ladder's plan. */
import type { LadderPlan, PlannedRung, Rung } from '../artifact/formats.js';
import type { ChildEvent } from './child.js';
import { isRungOf } from './stages.js';

/** What a ladder was planned to do, what it has tried, and the time for it. */
export interface LadderCourse {
  readonly plan: LadderPlan;
  /** By earlier sessions too. */
  readonly tried: readonly Rung[];
  /** Seconds for all sessions; Infinity where none were given. */
  readonly budget: number;
  /** Seconds of earlier sessions. */
  readonly used: number;
}

/** Less of the work than this says nothing of how long the rest takes. */
const telling = 0.02;

/** Of one session. All times are seconds, `now` from any beginning. */
export class Course {
  readonly #began: number;
  /** Which of several trainings (folds, and the whole) runs. */
  #training = { index: 0, count: 1 };
  /** Epochs of this training before its part that runs, and of all parts. */
  #epochs = { before: 0, all: 0 };
  #part = { epochs: 0, done: 0, total: 0 };
  /** Where this session began to train, and when: the pace is measured from there. */
  #from: { readonly share: number; readonly at: number } | undefined;
  #ladder: LadderCourse | undefined;
  #lastRung: number;

  constructor(now: number) {
    this.#began = this.#lastRung = now;
  }

  hear(event: ChildEvent, now: number): void {
    if (event.type === 'training') {
      this.#training = { index: event.index, count: event.count };
      this.#epochs = { before: 0, all: 0 };
      this.#part = { epochs: 0, done: 0, total: 0 };
    } else if (event.type === 'part') {
      this.#epochs = { before: event.before, all: event.all };
      this.#part = { epochs: 0, done: 0, total: 0 };
    } else if (event.type === 'steps') {
      this.#part = { epochs: event.epochs ?? this.#part.epochs, done: event.done, total: event.total };
      this.#from ??= { share: this.#share(), at: now };
    }
  }

  /** What is known of the ladder; `isNew`: a rung has ended. */
  climb(ladder: LadderCourse, isNew: boolean, now: number): void {
    this.#ladder = ladder;
    if (isNew) this.#lastRung = now;
  }

  /** The share of all work that is done, 0 to 1. */
  done(now: number): number {
    if (this.#ladder === undefined) return Math.min(0.99, this.#share());
    const spent = this.#ladder.used + now - this.#began;
    return Math.min(0.99, spent / Math.max(1, spent + this.#planned(this.#ladder, now)));
  }

  /** Undefined as long as nothing tells; 0: it takes longer than was planned. */
  left(now: number): number | undefined {
    if (this.#ladder !== undefined) return this.#planned(this.#ladder, now);
    if (this.#from === undefined) return undefined;
    const share = this.#share(),
      gained = share - this.#from.share;
    return gained < telling ? undefined : ((now - this.#from.at) * (1 - share)) / gained;
  }

  #share(): number {
    const { before, all } = this.#epochs,
      { epochs, done, total } = this.#part;
    const part = total > 0 ? done / total : 0;
    const within = all > 0 ? (before + epochs * part) / all : part;
    return (this.#training.index + Math.min(1, within)) / this.#training.count;
  }

  /** Of a ladder: what its plan expects of the rungs that are left, but no more than the time given. */
  #planned({ plan: { rungs }, tried, budget, used }: LadderCourse, now: number): number {
    const last = rungs.findLastIndex(({ name }) => tried.some((rung) => isRungOf(name, rung.name)));
    let running = now - this.#lastRung,
      sum = 0;
    for (const [i, planned] of rungs.entries()) {
      const left = i < last ? 0 : leftOf(planned, tried);
      const worked = Math.min(left, running);
      running -= worked;
      sum += left - worked;
    }
    return Math.max(0, Math.min(sum, budget - used - (now - this.#began)));
  }
}

/** What is planned for a rung, but for what it took; of rounds there are several. */
function leftOf({ name, expectedSeconds, skip }: PlannedRung, tried: readonly Rung[]): number {
  const own = tried.filter((rung) => isRungOf(name, rung.name));
  if (skip !== undefined || own.some((rung) => rung.name === name)) return 0;
  return Math.max(
    0,
    own.reduce((left, { seconds = 0 }) => left - seconds, expectedSeconds),
  );
}
