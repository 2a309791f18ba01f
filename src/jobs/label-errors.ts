/**
 * Which labels are likely wrong: held-out predictions of a last layer, solved on the features of a
 * frozen network without the labels of each fold in turn, against the labels (techniques/label-errors.ts).
 */
import { performance } from 'node:perf_hooks';
import { openDataset } from '../data/dataset.js';
import type { Pool } from '../data/pool.js';
import { isLabelled, sharedGroups, type Dataset, type Sample, type Unreadable } from '../data/sample.js';
import { foldsOf } from '../data/split.js';
import { refuseAmongImages, refuseExistingFile } from '../artifact/free.js';
import type { Engine } from '../engine/engine.js';
import { PupilError } from '../errors.js';
import { effectiveCount, fitTemperature, softmax } from '../evaluate/metrics.js';
import { Job } from '../job.js';
import { foreignOf, isBuiltIn } from '../models/index.js';
import { checkOptions, withSignal } from '../options/option.js';
import { common } from '../options/recipes.js';
import { labelErrorOptions, type LabelErrorOptions, type LabelErrorRequest } from '../options/tools.js';
import { chooseModel } from '../runs/choose-model.js';
import type { RunEvent } from '../runs/events.js';
import { powerTransform } from '../techniques/closed-form/power-transform.js';
import { doubtLabels, type LabelDoubt } from '../techniques/label-errors.js';
import { fitProbe } from '../techniques/probe.js';
import { distinct, skippedOf, warnUnreadable } from './images.js';
import { sheetLimit, writeImageSheet } from './image-sheet.js';
import { openLooker, type Seen } from './look.js';

/** An image whose label is in doubt. */
export interface DoubtedImage {
  readonly path: string;
  readonly label: string;
  /** How likely that label is, by a model that did not learn it. */
  readonly confidence: number;
  /** The most likely of the other classes. */
  readonly suggested: string;
  readonly suggestedConfidence: number;
  /** Whether it counts as one of the other classes (confident learning). */
  readonly suspect: boolean;
}

export interface LabelErrors {
  /** All labelled training images, the least likely label first. */
  readonly images: readonly DoubtedImage[];
  /** How many of them count as one of another class. */
  readonly suspects: number;
  /** Of the labels the share that the held-out predictions agree with. */
  readonly agreement: number;
  /** Files that cannot be read or decoded. */
  readonly skipped: readonly Unreadable[];
  /** A picture of the first ones. */
  readonly sheet: string | undefined;
  readonly seconds: number;
}

/**
 * Ranks the labelled training images of a data set by how unlikely their labels are, for somebody to look
 * at; a label is never changed. Equal contents count once. Throws PupilErrors: `usage`, `not-found`, `exists`,
 * `bad-data` (fewer than two images of two classes), `bad-model`...
 *
 * @example
 * const { images } = await labelErrors('photos', { model: 'backbone.onnx' });
 * console.log(images.filter(({ suspect }) => suspect).map(({ path, suggested }) => `${path}: ${suggested}?`));
 */
export function labelErrors(data: string | Dataset, options: LabelErrorRequest): Job<RunEvent, LabelErrors> {
  return labelErrorsIn(data, options);
}

/** `labelErrors` with the image workers of the caller, who closes them. */
export function labelErrorsIn(
  data: string | Dataset,
  options: LabelErrorRequest,
  pool?: Pool,
): Job<RunEvent, LabelErrors> {
  return new Job(async function* (signal) {
    return yield* find(data, checkOptions(labelErrorOptions, withSignal(options, signal)), pool);
  }, options);
}

async function* find(
  data: string | Dataset,
  options: LabelErrorOptions,
  pool: Pool | undefined,
): AsyncGenerator<RunEvent, LabelErrors, undefined> {
  const started = performance.now();
  const { signal, sheet, model: named } = options;
  if (named === undefined || isBuiltIn(named))
    throw new PupilError(
      'usage',
      'label errors are found with a trained `model` that sees the images: a run folder, an ONNX file or ' +
        'hf:owner/repo[/file]',
      { option: 'model' },
    );
  if (sheet !== undefined && typeof data === 'string') await refuseAmongImages('out', sheet, [data]);
  await refuseExistingFile('out', sheet);
  const { classes, samples, path } = typeof data === 'string' ? await openDataset(data, { signal }) : data;
  const labelled = distinct(samples.filter(isLabelled));
  const model = yield* chooseModel({ classes }, { ...foreignOf(options), model: named, signal });
  const looker = await openLooker(model, { ...options, pool });
  try {
    const seen = yield* looker.lookAt(labelled);
    yield* warnUnreadable(seen.unreadable);
    const { doubts, rows } = await doubted(looker.engine, seen, classes.length, path);
    const images = doubts.map(({ index, suggested, ...doubt }): DoubtedImage => ({
      path: rows[index]!.path,
      label: classes[rows[index]!.label]!,
      ...doubt,
      suggested: classes[suggested]!,
    }));
    const suspects = images.filter(({ suspect }) => suspect).length;
    if (sheet !== undefined)
      await writeImageSheet(sheet, {
        title: `${suspects} of ${images.length} labels are likely wrong`,
        subtitle: 'the least likely labels first',
        images: doubts
          .slice(0, sheetLimit)
          .map(({ index }, i) => ({ sample: rows[index]!, caption: captionOf(images[i]!) })),
        pool: looker.pool,
      });
    return {
      images,
      suspects,
      agreement:
        images.filter(({ confidence, suggestedConfidence }) => confidence > suggestedConfidence).length / images.length,
      skipped: skippedOf(seen.unreadable),
      sheet,
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    await looker.close();
  }
}

const captionOf = ({ label, suggested, suggestedConfidence, suspect }: DoubtedImage): string =>
  `${suspect ? '? ' : ''}${label}: ${suggested} ${suggestedConfidence.toFixed(2)}`;

/** Every image is held out once; one that is alone in its class cannot be. */
async function doubted(
  engine: Engine,
  { samples, layers }: Seen,
  classes: number,
  path: string,
): Promise<{ doubts: readonly LabelDoubt[]; rows: readonly Sample[] }> {
  const place = new Map(samples.map((sample, i) => [sample, i]));
  const folds = foldsOf(samples, common.folds).map(({ selection }) => selection.map((sample) => place.get(sample)!));
  if (folds.length === 0)
    throw new PupilError('bad-data', `${path}: no label can be held out; label at least two images of two classes`);
  const labels = samples.map(({ label }) => label);
  const { heldOut } = await fitProbe(engine, { ...powerTransform(layers), labels, classes }, folds, [
    ...place.values(),
  ]);
  const own = heldOut.indexes.map((i) => labels[i]!);
  const rows = heldOut.indexes.map((i) => samples[i]!),
    independent = effectiveCount(sharedGroups(rows));
  const temperature = fitTemperature(heldOut.logits, own, classes, independent);
  return { doubts: doubtLabels(softmax(heldOut.logits, classes, temperature), own, classes), rows };
}
