/** The record of a ladder, over all sessions: what was tried, what is kept, and the time that was used. */
import type { LadderFile, PseudoLabelRound, Rung } from '../../artifact/formats.js';
import type { Run } from '../../artifact/run.js';
import { runFiles } from '../../artifact/run-files.js';
import { createClock, type Clock } from '../clock.js';
import { secondsOf } from './time.js';

/** A process that is killed loses the record of so many seconds at most, while events come. */
const writtenEvery = 10;

interface State extends Pick<LadderFile, 'kept' | 'stopped' | 'underWay'> {
  /** Labels by the rungs that this session has gone through. */
  readonly labelled: readonly PseudoLabelRound[];
}

export interface Ladder {
  /** What sessions before used counts from the beginning, what they finished when this one comes to it. */
  readonly clock: Clock;
  /** What this session has tried, or found finished. */
  readonly rungs: readonly Rung[];
  add(rung: Rung): void;
  /** A rung that sessions before finished; undefined for one that they left out. */
  finished(name: string): Rung | undefined;
  /** Seconds of sessions before for a rung that they did not finish. */
  spentOn(name: string): number;
  /** Whether it is time to write, so that little is lost where the process is killed. */
  isDue(): boolean;
  write(state: State): Promise<void>;
}

export interface LadderOptions {
  readonly run: Run;
  /** Seconds: all that may be used, and those of them that the end takes. */
  readonly budget: number;
  readonly closing: number;
  /** Seconds since this session began. */
  elapsed(): number;
  /** As sessions before wrote it. */
  readonly before: LadderFile | undefined;
}

export function createLadder({ run, budget, closing, elapsed, before = { rungs: [] } }: LadderOptions): Ladder {
  const done = before.rungs.filter(({ skipped }) => skipped !== true);
  const earlier = Math.max(0, (before.seconds ?? 0) - secondsOf(done));
  const clock = createClock(budget, elapsed, { earlier, closing });
  const rungs: Rung[] = [];
  let writtenAt = -Infinity;
  const finished = (name: string): Rung | undefined => done.find((rung) => rung.name === name);
  const isNew = ({ name }: { readonly name: string }): boolean => !rungs.some((rung) => rung.name === name);
  return {
    clock,
    rungs,
    add(rung) {
      rungs.push(rung);
      clock.replayed(finished(rung.name)?.seconds ?? 0);
    },
    finished,
    spentOn: (name) => (before.underWay?.name === name ? before.underWay.seconds : 0),
    isDue: () => elapsed() - writtenAt > writtenEvery,
    async write({ kept, stopped, underWay, labelled }) {
      writtenAt = elapsed();
      // Until this session has gone through what those before finished, their record stands.
      const coming = done.filter(isNew);
      await runFiles.ladder.write(run.path, {
        rungs: coming.length > 0 ? [...rungs, ...before.rungs.filter(isNew)] : rungs,
        kept: coming.some(({ name }) => name === before.kept) ? before.kept : kept,
        budgetMinutes: budget < Infinity ? budget / 60 : undefined,
        seconds: clock.used() + secondsOf(coming),
        stopped,
        underWay: underWay ?? (before.underWay && isNew(before.underWay) ? before.underWay : undefined),
      });
      if (coming.length === 0) await runFiles.pseudoLabels.write(run.path, { rounds: labelled });
    },
  };
}
