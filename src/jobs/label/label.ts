/**
 * Offline pseudo-labels (Lee 2013; Xie et al. 2020, steps 2 and 3): a teacher without noise labels
 * images, those that it is sure of are accepted, and a file that people can read says which. `train
 * --pseudo-labels` learns from it.
 */
import { stat } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { pseudoLabelFormat, writePseudoLabels } from '../../artifact/pseudo-labels.js';
import { list, openImages } from '../../data/dataset.js';
import { createPool, type Pool } from '../../data/pool.js';
import { describePseudoLabels, selectPseudoLabels, type PseudoLabelDescription } from '../../data/pseudo-labels.js';
import type { Sample, Unreadable } from '../../data/sample.js';
import { createEngine } from '../../engine/index.js';
import type { Engine } from '../../engine/engine.js';
import { PupilError } from '../../errors.js';
import { classifierOf, deployedGraph } from '../../evaluate/load.js';
import {
  assertAccepted,
  createOutlierDetector,
  leastForOutliers,
  pseudoLabelWarnings,
  reportOutliers,
  undecidedImages,
} from '../../evaluate/pseudo-labels.js';
import { Job } from '../../job.js';
import { isBuiltIn, resolveModel } from '../../models/index.js';
import type { Model } from '../../models/model.js';
import { checkOptions } from '../../options/option.js';
import { pseudoLabels } from '../../options/recipes.js';
import { pseudoLabelOptions, type PseudoLabelOptions } from '../../options/tools.js';
import { Random } from '../../random.js';
import { relaying, reporting, type RunEvent } from '../../runs/events.js';
import { featureGraph, openExtractor } from '../../techniques/features.js';
import { featuresOf, inChunks, labelImages, type Labeller } from './images.js';

export type { PseudoLabelOptions } from '../../options/tools.js';

interface Found {
  readonly count: number;
  readonly paths: readonly string[];
}

/** What `pseudo-label --json` prints. */
export interface PseudoLabelResult extends PseudoLabelDescription {
  readonly file: string;
  readonly soft: boolean;
  /** Images that are in `exclude` too. */
  readonly excluded: number;
  /** Images with the content of another one. */
  readonly repeated: number;
  readonly unreadable: number;
  /** Images that the teacher cannot decide at all; the first paths. */
  readonly undecided: Found;
  /** Images unlike those of `like`, not accepted; the first paths. */
  readonly outOfDistribution?: Found;
  readonly seconds: number;
}

export type PseudoLabelEvent = RunEvent;

/** Images that others are compared with at most: the time grows with it. */
const likeLimit = 2000;

/**
 * Labels the images of a folder, archive or manifest (labels there are ignored) with a teacher and
 * writes those labels to a file. Throws PupilErrors: `usage`,
 * `not-found`, `exists`, `bad-data` (no images, or none accepted)...
 *
 * @example
 * const { accepted, total } = await pseudoLabel('camera', { model: 'runs/teacher', threshold: 0.8, out: 'camera.parquet' });
 * console.log(accepted, 'of', total);
 */
export const pseudoLabel = (source: string, options: PseudoLabelOptions): Job<PseudoLabelEvent, PseudoLabelResult> =>
  new Job((signal) => labelOffline(source, { ...options, signal }), options.signal);

async function* labelOffline(
  source: string,
  options: PseudoLabelOptions,
): AsyncGenerator<PseudoLabelEvent, PseudoLabelResult, undefined> {
  const started = performance.now();
  checkOptions(pseudoLabelOptions, options);
  const { threshold = pseudoLabels.soft.threshold, soft = false, perClass, balance, out, signal, workers } = options;
  const file = await freeFile(out);
  const selection = {
    threshold,
    ...(perClass !== undefined && { perClass }),
    ...(balance !== undefined && { balance }),
  };
  selectPseudoLabels({ classes: [], rows: [] }, selection); // refuses what is impossible before the work
  const { samples, unreadable: unopened, excluded, repeated } = await openUnlabelled(source, options.exclude);
  const model = yield* chooseTeacher(options);
  const pool = createPool({ ...(workers !== undefined && { workers }) });
  let teacher: OpenLabeller | undefined;
  try {
    teacher = yield* openLabeller(model, options, pool, options.like && (await openImages(options.like)).samples);
    yield {
      type: 'note',
      message: `${samples.length} images to label by ${model.architecture}, ${teacher.classifier.labels.length} classes`,
    };
    const labelled = yield* reporting('labelling', 'images', (onProgress) =>
      labelImages(teacher!, samples, {
        pool,
        onProgress,
        ...(options.batchSize !== undefined && { batchSize: options.batchSize }),
        ...(signal && { signal }),
      }),
    );
    const unreadable = [...unopened, ...labelled.unreadable];
    for (const { path, reason } of unreadable.slice(0, 10))
      yield { type: 'warning', message: `left out, cannot be used: ${path} (${reason})` };
    if (unreadable.length > 10)
      yield { type: 'warning', message: `and ${unreadable.length - 10} more files (pupil doctor lists all)` };
    const { unlike } = labelled,
      undecided = undecidedImages(labelled.labels).map((i) => labelled.labels.rows[i]!.path);
    const labels = { ...selectPseudoLabels(labelled.labels, { ...selection, rejected: new Set(unlike) }), soft };
    const outliers = reportOutliers(unlike ?? undecided, labels.rows.length, unlike !== undefined);
    if (outliers !== undefined) yield { type: 'warning', message: outliers };
    assertAccepted(labels);
    for (const message of pseudoLabelWarnings(labels)) yield { type: 'warning', message };
    signal?.throwIfAborted();
    await writePseudoLabels(file, labels);
    const result: PseudoLabelResult = {
      file,
      soft,
      ...describePseudoLabels(labels),
      excluded,
      repeated,
      unreadable: unreadable.length,
      undecided: found(undecided),
      ...(unlike && { outOfDistribution: found(unlike) }),
      seconds: (performance.now() - started) / 1000,
    };
    return result;
  } finally {
    await teacher?.close();
    await pool.close();
  }
}

const found = (paths: readonly string[]): Found => ({ count: paths.length, paths: paths.slice(0, 12) });

async function freeFile(out: string | undefined): Promise<string> {
  if (out === undefined)
    throw new PupilError('usage', 'pseudo-label needs --out FILE, such as --out labels.parquet or labels.csv');
  pseudoLabelFormat(out);
  if (await stat(out).catch(() => undefined))
    throw new PupilError(
      'exists',
      `--out ${out}: something is there already and is never overwritten; give another name`,
    );
  return out;
}

/** The images to label, each content once, without those that are in `exclude` too. */
async function openUnlabelled(
  source: string,
  exclude: readonly string[] = [],
): Promise<{
  readonly samples: readonly Sample[];
  readonly unreadable: readonly Unreadable[];
  readonly excluded: number;
  readonly repeated: number;
}> {
  const { samples, unreadable } = await openImages([source]);
  if (samples.length === 0)
    throw new PupilError('bad-data', `${source}: no images to label; give a folder, tar or manifest of images`);
  const known = new Set<string>();
  for (const path of exclude) {
    const others = (await openImages([path])).samples;
    if (others.length === 0) throw new PupilError('bad-data', `--exclude ${path}: no images there`);
    for (const { hash } of others) known.add(hash);
  }
  const others = samples.filter(({ hash }) => !known.has(hash)),
    seen = new Set<string>();
  if (others.length === 0)
    throw new PupilError('bad-data', `${source}: every image there is in --exclude ${list(exclude)} too; give others`);
  const distinct = others.filter(({ hash }) => !seen.has(hash) && seen.add(hash));
  return {
    samples: distinct,
    unreadable,
    excluded: samples.length - others.length,
    repeated: others.length - distinct.length,
  };
}

/**
 * The teacher's model as it was trained, with its own classes. Says what is downloaded before it
 * is.
 */
function chooseTeacher({
  model,
  head,
  normalize,
  size,
  signal,
}: PseudoLabelOptions): AsyncGenerator<RunEvent, Model, undefined> {
  if (model === undefined)
    throw new PupilError(
      'usage',
      'pseudo-label needs --model M: the teacher, a run folder, an ONNX file or hf:owner/repo[/file]',
    );
  if (isBuiltIn(model))
    throw new PupilError(
      'usage',
      `--model ${model}: a built-in network has no trained weights and cannot teach; give a run folder, an ONNX file or hf:owner/repo`,
    );
  return relaying(async (emit) => {
    const { formatRemote } = await import('../../models/hub.js');
    return resolveModel(model, {
      head,
      normalize,
      size,
      warn: (message) => emit({ type: 'warning', message }),
      hub: {
        announce: (remote) => emit({ type: 'note', message: `downloading ${formatRemote(remote)}` }),
        progress: ({ file, received, total }) =>
          emit({
            type: 'progress',
            what: `downloading ${file}`,
            unit: 'MB',
            done: Math.floor(received / 1e6),
            total: Math.ceil(total / 1e6),
          }),
        ...(signal && { signal }),
      },
    });
  });
}

export interface OpenLabeller extends Labeller {
  close(): Promise<void>;
}

/**
 * Starts a teacher on an engine of its own; with images `like` those to label it tells which are
 * unlike them.
 */
export async function* openLabeller(
  model: Model,
  options: Pick<PseudoLabelOptions, 'engine' | 'threads' | 'seed' | 'signal'>,
  pool: Pool,
  like?: readonly Sample[],
): AsyncGenerator<RunEvent, OpenLabeller, undefined> {
  const { engine: name = 'auto', threads } = options;
  const engine = await createEngine(name, {
    purpose: 'evaluation',
    precision: 'f32',
    threads,
    graphs: () => [deployedGraph(model), ...(like ? [featureGraph(model)] : [])],
  });
  try {
    const classifier = await classifierOf(engine, model);
    const outliers = like && (yield* learnKind(engine, model, like, options, pool));
    return { classifier, ...(outliers && { outliers }), close: () => engine.close() };
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/** Learns from images of the right kind which others are unlike them. */
async function* learnKind(
  engine: Engine,
  model: Model,
  like: readonly Sample[],
  { seed = 0, signal }: Pick<PseudoLabelOptions, 'seed' | 'signal'>,
  pool: Pool,
): AsyncGenerator<RunEvent, NonNullable<Labeller['outliers']>, undefined> {
  const chosen = new Random(seed, 'like')
    .shuffle(like)
    .slice(0, likeLimit)
    .map((sample) => ({ ...sample, label: -1 }));
  const extractor = await openExtractor(engine, model);
  const features = yield* reporting('features', 'images', async (report) => {
    const parts: Float32Array[] = [];
    let done = 0;
    for await (const images of inChunks(chosen, { pool, model, ...(signal && { signal }) })) {
      parts.push(await featuresOf(extractor, images));
      report((done += images.samples.length), chosen.length);
    }
    return concatenate(parts);
  });
  const count = features.length / extractor.size;
  if (count < leastForOutliers) {
    throw new PupilError(
      'bad-data',
      `--like: ${count} ${count === 1 ? 'image is' : 'images are'} too few to tell which others are unlike them; give at least ${leastForOutliers}`,
    );
  }
  return { extractor, detector: await createOutlierDetector(features, extractor.size) };
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let start = 0;
  for (const part of parts) {
    whole.set(part, start);
    start += part.length;
  }
  return whole;
}
