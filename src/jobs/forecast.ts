/** How long `learn` and `train` are expected to take on this machine, told before they are begun. */
import { runFiles } from '../artifact/run-files.js';
import { invariant } from '../errors.js';
import type { LearnOptions } from '../options/jobs.js';
import { isFrozen } from '../options/option.js';
import { chooseModel } from '../runs/choose-model.js';
import { secondsAnImage } from '../runs/estimate.js';
import { secondsOfTraining, type Work } from '../runs/expected.js';
import { resolveSettings, useful, type TrainOptions } from '../runs/resolve.js';
import { train } from '../runs/train.js';
import { learn } from './learn/learn.js';

export interface Forecast {
  /** That it is expected to take; with `learn` not more than it was given, as long as that suffices for something. */
  readonly seconds: number;
}

/** What would be asked of the command; `out` is a folder that is thrown away afterwards. */
export interface ForecastOptions {
  readonly data: string;
  readonly out: string;
}

/**
 * As `learn` plans it: it is begun, and given up once it has made its plan; what that took counts too. Throws what
 * `learn` throws.
 */
export async function forecastLearn({ data, out }: ForecastOptions, options: LearnOptions): Promise<Forecast> {
  const started = performance.now();
  for await (const event of learn(data, { ...options, out })) if (event.type === 'plan') break;
  const opening = (performance.now() - started) / 1000;
  const plan = await runFiles.plan.read(out);
  invariant(plan, 'learn writes its plan before it tells it');
  const times = plan.rungs.filter(({ skip }) => skip === undefined).map(({ expectedSeconds }) => expectedSeconds);
  const total = times.reduce((sum, seconds) => sum + seconds, opening);
  const given = options.minutes === undefined ? Infinity : 60 * options.minutes;
  // The first technique is tried in full, whatever the time given.
  return { seconds: Math.max(opening + (times[0] ?? 0), Math.min(total, given)) };
}

/** From what it takes to open the images, its plan and a measured step. Throws what `train` throws. */
export async function forecastTrain({ data, out }: ForecastOptions, options: TrainOptions): Promise<Forecast> {
  const started = performance.now();
  let work: Work | undefined;
  for await (const event of train(data, { ...options, out }))
    if (event.type === 'plan') {
      work = event.work;
      break;
    }
  const opening = (performance.now() - started) / 1000;
  const classes = (await runFiles.config.read(out))?.classes;
  invariant(work && classes, 'train tells its plan once its run is there');
  const settings = resolveSettings(undefined, useful(options));
  const measuredAs = isFrozen(settings.mode) ? ({ mode: 'finetune' } as const) : {};
  const choosing = chooseModel({ classes }, options);
  let next = await choosing.next();
  while (!next.done) next = await choosing.next();
  const steps = resolveSettings(undefined, useful({ ...options, ...measuredAs }));
  const measured = await secondsAnImage(next.value, steps, classes.length);
  return { seconds: opening + secondsOfTraining(settings, work, classes.length, measured) };
}
