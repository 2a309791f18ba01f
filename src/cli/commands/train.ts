import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openRun } from '../../artifact/run.js';
import type { AugmentPolicy } from '../../augment/policy.js';
import type { Dataset } from '../../data/sample.js';
import { readPolicy } from '../../runs/augmentation.js';
import { flagOf } from '../../options/flag.js';
import type { RunEvent, TrainResult } from '../../runs/events.js';
import type { TrainOptions as Options } from '../../runs/settings.js';
import { train as learn } from '../../runs/train.js';
import { PupilError } from '../../errors.js';
import type { Job } from '../../job.js';
import { describeMetrics } from '../measures.js';
import { duration, facts, percent } from '../table.js';
import { conclude } from '../result.js';
import type { Terminal } from '../terminal.js';
import { createView, followRun } from '../training-progress.js';
import type { TrainOptions } from '../training-options.js';

/** `pupil train [DATA]`. */
export async function train(data: string | undefined, options: TrainOptions, terminal: Terminal): Promise<void> {
  if (data === undefined && options.resume === undefined) {
    throw new PupilError(
      'usage',
      'train needs DATA, a folder with one subfolder per class (or --resume RUN); see pupil train --help',
    );
  }
  if (options.resume !== undefined) await refuseChanges(options.resume, data, options);
  await runTraining(data, options, terminal);
}

/**
 * What a resumed run may be told anew: it changes no number, apart from the rounding of another
 * engine.
 */
const free: ReadonlySet<string> = new Set([
  'json',
  'resume',
  'workers',
  'cacheMemory',
  'preview',
  'engine',
  'precision',
]);

/**
 * A resumed run keeps its own options: one that says otherwise is refused rather than passed over.
 * Throws `usage`.
 */
export async function refuseChanges(
  folder: string,
  data: string | undefined,
  { out, augment, ...options }: TrainOptions,
  alsoFree: readonly string[] = [],
): Promise<void> {
  const { config, path } = await openRun(folder);
  const settings = (config['settings'] ?? {}) as Readonly<Record<string, unknown>>;
  const differs = (name: string, told: unknown, saved: unknown): void => {
    if (JSON.stringify(told) === JSON.stringify(saved)) return;
    throw new PupilError(
      'usage',
      `--resume ${folder} continues with the run's own options: ${name} was ${JSON.stringify(saved) ?? 'not given'}, not ` +
        `${JSON.stringify(told)}; leave it out, or start a new run`,
    );
  };
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined && !free.has(name) && !alsoFree.includes(name))
      differs(flagOf(name), value, settings[name]);
  }
  // A policy has several spellings: what counts is what it does.
  if (augment !== undefined) {
    const saved = settings['augment'] as string | AugmentPolicy;
    const [told, was] = [await readPolicy(augment), await readPolicy(saved)];
    if (JSON.stringify([told.base, told.steps]) !== JSON.stringify([was.base, was.steps]))
      differs('--augment', told.name, was.name);
  }
  if (data !== undefined)
    differs('DATA', resolve(data), typeof settings['data'] === 'string' ? resolve(settings['data']) : undefined);
  if (out !== undefined) differs('--out', resolve(out), path);
}

/** Runs a training, shows it, and presents its result. */
export async function runTraining(
  data: string | Dataset | undefined,
  { json, ...options }: Omit<TrainOptions, keyof Options> & Options,
  terminal: Terminal,
  command = 'train',
  run: (data: string | Dataset | undefined, options: Options) => Job<RunEvent, TrainResult> = learn,
): Promise<TrainResult> {
  const result = await followRun(command, (signal) => run(data, { ...options, signal }), terminal, createView);
  conclude(result, () => summary(result), json, terminal);
  return result;
}

/** The summary table at the end of a training. */
function summary({ run: folder, model, best, val, test, seconds }: TrainResult): string {
  const report = pathToFileURL(`${folder}/report.html`).href;
  const chosen =
    best.top1 === undefined
      ? 'no images to choose on: the last weights'
      : `${percent(best.top1)}${best.epoch > 0 ? ` (epoch ${best.epoch})` : ''}`;
  const rows: [string, string][] = [
    ['selection', chosen],
    ['time', duration(seconds)],
    ['run', folder],
    ['model', model],
    ['report', report],
  ];
  const labels = Object.keys((test ?? val).perClass);
  return `\n${test === undefined ? 'val' : 'test'}: ${describeMetrics(test ?? val, labels)}\n${facts(rows)}`;
}
