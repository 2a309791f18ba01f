/**
 * Trainings on the parts of the labels that several processes share, with nothing but the run folder between them: one
 * leads, offers them (artifact/tasks.ts) and makes what nobody else does; others help.
 */
import { relative, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runFiles } from '../artifact/run-files.js';
import { TaskFolder } from '../artifact/tasks.js';
import type { Dataset } from '../data/sample.js';
import { PupilError } from '../errors.js';
import type { Options } from '../options/option.js';
import { trainingOptions } from '../options/training.js';
import type { RunPlace } from '../runs/moved.js';
import type { RunEvent } from '../runs/events.js';
import type { TrainOptions } from '../runs/resolve.js';
import type { Part } from './parts.js';
import { toldImages, type ToldImages } from './told-images.js';

/** A training that is offered. */
export interface TrainingTask extends ToldImages {
  /** What people read. */
  readonly title: string;
  /** Its run, from that of the job. */
  readonly out: string;
  /** But for where and how fast it is computed. */
  readonly options: TrainOptions;
  /** Where the process is that offers it. */
  readonly begun: RunPlace;
}

export type TrainingTasks = TaskFolder<TrainingTask>;

/** The trainings that the job in a run folder offers. */
export const tasksIn = (run: string): TrainingTasks => new TaskFolder(run, 'task');

/** How a job shares its trainings. */
export interface Sharing {
  readonly tasks: TrainingTasks;
  /** Its run folder. */
  readonly run: string;
  /** The images as they were opened, which others open, too. */
  readonly images: Dataset;
  readonly signal: AbortSignal | undefined;
}

/** The parts of a stage. */
export interface SharedParts {
  /** The run of a part's training. */
  outOf(part: Part): string;
  /** Its title and options, where all are begun at this moment by so many processes. */
  offer(part: Part, together: number): Pick<TrainingTask, 'title' | 'options'>;
  /** Makes it here; `ending` waits for the parts before it. */
  train(part: Part, ending: (() => Trainings) | undefined): Trainings;
}

type Trainings = AsyncGenerator<RunEvent, void, undefined>;

/** The line of a plan whose trainings others may share. */
export const planOfSharing = (parts: readonly Part[]): string[] =>
  parts.length > 1
    ? ['shards     those of this seed share its trainings on folds; the times are those of one process']
    : [];

/** Milliseconds between two looks at what others do. */
export const lookEvery = 500;

/**
 * Trains on all parts: those that are left when its turn comes here, the others elsewhere. What a process that died or
 * failed had taken on is made here. The last part, which is calibrated on those before it and takes longest, is begun
 * with them: by others first, here last.
 */
export async function* trainTogether(sharing: Sharing, parts: readonly Part[], shared: SharedParts): Trainings {
  const { tasks, run, signal } = sharing;
  const nameOf = (part: Part): string => relative(run, shared.outOf(part)).replaceAll(/[\\/]/g, '-');
  const isDone = (part: Part): Promise<boolean> => runFiles.result.exists(shared.outOf(part));
  const offered: Part[] = [];
  const together = 1 + (await tasks.helpers());
  for (const part of parts) {
    // What was begun here, also by who led before, goes on here.
    if (await runFiles.config.exists(shared.outOf(part))) await tasks.withdraw(nameOf(part));
    else {
      offered.push(part);
      await tasks.offer(nameOf(part), taskOf(sharing, part, shared, together));
    }
  }
  const complete = async function* (wanted: readonly Part[]): Trainings {
    for (;;) {
      const missing: Part[] = [];
      for (const part of wanted) if (!(await isDone(part))) missing.push(part);
      if (missing.length === 0) return;
      const [part, claim] = (await firstFree(missing)) ?? [];
      if (part !== undefined) {
        try {
          const before = parts.slice(0, parts.indexOf(part));
          const waits = !part.decides && !(await all(before, isDone));
          yield* shared.train(part, waits ? () => complete(before) : undefined);
        } catch (error) {
          // One that seemed to have died had only been silent.
          if (!(error instanceof PupilError && error.code === 'exists' && (await isDone(part)))) throw error;
        } finally {
          // A task that is done is offered no longer, before anybody else can claim it.
          if (await isDone(part)) await tasks.withdraw(nameOf(part));
          await claim!.release();
        }
        continue;
      }
      const done = parts.length - missing.length;
      yield { type: 'progress', what: 'waiting for other processes', unit: 'trainings', done, total: parts.length };
      // Who falls silent meanwhile is not counted when the next stage begins.
      await tasks.helpers();
      await sleep(lookEvery);
      signal?.throwIfAborted();
    }
  };
  const firstFree = async (
    wanted: readonly Part[],
  ): Promise<[Part, Awaited<ReturnType<typeof tasks.claim>>] | undefined> => {
    for (const part of wanted) {
      const claim = await tasks.claim(nameOf(part), { takesOver: true });
      if (claim !== undefined) return [part, claim];
    }
    return undefined;
  };
  try {
    yield* complete(parts);
  } finally {
    // Where this process is stopped, others complete what they are at for the next one.
    if (signal?.aborted !== true) for (const part of offered) await tasks.withdraw(nameOf(part));
  }
}

const all = async <T>(items: readonly T[], holds: (item: T) => Promise<boolean>): Promise<boolean> => {
  for (const item of items) if (!(await holds(item))) return false;
  return true;
};

function taskOf(
  { run, images }: Sharing,
  part: Part,
  { outOf, offer }: Pick<SharedParts, 'outOf' | 'offer'>,
  together: number,
): TrainingTask {
  const { title, options } = offer(part, together);
  const decisive = Object.entries(options).filter(
    ([name]) => name !== 'out' && (name === 'precision' || !(trainingOptions as Options)[name]?.machine),
  );
  return {
    title,
    out: relative(run, outOf(part)),
    options: Object.fromEntries(decisive),
    begun: { folder: resolve('.'), run },
    ...toldImages(images, part.data),
  };
}
