/** Tries one rung after another against the clock, judges what came of it, and keeps the record. */
import { basename, relative } from 'node:path';
import type { LadderFile, PlannedRung, PseudoLabelRound, Rung } from '../../artifact/formats.js';
import { PupilError, type ErrorCode } from '../../errors.js';
import { parametersOf } from '../../models/index.js';
import type { Model } from '../../models/model.js';
import { countParameters } from '../../models/size.js';
import type { RunEvent } from '../../runs/events.js';
import { tap } from '../../runs/relay.js';
import type { Chain } from '../chain.js';
import { until, type Clock } from '../clock.js';
import { accuraciesOf, failureOf, type Stage } from '../stages.js';
import { judge, type Bar, type Trained } from './judge.js';
import { createLadder } from './ladder.js';
import { roundNumber, type Situation } from './rungs.js';

export type LearnEvent = RunEvent | { readonly type: 'rung'; readonly rung: Rung };

export interface Climb {
  readonly chain: Chain;
  readonly situation: Situation;
  readonly planned: readonly PlannedRung[];
  /** Seconds: all that may be used, and those of them that the end takes. */
  readonly budget: number;
  readonly closing: number;
  /** Seconds since this session began. */
  elapsed(): number;
  /** The record of the sessions before. */
  readonly before: LadderFile | undefined;
  /** What most rungs train. */
  readonly network: Model;
  /** That learns last, where one does. */
  readonly smaller: Model | undefined;
}

/** What may be tried. */
export interface Attempt {
  readonly name: string;
  readonly what: string;
  /** In the time given, as the record says. */
  readonly expectedSeconds: number;
  /** Without a limit; default `expectedSeconds`. */
  readonly usualSeconds?: number | undefined;
  /** In its shortest form; default without a limit. */
  readonly leastSeconds?: number | undefined;
  /** Of a technique that takes a share of the time: what its trainings take beside their steps, as planned. */
  readonly besideSeconds?: number | undefined;
  /** What it is measured against; default: the rung that is kept so far. */
  readonly below?: Trained | undefined;
  /** What it has to show to be kept; default: no loss. */
  readonly bar?: Bar | undefined;
  readonly teacher?: boolean | undefined;
  /** Whether it takes a share of the time that is left, whatever it would take without a limit. */
  readonly isShared?: boolean | undefined;
  /** What it was planned to take in the time that it had, where it took so many seconds; default: as told above. */
  asPlanned?(took: number): number;
  /** What it may take when its turn comes; default: all that is left. */
  secondsFor?(): number;
  /** What is kept for a student that follows; default 0. */
  kept?(): number;
  /** Trains within so many seconds; undefined: it takes what it takes. */
  train(seconds: number | undefined): AsyncGenerator<RunEvent, Trained, undefined>;
}

export interface Climber {
  readonly clock: Clock;
  /** The rung that is kept so far. */
  best(): Trained | undefined;
  /** A rung that was trained, by its name. */
  trained(name: string): Trained | undefined;
  /** All that were trained. */
  all(): readonly Trained[];
  /** Seconds that the last training of this session took beside its steps. */
  beside(): number | undefined;
  /** Whether a session before has finished a rung of this name. */
  isFinished(name: string): boolean;
  /** Seconds that sessions before took for a rung that they did not finish. */
  spentOn(name: string): number;
  /** Tries a rung. Returns it where it was trained and kept. */
  attempt(attempt: Attempt): AsyncGenerator<LearnEvent, Trained | undefined, undefined>;
  skip(
    rung: Pick<Rung, 'name' | 'what' | 'expectedSeconds'>,
    reason: string,
    how?: Pick<Rung, 'lackedTime'>,
  ): AsyncGenerator<LearnEvent, undefined, undefined>;
  /** Whether anything was trained in this session. */
  hasWorked(): boolean;
  /** Says why nothing more is tried, unless that was said, and records it unless the record is to stay as it was. */
  stop(reason: string, how?: { readonly isRecorded?: boolean }): AsyncGenerator<LearnEvent, undefined, undefined>;
  readonly rungs: readonly Rung[];
  /** Writes what has been tried, and the time that was used. */
  record(): Promise<void>;
}

/** The codes of what is no reason to lose the rungs before: theirs is the model of the run. */
const faults: readonly ErrorCode[] = ['usage', 'not-found', 'bad-model', 'unsupported', 'bad-path', 'network'];

/** What is wrong with a rung, not with the program. An interruption, a full disk, a bug are thrown on. */
const faultOf = (error: unknown): string =>
  error instanceof PupilError && faults.includes(error.code) ? error.message : failureOf(error);

export function createClimber(work: Climb): Climber {
  const { budget } = work;
  const labelled: PseudoLabelRound[] = [],
    stages = new Map<string, Trained>();
  const ladder = createLadder({ ...work, run: work.chain.run });
  const { clock, rungs } = ladder;
  let best: Trained | undefined,
    beside: number | undefined,
    stopped: string | undefined,
    hasWorked = false,
    underWay: (() => { readonly name: string; readonly seconds: number }) | undefined;
  const record = (): Promise<void> => ladder.write({ kept: best?.name, stopped, underWay: underWay?.(), labelled });
  const add = async function* (rung: Rung): AsyncGenerator<LearnEvent, undefined, undefined> {
    underWay = undefined;
    ladder.add(rung);
    await record();
    return yield { type: 'rung', rung };
  };
  const skip: Climber['skip'] = ({ name, what, expectedSeconds }, reason, how) =>
    add({ name, what, expectedSeconds, kept: false, skipped: true, reason, ...how });
  return {
    clock,
    rungs,
    record,
    isFinished: (name) => ladder.finished(name) !== undefined,
    spentOn: ladder.spentOn,
    best: () => best,
    trained: (name) => stages.get(name),
    all: () => [...stages.values()],
    beside: () => beside,
    hasWorked: () => hasWorked,
    skip,
    async *stop(reason, { isRecorded = true } = {}) {
      if (stopped !== undefined) return undefined;
      if (isRecorded) stopped = reason;
      await record();
      yield { type: 'note', message: reason };
      return undefined;
    },
    async *attempt(attempt) {
      const { name, what, expectedSeconds, bar, teacher, isShared, train } = attempt;
      const told = { name, what, expectedSeconds: Math.round(expectedSeconds) };
      if (teacher && best === undefined) return yield* skip(told, 'there is no teacher yet');
      const [finished, spent] = [ladder.finished(name), ladder.spentOn(name)];
      const { least, ...time } = timeOf(attempt, clock, spent);
      if (best !== undefined && !finished && least > time.left) return yield* skip(told, tooLong(least, time), forTime);
      // The first rung of a pretrained network is trained in full; others end by themselves in time.
      const given =
        budget === Infinity || (best === undefined && !isShared) ? undefined : (attempt.secondsFor?.() ?? time.left);
      const [began, images] = [work.elapsed(), createStopwatch(isOfImages, work.elapsed)];
      const soFar = (): number => spent + work.elapsed() - began;
      if (!finished) underWay = () => ({ name, seconds: soFar() });
      let trained: Trained | undefined;
      try {
        const events = tap(images.watch(train(given)), async (event) => {
          hasWorked = true;
          if (ladder.isDue()) await record();
          return event;
        });
        trained = yield* inTime((work) => best !== undefined && !finished && clock.isOver(work), events);
        trained &&= { ...trained, imageSeconds: images.seconds() };
      } catch (error) {
        if (best === undefined) throw error;
        return yield* skip(told, faultOf(error));
      }
      if (trained === undefined) return yield* skip(told, timeWasUp, forTime);
      const took = finished?.seconds ?? Math.max(trained.stage.seconds, soFar());
      const expected = finished?.expectedSeconds ?? expectedOf(trained.stage, attempt, { took, given, spent });
      clock.done({ expected, took: finished ? took : Math.max(0, took - images.seconds()) });
      beside = trained.stage.beside ?? beside;
      if (trained.labels) labelled.push({ ...trained.labels, name, round: numberOf(name, labelled) });
      const judged = judge({ trained, before: [...stages.values()], below: attempt.below ?? best, bar });
      stages.set(name, trained);
      if (judged.kept) best = trained;
      yield* add({ ...told, ...described(work, trained, finished || spent > 0 ? took : undefined), ...judged });
      return judged.kept ? trained : undefined;
    },
  };
}

/**
 * What was expected of a rung in the time `given`. Of trainings whose steps ended by the clock only what they took
 * beside these tells how fast the machine is.
 */
function expectedOf(
  { beside, runs }: Stage,
  { expectedSeconds, usualSeconds = expectedSeconds, besideSeconds = 0, isShared, asPlanned }: Attempt,
  { took, given = Infinity, spent }: { readonly took: number; readonly given?: number | undefined; spent: number },
): number {
  if (asPlanned) return asPlanned(took);
  if (!isShared) return Math.min(usualSeconds, spent + given);
  return beside === undefined ? took : Math.max(0, took - beside * runs.size) + besideSeconds;
}

/** Seconds for an attempt of which so many were spent before: the least it still takes, what is left and is kept. */
function timeOf(attempt: Attempt, { left, expected }: Clock, spent: number): TimeLeft & { readonly least: number } {
  const { expectedSeconds, usualSeconds = expectedSeconds, leastSeconds = usualSeconds, besideSeconds = 0 } = attempt;
  const kept = attempt.kept?.() ?? 0;
  return { least: Math.max(expected(besideSeconds), expected(leastSeconds) - spent), left: left() - kept, kept };
}

/** Whether an event tells of images that are decoded and compared: what one rung did, those after it find done. */
const isOfImages = (event: RunEvent): boolean =>
  event.type === 'progress' && (event.what === 'decoding' || event.what === 'comparing');

/** Adds up the seconds before each event of some work that `counts`, since the one before it. */
function createStopwatch(
  counts: (event: RunEvent) => boolean,
  elapsed: () => number,
): {
  watch<Result>(work: AsyncGenerator<RunEvent, Result, undefined>): AsyncGenerator<RunEvent, Result, undefined>;
  seconds(): number;
} {
  let before = elapsed(),
    sum = 0;
  return {
    watch: (work) =>
      tap(work, (event) => {
        const now = elapsed();
        if (counts(event)) sum += now - before;
        before = now;
        return event;
      }),
    seconds: () => sum,
  };
}

interface TimeLeft {
  /** Beside what is kept for a student that follows. */
  readonly left: number;
  readonly kept: number;
}

/** Why something does not begin: of the time left, some is kept for a student. */
export function tooLong(least: number, { left, kept }: TimeLeft): string {
  const beside = kept > 0 ? `, beside ${Math.ceil(kept)} s that are kept for the student` : '';
  return `would take at least ${Math.ceil(least)} s, and ${Math.max(0, Math.floor(left))} s are left${beside}`;
}

/** What is skipped for want of time. */
export const forTime = { lackedTime: true } as const;

const timeWasUp = 'the time was up before its end; it continues where you `resume` with more `minutes`';

/**
 * Work that is left when the time is over (the result is undefined), unless a training in it has made steps: such a
 * one ends by its own time, and what it has learned is worth the seconds that are needed to measure and keep it. A
 * closed form is nearly done once the features that it fits are there.
 */
function inTime<Result>(
  isOver: Clock['isOver'],
  work: AsyncGenerator<RunEvent, Result, undefined>,
): AsyncGenerator<RunEvent, Result | undefined, undefined> {
  let hasSteps = false,
    isNearlyDone = false;
  const watched = tap(work, (event) => {
    // Of several trainings each can be left before its first step, and each closed form before its fits.
    if (event.type === 'step' || event.type === 'start') hasSteps = event.type === 'step';
    if (event.type === 'phase') isNearlyDone = false;
    if (event.type === 'progress' && event.what === 'consensus') isNearlyDone = true;
    return event;
  });
  return until(() => !hasSteps && isOver({ isNearlyDone }), watched);
}

/**
 * The number of labels: that of the round that made them, 0 of the consensus before; what other techniques learn is
 * numbered on.
 */
function numberOf(name: string, before: readonly PseudoLabelRound[]): number {
  const last = before.at(-1)?.round ?? (name === 'consensus' ? -1 : 0);
  return roundNumber(name) ?? last + 1;
}

/** What a rung gave, and at what cost: of one that went on its trainings know their last session alone. */
function described(
  { chain: { run, dataset }, situation, network, smaller }: Climb,
  { model, stage }: Trained,
  seconds = stage.seconds,
): Pick<Rung, 'model' | 'parameters' | 'selection' | 'test' | 'optimistic' | 'seconds' | 'run'> {
  const counted = parametersOf(model, dataset.classes.length);
  const own = model === situation.model ? network : model === situation.options.student ? smaller : undefined;
  return {
    model: basename(model),
    parameters: counted ?? (own && countParameters(own)),
    ...accuraciesOf(stage, situation.options.reportOn),
    optimistic: stage.optimistic,
    seconds,
    run: relative(run.path, stage.run),
  };
}
