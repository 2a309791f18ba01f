/** The training that a job keeps becomes its result. */
import { existsSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { readProvenance } from '../artifact/provenance.js';
import { exportModel } from '../artifact/export.js';
import { metricsFile, openRun, type Run } from '../artifact/run.js';
import { runFiles } from '../artifact/run-files.js';
import type { Pool } from '../data/pool.js';
import { prepareImages } from '../data/prepare.js';
import type { Dataset } from '../data/sample.js';
import { evaluationTarget } from '../data/target.js';
import { createEngine } from '../engine/index.js';
import { imageReader } from '../evaluate/readers.js';
import { resolveModel } from '../models/index.js';
import { objectOf } from '../report/json.js';
import { writeReport } from '../report/report.js';
import type { RunEvent } from '../runs/events.js';
import { rejectionOf } from '../runs/rejection.js';
import type { TrainOptions } from '../runs/resolve.js';
import { featureGraph } from '../techniques/features.js';

export interface KeepOptions extends Pick<TrainOptions, 'engine' | 'threads' | 'signal' | 'rejection'> {
  /** The images that it was trained on. */
  readonly data: Dataset;
  readonly pool: Pool;
  /** What the job has taken, asked before its report is drawn. */
  seconds(): number | Promise<number>;
}

/**
 * The files of a finished training become those of the job's run; its model learns which images are of none of the
 * classes, where it was told to leave that (`rejection: false`); then a report is drawn.
 */
export async function* keepTraining(
  run: Run,
  training: string,
  { rejection = true, ...options }: KeepOptions,
): AsyncGenerator<RunEvent, void, undefined> {
  const { model, evaluation, learned, alike, preview } = runFiles;
  for (const { name } of [model, evaluation, learned, alike, preview, { name: metricsFile }])
    if (existsSync(join(training, name))) await cp(join(training, name), run.file(name));
  if (rejection) yield* addRejection(run, training, options);
  await writeReport(run.path, { readImage: imageReader(options.data, options.pool), seconds: await options.seconds() });
}

async function* addRejection(
  run: Run,
  training: string,
  { data, pool, engine: name = 'auto', threads, signal }: Omit<KeepOptions, 'rejection' | 'seconds'>,
): AsyncGenerator<RunEvent, void, undefined> {
  const { config } = await openRun(training);
  if (objectOf(config.settings)['rejection'] !== false) return;
  const learned = new Set((await runFiles.learned.read(training))?.labelled);
  const heldOut = new Set((await runFiles.selection.read(training))?.images.map(({ path }) => path));
  const model = await resolveModel(training);
  const engine = await createEngine(name, {
    purpose: 'evaluation',
    precision: 'f32',
    threads,
    graphs: () => (model.head ? [featureGraph(model)] : []),
  });
  try {
    const known = data.samples.filter(({ hash, label }) => label >= 0 && learned.has(hash));
    // With folds, what one of them held out was learned from in the end.
    const others = data.samples.filter(({ hash, path }) => heldOut.has(path) && !learned.has(hash));
    const target = evaluationTarget(model.preprocessing);
    const images = await prepareImages([...known, ...others], { pool, target, share: true, signal });
    const indexes = [...images.samples.keys()];
    const rejection = yield* rejectionOf(engine, model, {
      images,
      learned: indexes.filter((index) => learned.has(images.samples[index]!.hash)),
      judges: indexes.filter((index) => !learned.has(images.samples[index]!.hash)),
      classes: data.classes.length,
      isFrozen: false,
      signal,
    });
    if (rejection === undefined) return;
    await runFiles.model.write(run.path, exportModel({ ...model, rejection }, await readProvenance(training)));
  } finally {
    await engine.close();
  }
}
