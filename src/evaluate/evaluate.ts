import type { ImageResult, Metrics } from '../artifact/formats.js';
import { createEvaluationLoader } from '../data/loader.js';
import { assertData, openDataset } from '../data/dataset.js';
import { defaultCacheFolder } from '../data/disk-cache.js';
import { createFingerprints, type Fingerprints } from '../data/fingerprints.js';
import { createPool } from '../data/pool.js';
import { prepareImages, type PreparedImages } from '../data/prepare.js';
import { sharedGroups, type Dataset, type Sample, type Split, type Unreadable } from '../data/sample.js';
import { isFair } from '../data/split.js';
import { evaluationTarget } from '../data/target.js';
import { shown } from '../arguments.js';
import { assertSkippable } from '../data/skipping.js';
import { PupilError } from '../errors.js';
import type { Image } from '../image/image.js';
import { checkOptions, type Given } from '../options/option.js';
import { measureOptions } from '../options/tools.js';
import { inBatchesOf, meanRow, stack, tenViews, type Classifier } from './classifier.js';
import { argmax, assertFinite, effectiveCount, independence, measure } from './metrics.js';
import { decodeSample, reasonFor } from './readers.js';

/** What evaluation needs of a classifier. */
export type Network = Pick<Classifier, 'labels' | 'preprocessing' | 'run' | 'learned' | 'outlierThreshold'>;

/** Model outputs for a list of images, row-major [count, classes]. */
export interface Outputs {
  readonly logits: Float32Array;
  readonly probabilities: Float32Array;
  /** [count], where the model learned a rejection. */
  readonly outlier?: Float32Array | undefined;
}

/** What `evaluate` can be told. */
export interface EvaluateOptions extends Given<typeof measureOptions> {}

export interface Evaluation {
  readonly metrics: Metrics;
  readonly images: readonly ImageResult[];
  /** How many of them the model learned from, where its run folder tells: it is no measure of these. */
  readonly learned?: number | undefined;
  /** How many of them the model takes for none of its classes, where it learned that; accuracy counts their labels. */
  readonly refused?: number | undefined;
  /** Files that could not be decoded. They are not counted. */
  readonly unreadable: readonly Unreadable[];
}

/**
 * Measures a classifier on labelled images (a path or an opened data set). Throws `bad-data` when
 * the data has a class that the model does not know, or no image to evaluate on.
 */
export async function evaluate(
  model: Network,
  data: string | Dataset,
  told: EvaluateOptions = {},
): Promise<Evaluation> {
  const options = checkOptions(measureOptions, told);
  assertNetwork(model);
  assertData(data);
  for (const name of ['batchSize', 'workers'] as const)
    if (options.tta && options[name] !== undefined)
      throw new PupilError('usage', `\`${name}\` has no use with \`tta\`, image after image; leave it out`, {
        option: name,
      });
  const dataset =
    typeof data === 'string' ? await openDataset(data, { classes: model.labels, skip: options.skip }) : data;
  const samples = chooseSplit(dataset, options.split);
  const { samples: decoded, unreadable, learned, ...outputs } = await outputsOf(model, samples, options);
  if (decoded.length === 0)
    throw new PupilError(
      'bad-data',
      `${dataset.path}: none of its ${samples.length} images can be decoded; pupil doctor lists why`,
    );
  const unread = [...dataset.unreadable, ...unreadable];
  assertSkippable(unread, options);
  return { ...summarise(model, decoded, outputs, unread), learned: learned?.filter(Boolean).length };
}

interface Looked extends Outputs {
  /** Those that could be decoded. */
  readonly samples: readonly Sample[];
  /** Of each whether the model learned from it, where its run folder tells. */
  readonly learned?: readonly boolean[] | undefined;
  readonly unreadable: readonly Unreadable[];
}

type LookOptions = Pick<EvaluateOptions, 'tta' | 'workers' | 'batchSize' | 'onProgress'> & {
  readonly total?: number | undefined;
};

const outputsOf = (model: Network, samples: readonly Sample[], options: LookOptions): Promise<Looked> =>
  options.tta ? evaluateViews(model, samples, options) : evaluateSamples(model, samples, options);

/** What a model says of some images of an evaluation of `total`, as `evaluate` says it of all. */
export async function evaluateSome(
  model: Network,
  samples: readonly Sample[],
  options: LookOptions,
): Promise<Looked & Pick<Evaluation, 'images'>> {
  const looked = await outputsOf(model, samples, options);
  return { ...looked, images: resultsOf(model.labels, looked.samples, looked) };
}

function assertNetwork(model: unknown): void {
  const parts = ['labels', 'preprocessing', 'run'];
  if (typeof model === 'object' && model !== null && parts.every((part) => part in model)) return;
  throw new PupilError('usage', `evaluate takes a classifier, as loadModel gives it, got ${shown(model)}`);
}

/** Images run at once. */
export const usualBatch = 32;

/**
 * The outputs for samples, decoded as the model sees them, and which of them could be decoded. `total`:
 * how many they are with those that other calls, or other machines, look at; the outputs for an image
 * are the same wherever it is.
 */
export async function evaluateSamples(
  model: Network,
  samples: readonly Sample[],
  { workers, batchSize = usualBatch, total = samples.length, onProgress }: Omit<LookOptions, 'tta'> = {},
): Promise<Looked> {
  const pool = createPool({ workers });
  // Half of the work is decoding. Equal contents are decoded once, and some cannot be: parts are shares of all.
  const report = (half: 0 | 1, part: number): void =>
    onProgress?.(((half + part) / 2) * samples.length, samples.length);
  try {
    const images = await prepareImages(samples, {
      pool,
      target: evaluationTarget(model.preprocessing),
      onProgress: (done, total) => report(0, done / total),
    });
    const outputs = await run(model, images, {
      batchSize,
      fill: total >= batchSize,
      onProgress: (done) => report(1, done / images.samples.length),
    });
    images.close();
    const learned = learnedAmong(images.samples, model, pool.fingerprints);
    return { ...outputs, samples: images.samples, unreadable: images.unreadable, learned };
  } finally {
    await pool.close();
  }
}

/** Which samples a model learned from: the same file, or the same pixels in another (a PNG of a JPEG). */
const learnedAmong = (
  samples: readonly Sample[],
  { learned }: Network,
  prints: Pick<Fingerprints, 'get'>,
): readonly boolean[] | undefined =>
  learned && samples.map(({ hash }) => learned.has(hash) || learned.has(prints.get(hash)?.pixels ?? hash));

/** The outputs for prepared images (or those of `subset`), in order. */
export async function run(
  model: Pick<Classifier, 'labels' | 'run'>,
  images: PreparedImages,
  {
    subset = images.samples.map((_, i) => i),
    batchSize = usualBatch,
    fill = false,
    onProgress,
  }: {
    readonly subset?: readonly number[];
    readonly batchSize?: number | undefined;
    /** The last batch is filled up, so that an image's outputs do not depend on how many others there are. */
    readonly fill?: boolean;
    readonly onProgress?: (done: number) => void;
  } = {},
): Promise<Outputs> {
  const classes = model.labels.length;
  const logits = new Float32Array(subset.length * classes),
    probabilities = new Float32Array(logits.length),
    outlier = new Float32Array(subset.length);
  if (subset.length === 0) return { logits, probabilities };
  const runBatch = inBatchesOf(fill ? batchSize : undefined, model.run);
  let done = 0,
    isLearned = false;
  for await (const batch of createEvaluationLoader({ images, classes, batchSize, subset }).batches(0)) {
    const outputs = await runBatch(batch.pixels, batch.count);
    for (let i = 0; i < batch.count; i++)
      assertFinite(
        outputs.probabilities.subarray(i * classes, (i + 1) * classes),
        images.samples[subset[done + i]!]!.path,
      );
    logits.set(outputs.logits, done * classes);
    probabilities.set(outputs.probabilities, done * classes);
    if (outputs.outlier) outlier.set(outputs.outlier, done);
    isLearned ||= outputs.outlier !== undefined;
    done += batch.count;
    onProgress?.(done);
  }
  return { logits, probabilities, outlier: isLearned ? outlier : undefined };
}

/**
 * Metrics and per-image results. Loss and calibration are those of the calibrated probabilities.
 */
export function summarise(
  model: Pick<Classifier, 'labels' | 'outlierThreshold'>,
  samples: readonly Sample[],
  { logits, probabilities, outlier }: Outputs,
  unreadable: readonly Unreadable[] = [],
): Evaluation {
  const { labels } = model;
  const measured = measure(
    calibratedLogits(probabilities),
    samples.map((sample) => sample.label),
    labels,
  );
  const metrics = withOrigins(measured, originsOf(samples, probabilities));
  const images = resultsOf(labels, samples, { logits, probabilities });
  const { outlierThreshold = Infinity } = model;
  return {
    metrics,
    images,
    refused: outlier?.filter((x) => x > outlierThreshold).length,
    unreadable,
  };
}

/** How measured images came to their labels, and which of them are copies of others. */
export interface Origins {
  /** Suggested by a model and accepted, but for those drawn at random. */
  readonly accepted: number;
  /** Drawn at random, and how many of these the model is right about. */
  readonly drawn: number;
  readonly right: number;
  /** As how many independent images all count, and those drawn (`effectiveCount`). */
  readonly independent: number;
  readonly drawnIndependent: number;
}

/** `answers`: logits or probabilities [samples, classes]. */
export function originsOf(samples: readonly Sample[], answers: Float32Array): Origins {
  const classes = answers.length / samples.length;
  const drawn = [...samples.keys()].filter((row) => samples[row]!.drawn === true);
  const groups = sharedGroups(samples);
  return {
    accepted: samples.filter((sample) => !isFair(sample)).length,
    drawn: drawn.length,
    right: drawn.filter((row) => argmax(answers, row * classes, classes) === samples[row]!.label).length,
    independent: effectiveCount(groups),
    drawnIndependent: effectiveCount(drawn.map((row) => groups[row])),
  };
}

/** The metrics with what their images' origins make of them. */
export const withOrigins = (
  metrics: Metrics,
  { accepted, drawn, right, independent, drawnIndependent }: Origins,
): Metrics => ({
  ...metrics,
  ...independence(metrics.count, independent),
  ...(accepted > 0 ? { accepted } : {}),
  ...(drawn > 0 && drawn < metrics.count
    ? { drawn: { top1: right / drawn, count: drawn, ...independence(drawn, drawnIndependent) } }
    : {}),
});

/** Logits whose softmax are these probabilities: metrics then speak of what the model really says. */
export const calibratedLogits = (probabilities: Float32Array): Float32Array =>
  probabilities.map((p) => Math.log(Math.max(p, 1e-30)));

const resultsOf = (
  labels: readonly string[],
  samples: readonly Sample[],
  { logits, probabilities }: Outputs,
): ImageResult[] => {
  const groups = sharedGroups(samples);
  return samples.map(({ path, label }, i) => {
    const predicted = argmax(logits, i * labels.length, labels.length);
    const group = groups[i];
    return {
      path,
      label: labels[label]!,
      predicted: labels[predicted]!,
      confidence: probabilities[i * labels.length + predicted]!,
      ...(group === undefined ? {} : { group }),
    };
  });
};

/** The labelled samples of a split. Throws `bad-data` when there are none. */
export function chooseSplit(dataset: Dataset, wanted: Split | 'all' | undefined): Sample[] {
  const labelled = dataset.samples.filter((sample) => sample.label >= 0 && sample.split !== 'unlabelled');
  const has = (split: Split): boolean => labelled.some((sample) => sample.split === split);
  const split = wanted ?? (has('test') ? 'test' : has('val') ? 'val' : 'all');
  const chosen = split === 'all' ? labelled : labelled.filter((sample) => sample.split === split);
  if (chosen.length === 0) {
    const known = (['train', 'val', 'test'] as const).filter(has);
    if (known.length === 0) throw new PupilError('bad-data', `${dataset.path}: no labelled images`);
    const use = known.map((name) => `\`split: ${name}\``).join(' or ');
    throw new PupilError('bad-data', `${dataset.path}: no ${split} split; use ${use}, or drop \`split\``, {
      option: 'split',
    });
  }
  return chosen;
}

/** Averages the ten views of an image. Logits are those of the mean probabilities. */
async function viewsOf(model: Network, image: Image, path: string): Promise<Outputs> {
  const views = tenViews(image, model.preprocessing);
  const outputs = await model.run(stack(views), views.length);
  const probabilities = meanRow(outputs.probabilities, model.labels.length, 0, views.length);
  assertFinite(probabilities, path);
  return {
    probabilities,
    logits: calibratedLogits(probabilities),
    outlier: outputs.outlier && meanRow(outputs.outlier, 1, 0, views.length),
  };
}

async function evaluateViews(model: Network, samples: readonly Sample[], { onProgress }: LookOptions): Promise<Looked> {
  const readable: Sample[] = [],
    rows: Outputs[] = [],
    failed: Unreadable[] = [];
  const prints = createFingerprints(defaultCacheFolder());
  if (model.learned) await prints.load(samples.map(({ hash }) => hash));
  for (const sample of samples) {
    try {
      rows.push(await viewsOf(model, await decodeSample(sample), sample.path));
      readable.push(sample);
    } catch (error) {
      failed.push({ path: sample.path, reason: reasonFor(sample, error) });
    }
    onProgress?.(rows.length + failed.length, samples.length);
  }
  const join = (pick: (row: Outputs) => Float32Array): Float32Array =>
    Float32Array.from(rows.flatMap((row) => [...pick(row)]));
  return {
    samples: readable,
    unreadable: failed,
    learned: learnedAmong(readable, model, prints),
    logits: join((row) => row.logits),
    probabilities: join((row) => row.probabilities),
    outlier: rows[0]?.outlier && join((row) => row.outlier!),
  };
}
