import { PupilError } from '../errors.js';
import type { Job } from '../job.js';
import type { RunEvent } from '../runs/events.js';
import { interruptible } from './interrupt.js';
import { createProgress, type Progress } from './progress.js';
import { duration, percent } from './table.js';
import type { Terminal } from './terminal.js';

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
      if (event.type === 'plan') ({ run } = event);
      show(event);
    };
  };
  try {
    return await interruptible(
      (signal) => follow(start(signal), terminal, watch),
      () => terminal.err('\ninterrupted: saving (press Ctrl-C again to stop at once)\n'),
    );
  } catch (error) {
    if (run === undefined || !(error instanceof PupilError) || error.code !== 'interrupted') throw error;
    throw new PupilError('interrupted', `interrupted; continue with pupil ${command} --resume ${run}`, {
      cause: error,
    });
  }
}

/** A function that shows one event after the other. */
export function createView(progress: Progress, now: () => number = Date.now): (event: RunEvent) => void {
  let current = '';
  let phase = '';
  let fold: string | undefined;
  let noted = -Infinity;
  // Epochs are counted on over the parts of one training: a part of n epochs ends at n more than
  // were done before it.
  let part: { readonly epochs: number; readonly done: number; last?: number } = { epochs: 1, done: 0 };
  const lastEpoch = (epoch: number): number => (part.last ??= epoch - 1 - part.done + part.epochs);
  let recent: Recent | undefined;
  const training = (total: number, done: number): void => {
    const name = phase === '' ? 'training' : phase;
    if (current === `steps ${name} ${total}`) return;
    current = `steps ${name} ${total}`;
    progress.phase(name, total, 'steps', done);
  };
  return (event) => {
    switch (event.type) {
      case 'plan':
        for (const text of event.lines) progress.note(text);
        return;
      case 'warning':
      case 'note':
        progress.note(`${event.type === 'warning' ? 'warning: ' : ''}${event.message.replace(/\s*\n\s*/g, ' ')}`);
        return;
      case 'progress': {
        const key = `${event.what} ${event.total}`;
        if (current !== key) progress.phase(event.what, event.total, event.unit);
        current = key;
        progress.update(event.done);
        return;
      }
      case 'phase':
        // The part that follows a fold's announcement is that fold's.
        phase = fold === undefined || event.name.startsWith('fold') ? event.name : fold;
        fold = event.name.startsWith('fold') ? event.name : undefined;
        recent = undefined;
        return;
      case 'start':
        part = { epochs: event.epochs, done: Math.floor(event.step / event.stepsPerEpoch) };
        training(event.totalSteps, event.step);
        if (event.step > 0) progress.note(`continuing after step ${event.step} of ${event.totalSteps}`);
        return;
      case 'step': {
        training(event.totalSteps, event.step - 1);
        recent = {
          loss: smooth(recent?.loss, event.loss),
          accuracy: event.accuracy === undefined ? undefined : smooth(recent?.accuracy, event.accuracy),
        };
        const words = [`epoch ${event.epoch}/${lastEpoch(event.epoch)}`, `loss ${recent.loss.toFixed(3)}`];
        if (recent.accuracy !== undefined) words.push(`accuracy ${percent(recent.accuracy)}`);
        words.push(`${Math.round(event.imagesPerSecond)} images/s`);
        progress.update(event.step, words.join(', '));
        return;
      }
      case 'epoch': {
        const { epoch, loss, accuracy, seconds, observed } = event;
        const words = [`loss ${loss.toFixed(4)}`];
        if (accuracy !== undefined) words.push(`accuracy ${percent(accuracy)}`);
        const { kept, right } = (observed?.['unlabelled'] ?? {}) as { kept?: number; right?: number | null };
        if (kept !== undefined)
          words.push(
            `${percent(kept)} of the unlabelled images used${right === null || right === undefined ? '' : `, ${percent(right)} of these with the right label`}`,
          );
        // Folds are many and short epochs quick: a line for each would hide the rest.
        if (phase.startsWith('fold') || (epoch !== lastEpoch(epoch) && now() - noted < 1000)) return;
        noted = now();
        progress.note(`epoch ${epoch}/${lastEpoch(epoch)}: ${words.join(', ')}, ${duration(seconds)}`);
        return;
      }
      case 'evaluation': {
        const { metrics } = event;
        const words = Object.entries(metrics).flatMap(([name, value]) =>
          typeof value !== 'number'
            ? []
            : [
                `${name === 'top1' ? 'accuracy' : name} ${name.startsWith('top') || name === 'accuracy' || name === 'ece' ? percent(value) : value.toFixed(4)}`,
              ],
        );
        progress.note(`  validation: ${words.join(', ')}${event.isBest ? ' (best so far)' : ''}`);
        return;
      }
      case 'early-stop':
        progress.note(
          event.reason === 'patience'
            ? 'stopping early: the validation loss has not improved for a while'
            : 'stopping: the time limit is reached',
        );
        return;
      case 'checkpoint':
      case 'done':
        return;
    }
  };
}
