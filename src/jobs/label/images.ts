/** A teacher looks at images, part by part. */
import { shortest } from '../../artifact/pseudo-labels.js';
import { createEvaluationLoader } from '../../data/loader.js';
import type { Pool } from '../../data/pool.js';
import { prepareImages, type PreparedImages } from '../../data/prepare.js';
import type { PseudoLabel, PseudoLabels } from '../../data/pseudo-labels.js';
import { pathOf, type Sample, type Unreadable } from '../../data/sample.js';
import { evaluationTarget } from '../../data/target.js';
import { PupilError } from '../../errors.js';
import type { Classifier } from '../../evaluate/classifier.js';
import { run, usualBatch } from '../../evaluate/evaluate.js';
import { argmax } from '../../evaluate/metrics.js';
import type { OutlierDetector } from '../../evaluate/pseudo-labels.js';
import { featureBatch, type FeatureExtractor } from '../../techniques/features.js';

/** A model that labels, and what tells images that are unlike those it knows. */
export interface Labeller {
  readonly classifier: Classifier;
  readonly outliers?: { readonly extractor: FeatureExtractor; readonly detector: OutlierDetector } | undefined;
}

/** Images decoded at once; the next ones are while the teacher looks at these. */
const chunkSize = 512;

export interface LabelImagesOptions {
  readonly pool: Pool;
  /** Decoded images stay in the pool, for others. */
  readonly share?: boolean | undefined;
  /** Images run at once; default 32. */
  readonly batchSize?: number | undefined;
  /** How many images there are with those that other machines label; default: these. */
  readonly total?: number | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a teacher says of some images, in their order. */
export interface LabelledImages {
  readonly rows: readonly PseudoLabel[];
  /** Those that cannot be decoded, with the hashes of their contents. */
  readonly unreadable: readonly (Unreadable & { readonly hash: string })[];
  /** Paths of images that are unlike those that the teacher knows; undefined where nothing tells. */
  readonly unlike: readonly string[] | undefined;
}

/**
 * What a teacher says of images, as evaluation sees them (nothing is augmented), part by part; their own
 * labels are not looked at. All are accepted once: `selectPseudoLabels` chooses. Paths are those of files,
 * from the working directory. Only a part of the images is in memory at a time.
 */
export async function* labelInParts(
  { classifier, outliers }: Labeller,
  samples: readonly Sample[],
  { pool, share, batchSize = usualBatch, total = samples.length, onProgress, signal }: LabelImagesOptions,
): AsyncGenerator<LabelledImages, void, undefined> {
  const classes = classifier.labels;
  const hashOf = (wanted: string): string => samples.find(({ path }) => path === wanted)?.hash ?? '';
  let before = 0;
  for await (const images of inChunks(
    samples.map((sample) => ({ ...sample, label: -1 })),
    { pool, model: classifier, share, signal },
  )) {
    before += images.unreadable.length;
    const { probabilities } = await run(classifier, images, {
      batchSize,
      fill: total >= batchSize,
      onProgress: (done) => {
        signal?.throwIfAborted();
        onProgress?.(before + done, samples.length);
      },
    });
    const scores = outliers && (await outliers.detector.score(await featuresOf(outliers.extractor, images)));
    const rows = images.samples.map((sample, i): PseudoLabel => {
      const path = pathOf(sample);
      const row = probabilities.slice(i * classes.length, (i + 1) * classes.length);
      const label = argmax(row, 0, classes.length);
      const confidence = Math.min(1, shortest(row[label]!));
      return { path, hash: sample.hash, label, confidence, probabilities: row, accepted: true, copies: 1 };
    });
    before += rows.length;
    yield {
      rows,
      unreadable: images.unreadable.map((one) => ({ ...one, hash: hashOf(one.path) })),
      unlike: scores && rows.flatMap(({ path }, i) => (scores[i]! > 1 ? [path] : [])),
    };
  }
}

/** `labelInParts`, all parts together. Throws `bad-data` where no image can be decoded. */
export async function labelImages(
  labeller: Labeller,
  samples: readonly Sample[],
  options: LabelImagesOptions,
): Promise<{
  readonly labels: PseudoLabels;
  readonly unreadable: readonly Unreadable[];
  /** Paths; undefined where nothing tells. */ readonly unlike: readonly string[] | undefined;
}> {
  const parts: LabelledImages[] = [];
  for await (const part of labelInParts(labeller, samples, options)) parts.push(part);
  const rows = parts.flatMap((part) => part.rows),
    unreadable = parts.flatMap((part) => part.unreadable);
  if (rows.length === 0) {
    const [first] = unreadable;
    throw new PupilError(
      'bad-data',
      first
        ? `none of ${samples.length} images can be decoded; the first: ${first.path} (${first.reason})`
        : 'no images to label',
    );
  }
  const unlike = labeller.outliers && parts.flatMap((part) => part.unlike ?? []);
  return { labels: { classes: labeller.classifier.labels, rows }, unreadable, unlike };
}

/** Features of images without labels, row-major. */
export const featuresOf = async (extractor: FeatureExtractor, images: PreparedImages): Promise<Float32Array> =>
  images.samples.length === 0
    ? new Float32Array()
    : extractor.extract(createEvaluationLoader({ images, classes: 1, batchSize: featureBatch }));

/** Decodes images part by part, each part while the one before is used. */
export async function* inChunks(
  samples: readonly Sample[],
  {
    pool,
    model,
    share,
    signal,
  }: Pick<LabelImagesOptions, 'pool' | 'share' | 'signal'> & { readonly model: Pick<Classifier, 'preprocessing'> },
): AsyncGenerator<PreparedImages, void, undefined> {
  const target = evaluationTarget(model.preprocessing);
  const prepare = (start: number): Promise<PreparedImages> | undefined => {
    if (start >= samples.length) return undefined;
    const images = prepareImages(samples.slice(start, start + chunkSize), { pool, target, share, signal });
    images.catch(() => undefined); // reported when it is awaited
    return images;
  };
  let next = prepare(0);
  try {
    for (let start = chunkSize; next !== undefined; start += chunkSize) {
      const images: PreparedImages = await next;
      next = prepare(start);
      try {
        yield images;
      } finally {
        images.close();
      }
    }
  } finally {
    await next?.then(
      (images) => images.close(),
      () => undefined,
    );
  }
}
