/** Tries one rung after another against the clock, judges what came of it, and keeps the record. */
import { basename, relative } from 'node:path';
import type { PlannedRung, PseudoLabelRound, Rung } from '../../artifact/formats.js';
import { runFiles } from '../../artifact/run-files.js';
import { PupilError, type ErrorCode } from '../../errors.js';
import { parametersOf } from '../../models/index.js';
import type { Model } from '../../models/model.js';
import type { RunEvent } from '../../runs/events.js';
import { tap } from '../../runs/relay.js';
import { sizeOf } from '../../tensor.js';
import type { Chain } from '../chain.js';
import { until, type Clock, createClock } from '../clock.js';
import { accuraciesOf, failureOf, type Stage } from '../stages.js';
import { judge, type Trained } from './judge.js';
import { roundNumber, type Situation } from './rungs.js';

export type LearnEvent = RunEvent | { readonly type: 'rung'; readonly rung: Rung };

export interface Climb {
  readonly chain: Chain;
  readonly situation: Situation;
  readonly planned: readonly PlannedRung[];
  /** Seconds: all that may be used. */
  readonly budget: number;
  /** Seconds since this session began. */
  elapsed(): number;
  /** What most rungs train. */
  readonly network: Model;
  /** That learns last, where one does. */
  readonly smaller: Model | undefined;
}

/** What may be tried. */
interface Attempt {
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
  /** Kept where it is as good within the interval: it is smaller. */
  readonly smaller?: boolean | undefined;
  readonly teacher?: boolean | undefined;
  /** Whether it takes a share of the time that is left, whatever it would take without a limit. */
  readonly isShared?: boolean | undefined;
  /** What it may take when its turn comes; default: all that is left. */
  secondsFor?(): number;
  /** Trains within so many seconds; undefined: it takes what it takes. */
  train(seconds: number | undefined): AsyncGenerator<RunEvent, Trained, undefined>;
}

export interface Climber {
  readonly clock: Clock;
  /** The rung that is kept so far. */
  best(): Trained | undefined;
  /** A rung that was trained, by its name. */
  trained(name: string): Trained | undefined;
  /** Seconds that the last training of this session took beside its steps. */
  beside(): number | undefined;
  /** Tries a rung. Returns it where it was trained and kept. */
  attempt(attempt: Attempt): AsyncGenerator<LearnEvent, Trained | undefined, undefined>;
  skip(
    rung: Pick<Rung, 'name' | 'what' | 'expectedSeconds'>,
    reason: string,
  ): AsyncGenerator<LearnEvent, undefined, undefined>;
  /** Whether anything was trained in this session. */
  hasWorked(): boolean;
  /** Says why nothing more is tried, unless that was said. */
  stop(reason: string): AsyncGenerator<LearnEvent, undefined, undefined>;
  readonly rungs: readonly Rung[];
}

/** The codes of what is no reason to lose the rungs before: theirs is the model of the run. */
const faults: readonly ErrorCode[] = ['usage', 'not-found', 'bad-model', 'unsupported', 'bad-path', 'network'];

/** What is wrong with a rung, not with the program. An interruption, a full disk, a bug are thrown on. */
const faultOf = (error: unknown): string =>
  error instanceof PupilError && faults.includes(error.code) ? error.message : failureOf(error);

export function createClimber(work: Climb): Climber {
  const { chain, budget } = work;
  const { run } = chain;
  const tried: Rung[] = [],
    labelled: PseudoLabelRound[] = [],
    stages = new Map<string, Trained>();
  const clock = createClock(budget, work.elapsed);
  let best: Trained | undefined,
    beside: number | undefined,
    hasWorked = false,
    stopped: string | undefined;
  const record = async (): Promise<void> => {
    const budgetMinutes = budget < Infinity ? budget / 60 : undefined;
    const seconds = clock.used();
    await runFiles.ladder.write(run.path, { rungs: tried, kept: best?.name, budgetMinutes, seconds, stopped });
    await runFiles.pseudoLabels.write(run.path, { rounds: labelled });
  };
  const add = async function* (rung: Rung): AsyncGenerator<LearnEvent, undefined, undefined> {
    tried.push(rung);
    await record();
    yield { type: 'rung', rung };
    return undefined;
  };
  const skip: Climber['skip'] = ({ name, what, expectedSeconds }, reason) =>
    add({ name, what, expectedSeconds, kept: false, skipped: true, reason });
  return {
    clock,
    rungs: tried,
    best: () => best,
    trained: (name) => stages.get(name),
    beside: () => beside,
    hasWorked: () => hasWorked,
    skip,
    async *stop(reason) {
      if (stopped !== undefined) return undefined;
      stopped = reason;
      await record();
      yield { type: 'note', message: reason };
      return undefined;
    },
    async *attempt({ name, what, expectedSeconds, smaller, teacher, isShared, train, ...attempt }) {
      const { usualSeconds = expectedSeconds, leastSeconds = usualSeconds, besideSeconds = 0 } = attempt;
      const told = { name, what, expectedSeconds: Math.round(expectedSeconds) };
      if (teacher && best === undefined) return yield* skip(told, 'there is no teacher yet');
      const left = clock.left();
      if (best !== undefined && clock.expected(leastSeconds) > left)
        return yield* skip(told, tooLong(clock.expected(leastSeconds), left));
      // The first rung of a pretrained network is trained in full; others end by themselves in time.
      const seconds =
        budget === Infinity || (best === undefined && !isShared) ? undefined : (attempt.secondsFor?.() ?? left);
      const began = work.elapsed();
      let trained: Trained | undefined;
      try {
        const events = tap(train(seconds), (event) => {
          hasWorked = true;
          return event;
        });
        trained = yield* inTime(() => best !== undefined && clock.isOver(), events);
      } catch (error) {
        if (best === undefined) throw error;
        return yield* skip(told, faultOf(error));
      }
      if (trained === undefined)
        return yield* skip(told, 'stopped, the time was up; it continues where you `resume` with more `minutes`');
      const took = trained.stage.seconds,
        now = work.elapsed() - began;
      const asPlanned = isShared
        ? expectedOf(trained.stage, Math.max(took, now), besideSeconds)
        : Math.min(usualSeconds, seconds ?? Infinity);
      clock.done({ expected: asPlanned, took, now });
      beside = trained.stage.beside ?? beside;
      if (trained.labels) labelled.push({ ...trained.labels, name, round: numberOf(name, labelled) });
      const judged = judge(trained, [...stages.values()], best, smaller === true);
      stages.set(name, trained);
      if (judged.kept) best = trained;
      yield* add({ ...told, ...described(work, trained), ...judged });
      return judged.kept ? trained : undefined;
    },
  };
}

/**
 * What was expected of trainings whose steps ended by the time that they were given: only what they took beside these
 * tells how fast the machine is.
 */
const expectedOf = ({ beside, runs }: Stage, took: number, planned: number): number =>
  beside === undefined ? took : Math.max(0, took - beside * runs.size) + planned;

/** Why something does not begin. */
export const tooLong = (least: number, left: number): string =>
  `would take at least ${Math.round(least)} s, and ${Math.max(0, Math.round(left))} s are left`;

/**
 * Work that is left when the time is over (the result is undefined), unless a training in it has made steps: such a
 * one ends by its own time, and what it has learned is worth the seconds that are needed to measure and keep it.
 */
function inTime<Result>(
  isOver: () => boolean,
  work: AsyncGenerator<RunEvent, Result, undefined>,
): AsyncGenerator<RunEvent, Result | undefined, undefined> {
  let hasSteps = false;
  const watched = tap(work, (event) => {
    // Of several trainings each can be left before its first step.
    if (event.type === 'step' || event.type === 'start') hasSteps = event.type === 'step';
    return event;
  });
  return until(() => !hasSteps && isOver(), watched);
}

/**
 * The number of labels: that of the round that made them, 0 of the consensus before; what other techniques learn is
 * numbered on.
 */
function numberOf(name: string, before: readonly PseudoLabelRound[]): number {
  const last = before.at(-1)?.round ?? (name === 'consensus' ? -1 : 0);
  return roundNumber(name) ?? last + 1;
}

/** What a rung gave, and at what cost. */
function described(
  { chain: { run, dataset }, situation, network, smaller }: Climb,
  { model, stage }: Trained,
): Pick<Rung, 'model' | 'parameters' | 'selection' | 'test' | 'seconds' | 'run'> {
  const counted = parametersOf(model, dataset.classes.length);
  const own = model === situation.model ? network : model === situation.options.student ? smaller : undefined;
  return {
    model: basename(model),
    parameters: counted ?? (own && countParameters(own)),
    ...accuraciesOf(stage, situation.options.reportOn),
    seconds: stage.seconds,
    run: relative(run.path, stage.run),
  };
}

const countParameters = ({ parameters, statistics }: Model): number =>
  [...parameters].reduce((sum, [name, { dims }]) => sum + (statistics.has(name) ? 0 : sizeOf(dims)), 0);
