import type { UnlabelledEpoch } from '../artifact/formats.js';
import { PupilError, type ErrorCode } from '../errors.js';
import type { Job } from '../job.js';
import type { RunEvent } from '../runs/events.js';
import { interruptible } from './interrupt.js';
import { watchOver } from './last-words.js';
import { createProgress, type Progress } from './progress.js';
import { duration } from '../report/format.js';
import { percent } from './table.js';
import type { Terminal } from './terminal.js';
import { asUserError } from './user-error.js';

/**
 * The rate, and loss and accuracy smoothed over recent steps, that stand beside a training's bar.
 */
interface Recent {
  loss: number;
  accuracy: number | undefined;
}

const smooth = (before: number | undefined, value: number): number =>
  before === undefined ? value : 0.9 * before + 0.1 * value;

/**
 * Shows the events of a job on stderr as they come, by the view that `viewOf` makes, and returns its
 * result. Its errors pass through.
 */
export async function follow<Event extends { readonly type: string }, Result>(
  job: Job<Event, Result>,
  terminal: Terminal,
  viewOf: (progress: Progress) => (event: Event) => void,
): Promise<Result> {
  const progress = await createProgress(terminal);
  const show = viewOf(progress);
  try {
    for await (const event of job) if (event.type !== 'result') show(event as Event);
  } finally {
    progress.end();
  }
  return job.then();
}

/** `follow` for a command without a run folder: Ctrl-C ends it, and nothing goes on from there. */
export const followAlone = <Result, Event extends { readonly type: string } = RunEvent>(
  start: (signal: AbortSignal) => Job<Event, Result>,
  terminal: Terminal,
  viewOf: (progress: Progress) => (event: Event) => void = createView as (
    progress: Progress,
  ) => (event: { readonly type: string }) => void,
): Promise<Result> =>
  interruptible(
    (signal) => follow(start(signal), terminal, viewOf),
    () => terminal.err('interrupted (press Ctrl-C again to stop at once)\n'),
  );

/** What ends a run that can go on, once the cause is gone. */
const resumable: readonly ErrorCode[] = ['interrupted', 'crashed', 'bad-path', 'io', 'network'];

/**
 * `follow` for a command with a run folder: Ctrl-C ends it with the command that goes on from
 * there.
 */
export async function followRun<Event extends { readonly type: string; readonly run?: string }, Result>(
  command: string,
  start: (signal: AbortSignal) => Job<Event, Result>,
  terminal: Terminal,
  viewOf: (progress: Progress) => (event: Event) => void,
): Promise<Result> {
  let run: string | undefined;
  const watch = (progress: Progress): ((event: Event) => void) => {
    const show = viewOf(progress);
    return (event) => {
      if (event.type === 'plan') {
        ({ run } = event);
        watchOver(`pupil ${command} --resume ${run}`);
      }
      show(event);
    };
  };
  try {
    return await interruptible(
      (signal) => follow(start(signal), terminal, watch),
      () => terminal.err('interrupted: saving (press Ctrl-C again to stop at once)\n'),
    );
  } catch (error) {
    const known = asUserError(error);
    if (run === undefined || known === undefined || !resumable.includes(known.code)) throw error;
    const what = known.code === 'interrupted' ? 'interrupted' : known.message;
    throw new PupilError(known.code, `${what}; continue with pupil ${command} --resume ${run}`, { cause: error });
  } finally {
    watchOver(undefined);
  }
}

/** A function that shows one event after the other. */
export function createView(progress: Progress, now: () => number = Date.now): (event: RunEvent) => void {
  const view = new TrainingView(progress, now);
  return (event) => view.show(event);
}

type EventOf<Type extends RunEvent['type']> = Extract<RunEvent, { type: Type }>;

/** What is shown of a training: a bar, and lines that stay. */
class TrainingView {
  /** What the bar shows. */
  private current = '';
  private phase = '';
  /** Which of several trainings, such as those of folds, is under way: they share a bar. */
  private training: NonNullable<EventOf<'phase'>['training']> | undefined;
  /** Epochs of that training that other phases have before, and those of all. */
  private epochs: EventOf<'phase'>['epochs'];
  /** Steps of trainings and phases before, as they are shown. */
  private stepsBefore = 0;
  private noted = -Infinity;
  /**
   * Epochs are counted on over the parts of one training: a part of n epochs ends at n more than
   * were done before it.
   */
  private part: { readonly epochs: number; readonly done: number; last?: number } = { epochs: 1, done: 0 };
  private recent: Recent | undefined;

  constructor(
    private readonly progress: Progress,
    private readonly now: () => number,
  ) {}

  show(event: RunEvent): void {
    switch (event.type) {
      case 'plan':
        for (const text of event.lines) this.progress.note(text);
        return;
      case 'warning':
      case 'note':
        this.progress.note(`${event.type === 'warning' ? 'warning: ' : ''}${event.message.replace(/\s*\n\s*/g, ' ')}`);
        return;
      case 'progress':
        this.showProgress(event);
        return;
      case 'phase':
        this.phase = event.name;
        this.epochs = event.epochs;
        if (event.training !== undefined || event.epochs === undefined) this.training = event.training;
        this.recent = undefined;
        return;
      case 'start':
        this.part = { epochs: event.epochs, done: Math.floor(event.step / event.stepsPerEpoch) };
        this.showBar(event.totalSteps, event.step);
        if (event.step > 0) this.progress.note(`continuing after step ${event.step} of ${event.totalSteps}`);
        return;
      case 'step':
        this.showStep(event);
        return;
      case 'epoch':
        this.showEpoch(event);
        return;
      case 'evaluation':
        this.progress.note(`  validation: ${describeScores(event.metrics)}${event.isBest ? ' (best so far)' : ''}`);
        return;
      case 'early-stop':
        this.progress.note(
          event.reason === 'patience'
            ? 'stopping early: accuracy on held-out images has not improved for a while'
            : `stopping after ${event.step} of ${event.allSteps} steps: time is up`,
        );
        return;
      case 'checkpoint':
        return;
      case 'done':
        this.endPart();
        return;
    }
  }

  private lastEpoch(epoch: number): number {
    return (this.part.last ??= epoch - 1 - this.part.done + this.part.epochs);
  }

  /** One bar for all phases of a training, and for all trainings of folds with the one on all labels. */
  private showBar(steps: number, done: number): void {
    const { index, count } = this.training ?? { index: 0, count: 1 };
    const { before, all } = this.epochs ?? { before: 0, all: this.part.epochs };
    const perEpoch = steps / this.part.epochs;
    this.stepsBefore = Math.round(perEpoch * (index * all + before));
    const total = Math.round(perEpoch * all * count);
    const isPart = count > 1 || all > this.part.epochs || this.phase === '';
    const name = isPart ? this.phase.slice(0, Math.max(0, this.phase.lastIndexOf(': '))) || 'training' : this.phase;
    if (this.current === `steps ${name} ${total}`) return;
    this.current = `steps ${name} ${total}`;
    this.progress.phase(name, total, 'steps', this.stepsBefore + done);
  }

  /** After the last part of the last training, what comes is none of them. */
  private endPart(): void {
    const { before, all } = this.epochs ?? { before: 0, all: 0 };
    if (before + this.part.epochs < all) return;
    if (this.training && this.training.index === this.training.count - 1) this.training = undefined;
  }

  private showProgress({ what, total, unit, done }: EventOf<'progress'>): void {
    const key = `${what} ${total}`;
    if (this.current !== key) this.progress.phase(what, total, unit);
    this.current = key;
    this.progress.update(done);
  }

  private showStep({ totalSteps, step, epoch, loss, accuracy, imagesPerSecond }: EventOf<'step'>): void {
    this.showBar(totalSteps, step - 1);
    const recent = {
      loss: smooth(this.recent?.loss, loss),
      accuracy: accuracy === undefined ? undefined : smooth(this.recent?.accuracy, accuracy),
    };
    this.recent = recent;
    const words = [`epoch ${epoch}/${this.lastEpoch(epoch)}`, `loss ${recent.loss.toFixed(3)}`];
    if (this.training) words.unshift(this.training.name);
    if (recent.accuracy !== undefined) words.push(`accuracy ${percent(recent.accuracy)}`);
    words.push(`${Math.round(imagesPerSecond)} images/s`);
    this.progress.update(this.stepsBefore + step, words);
  }

  private showEpoch(event: EventOf<'epoch'>): void {
    const { epoch, seconds } = event;
    const last = this.lastEpoch(epoch);
    // Folds are many and short epochs quick: a line for each would hide the rest.
    const isFold = this.training !== undefined && this.training.index < this.training.count - 1;
    if (isFold || (epoch !== last && this.now() - this.noted < 1000)) return;
    this.noted = this.now();
    this.progress.note(`epoch ${epoch}/${last}: ${describeEpoch(event)}, ${duration(seconds)}`);
  }
}

function describeEpoch({ loss, accuracy, observed }: EventOf<'epoch'>): string {
  const words = [`loss ${loss.toFixed(4)}`];
  if (accuracy !== undefined) words.push(`accuracy ${percent(accuracy)}`);
  const { kept, right, known } = (observed?.['unlabelled'] ?? {}) as Partial<UnlabelledEpoch>;
  if (kept !== undefined) words.push(`${percent(kept)} of the unlabelled images used`);
  if (kept !== undefined && right !== null && right !== undefined)
    words.push(`${percent(right)} right of ${known ?? 0} with a known label`);
  return words.join(', ');
}

/** Scores by name; those that are shares as percentages. */
const describeScores = (metrics: EventOf<'evaluation'>['metrics']): string =>
  Object.entries(metrics)
    .flatMap(([name, value]) => {
      if (typeof value !== 'number') return [];
      const isShare = name.startsWith('top') || name === 'accuracy' || name === 'ece';
      return [`${name === 'top1' ? 'accuracy' : name} ${isShare ? percent(value) : value.toFixed(4)}`];
    })
    .join(', ');
