/** What a process does for the ladder that another one climbs: it takes on trainings that are offered there. */
import { randomBytes } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFolder } from '../../artifact/files.js';
import { dropCheckpoints, openRun } from '../../artifact/run.js';
import { runFiles } from '../../artifact/run-files.js';
import type { Claim } from '../../artifact/tasks.js';
import type { Pool } from '../../data/pool.js';
import type { Dataset } from '../../data/sample.js';
import { PupilError, type ErrorCode } from '../../errors.js';
import type { LearnOptions } from '../../options/jobs.js';
import { machineOptions, omit } from '../../options/option.js';
import { trainingOptions } from '../../options/training.js';
import type { RunEvent, TrainResult } from '../../runs/events.js';
import { featuresOfRun } from '../../runs/features.js';
import { openImages } from '../../runs/images.js';
import { settingsNow } from '../../runs/moved.js';
import { tap } from '../../runs/relay.js';
import type { TrainOptions } from '../../runs/resolve.js';
import { poolFor, trainAs } from '../../runs/train.js';
import { lookEvery, tasksIn, type TrainingTask, type TrainingTasks } from '../shared-stages.js';
import { asEventOf } from '../stages.js';
import { imagesTold } from '../told-images.js';

/** Where the images are, and how this process computes. */
export interface HelpOptions {
  readonly data: string;
  readonly told: LearnOptions;
  readonly signal: AbortSignal;
}

/** Errors of a training that are not this process's: who leads meets them, too, and decides. */
const ofTraining: readonly ErrorCode[] = [
  'bad-data',
  'diverged',
  'usage',
  'not-found',
  'bad-model',
  'unsupported',
  'bad-path',
  'network',
];

/**
 * Makes trainings that the ladder in `run` offers, until nobody is there who offers any: it is complete, or who
 * climbed it has died. Returns how many were made; undefined: nobody was there.
 */
export async function* helpLadder(
  run: string,
  options: HelpOptions,
): AsyncGenerator<RunEvent, number | undefined, undefined> {
  const { signal } = options;
  const tasks = tasksIn(resolve(run));
  if (!(await tasks.isLed())) return undefined;
  const presence = await tasks.join();
  const helper = new Helper(resolve(run), tasks, options);
  let made = 0;
  yield { type: 'note', message: `helps with ${run}, which another process leads: takes on trainings on folds` };
  try {
    while (await tasks.isLed()) {
      signal.throwIfAborted();
      if (yield* helper.takeOne()) made++;
      else await sleep(lookEvery);
    }
    return made;
  } finally {
    await presence.release();
    await helper.close();
    await tasks.leave();
  }
}

class Helper {
  readonly #run: string;
  readonly #tasks: TrainingTasks;
  readonly #options: HelpOptions;
  readonly #warned = new Set<string>();
  #images: Dataset | undefined;
  #pool: Pool | undefined;

  constructor(run: string, tasks: TrainingTasks, options: HelpOptions) {
    this.#run = run;
    this.#tasks = tasks;
    this.#options = options;
  }

  async close(): Promise<void> {
    await this.#pool?.close();
  }

  /** Makes a training that nobody else has taken on; whether there was one, and it is of use. */
  async *takeOne(): AsyncGenerator<RunEvent, boolean, undefined> {
    // The one on all labels takes longest: its name, without that of a fold, comes first.
    for (const name of await this.#tasks.names()) {
      const claim = await this.#tasks.claim(name);
      if (claim === undefined) continue;
      try {
        const task = await this.#tasks.read(name);
        if (task !== undefined) return yield* this.#make(name, task, claim);
      } finally {
        await claim.release();
      }
    }
    return false;
  }

  /** It is made in a folder of its own, which gets its name when it is complete. */
  async *#make(name: string, task: TrainingTask, claim: Claim): AsyncGenerator<RunEvent, boolean, undefined> {
    const { signal } = this.#options;
    const out = join(this.#run, task.out),
      draft = join(this.#tasks.path, `${name}-${randomBytes(4).toString('hex')}`, basename(out));
    const withdrawn = new AbortController();
    let isWaiting = false;
    const watch = setInterval(() => {
      void this.#isWanted(name, isWaiting).then((wanted) => {
        if (!wanted) withdrawn.abort();
      });
    }, lookEvery);
    const { calibrateOn = [] } = task.options;
    const options = await this.#optionsOf(task, draft, AbortSignal.any([signal, withdrawn.signal]));
    const waitForFolds = async function* (): AsyncGenerator<RunEvent, void, undefined> {
      isWaiting = true;
      for (const fold of options.calibrateOn ?? [])
        while (!(await runFiles.result.exists(fold))) {
          yield {
            type: 'progress',
            what: 'waiting for the folds',
            unit: 'trainings',
            done: 0,
            total: calibrateOn.length,
          };
          await sleep(lookEvery);
          options.signal!.throwIfAborted();
        }
    };
    try {
      const images = imagesTold(await this.#openImages(), task);
      const training = trainAs('train', images, options, { pool: this.#pool, ending: waitForFolds });
      yield* tap(training, (event) => asEventOf(task.title, event, this.#warned));
      await dropCheckpoints(draft);
      const isNew = await giveName(draft, out);
      if (isNew || (await runFiles.result.exists(out))) await this.#tasks.withdraw(name);
      return isNew;
    } catch (error) {
      if (signal.aborted) throw error;
      if (withdrawn.signal.aborted || !(await this.#tasks.isOffered(name))) return false;
      if (!(error instanceof PupilError) || !ofTraining.includes(error.code)) throw error;
      await claim.fail();
      yield { type: 'warning', message: `${task.title}: ${error.message}` };
      return false;
    } finally {
      clearInterval(watch);
      await rm(dirname(draft), { recursive: true, force: true });
    }
  }

  /** One that waits for others needs somebody who sees to it that they are made. */
  async #isWanted(name: string, isWaiting: boolean): Promise<boolean> {
    return (await this.#tasks.isOffered(name)) && (!isWaiting || (await this.#tasks.isLed()));
  }

  async #optionsOf({ options, begun }: TrainingTask, out: string, signal: AbortSignal): Promise<TrainOptions> {
    const here = settingsNow(trainingOptions, { settings: options, begun, command: 'train', versions: {} }, this.#run);
    const machine = omit(machineOptions(trainingOptions, this.#options.told), ['precision']);
    return { ...here, ...machine, featureCache: featuresOfRun(await openRun(this.#run)), out, signal };
  }

  async #openImages(): Promise<Dataset> {
    const { data, told, signal } = this.#options;
    this.#pool ??= poolFor({ ...machineOptions(trainingOptions, told), signal });
    const { unlabelled, reportOn, skip } = told;
    return (this.#images ??= (await openImages(data, { unlabelled, reportOn, signal, skip })).dataset);
  }
}

/** The complete run gets its place, and says so; false where one is there already. */
async function giveName(draft: string, out: string): Promise<boolean> {
  const run = await openRun(draft);
  await run.updateConfig({ ...run.config, begun: run.config.begun && { ...run.config.begun, run: out } });
  const result = (await runFiles.result.read(draft)) as TrainResult;
  const placed: TrainResult = { ...result, run: out, model: runFiles.model.in(out) };
  await runFiles.result.write(draft, placed);
  await makeFolder(dirname(out));
  try {
    await rename(draft, out);
    return true;
  } catch (error) {
    if (await runFiles.config.exists(out)) return false;
    throw error;
  }
}
