/**
 * How far training images are from real ones, with and without augmentation: a model's features of
 * both, compared by coverage and density (Naeem et al. 2020) and by a kernel distance (Binkowski et
 * al. 2018), mapped by UMAP, and the real images that are covered least.
 */
import { performance } from 'node:perf_hooks';
import { assertFree, createRun } from '../../artifact/run.js';
import { createEvaluationLoader, createLoader, type Loader } from '../../data/loader.js';
import { createPool } from '../../data/pool.js';
import { prepareTogether, type PreparedImages } from '../../data/prepare.js';
import type { Preprocessing } from '../../data/preprocessing.js';
import { evaluationTarget, workingTarget } from '../../data/target.js';
import { createEngine } from '../../engine/index.js';
import type { Engine } from '../../engine/engine.js';
import { PupilError } from '../../errors.js';
import {
  compareWith,
  expectedCoverage,
  referenceOf,
  type Comparison,
  type PolicyGap,
} from '../../evaluate/distribution.js';
import { Job } from '../../job.js';
import { Random } from '../../random.js';
import type { GapMap } from '../../report/gap.js';
import { version } from '../../version.js';
import { changesImages, imagePipeline } from '../../runs/augmentation.js';
import { reporting, type RunEvent } from '../../runs/events.js';
import { featureGraph, openExtractor, type FeatureExtractor } from '../../techniques/features.js';
import { chooseModel } from '../../runs/train.js';
import { assertEnough, openGapImages } from './images.js';
import { mapTogether, type MapOptions } from './map.js';
import { compareHalves, coverScores, meanOf, policyGap, rowsOf, type Halves } from './measure.js';
import { writeOutcome, type GapResult } from './outcome.js';
import { resolveGap, type GapOptions, type GapSettings } from './settings.js';

export type GapEvent = RunEvent;

/** Points of the map at most, all groups together: more of them hide each other. */
const mapLimit = 1500;
const batchSize = 32;

/**
 * Measures the gap between the training images of `data` and real ones, for images as they are and
 * for each policy. The run folder holds `gap.json`, `gap.png`, `least-covered.csv` and a report.
 * Throws PupilErrors: `usage`, `bad-data`, `not-found`...
 *
 * @example
 * const { policies } = await gap('photos', { real: ['camera'], model: 'backbone.onnx' });
 * for (const { augment, closes } of policies) console.log(augment, closes);
 */
export const gap = (data: string, options: GapOptions): Job<GapEvent, GapResult> =>
  new Job((signal) => measureGap(data, { ...options, signal }), options.signal);

async function* measureGap(data: string, options: GapOptions): AsyncGenerator<GapEvent, GapResult, undefined> {
  const started = performance.now();
  const settings = await resolveGap(data, options);
  if (options.out !== undefined) await assertFree(options.out);
  const { train, real, found, warnings } = await openGapImages(settings);
  for (const message of warnings) yield { type: 'warning', message };
  for (const [what, used, all] of [
    ['training', train.length, found.train],
    ['real', real.length, found.real],
  ] as const) {
    if (used < all) yield { type: 'note', message: `using ${used} of ${all} ${what} images, chosen by seed (--limit)` };
  }
  // Labels that no file has: the model gets a head of its own, whose input are the pooled features
  // of every kind of network.
  const labelled = {
    path: data,
    classes: ['training image', 'real image'],
    samples: train,
    unreadable: [],
    notes: [],
    hash: '',
  };
  const { augment: _, ...wanted } = options;
  const model = yield* chooseModel(labelled, wanted);
  const pool = createPool({ ...(options.workers !== undefined && { workers: options.workers }) });
  let engine: Engine | undefined;
  try {
    engine = await createEngine(options.engine ?? 'auto', {
      purpose: 'evaluation',
      precision: 'f32',
      graphs: () => [featureGraph(model)],
      ...(options.threads !== undefined && { threads: options.threads }),
    });
    const input = model.preprocessing;
    const [plain, working] = yield* reporting('decoding', 'images', (onProgress) =>
      prepareTogether(
        [
          { samples: [...train, ...real], target: evaluationTarget(input) },
          ...(settings.policies.some((augment) => changesImages({ augment }))
            ? [{ samples: train, target: workingTarget(input) }]
            : []),
        ],
        { pool, onProgress, ...(options.signal && { signal: options.signal }) },
      ),
    );
    const isReal = new Set(real.map(({ path }) => path));
    const indexes = { train: [] as number[], real: [] as number[] };
    plain!.samples.forEach(({ path }, i) => indexes[isReal.has(path) ? 'real' : 'train'].push(i));
    for (const { path, reason } of plain!.unreadable)
      yield { type: 'warning', message: `left out, cannot be decoded: ${path} (${reason})` };
    assertEnough(indexes.train.length, indexes.real.length, settings);
    yield {
      type: 'note',
      message: `${indexes.train.length} training images, ${indexes.real.length} real ones, ${model.architecture}; ${settings.draws} ${settings.draws === 1 ? 'draw' : 'draws'} of each policy`,
    };

    const extractor = await openExtractor(engine, model);
    let measured: Measured;
    try {
      measured = yield* reporting('features', 'images', (report) =>
        measure({
          extractor,
          plain: plain!,
          working,
          indexes,
          input,
          settings,
          report,
          ...(options.signal && { signal: options.signal }),
        }),
      );
    } finally {
      await extractor.close();
    }
    const paths = indexes.real.map((i) => plain!.samples[i]!.path);
    const order = paths.map((_, i) => i).sort((a, b) => measured.scores[b]! - measured.scores[a]! || a - b);
    const listed = order.map((i) => ({ path: paths[i]!, score: measured.scores[i]! }));
    const points = yield* reporting('map', 'epochs', (onProgress) =>
      drawMap(measured, order.slice(0, settings.top), settings.seed, {
        onProgress,
        ...(options.signal && { signal: options.signal }),
      }),
    );
    const run = await createRun(options.out, 'gap', {
      command: 'gap',
      settings,
      architecture: model.architecture,
      versions: { pupil: version, node: process.version },
      engine: engine.description,
    });
    const count = { train: indexes.train.length, real: indexes.real.length };
    const result: GapResult = {
      run: run.path,
      model: model.architecture,
      train: { path: data, count: count.train, found: found.train },
      real: { path: settings.real.join(' '), count: count.real, found: found.real },
      neighbours: settings.neighbours,
      draws: settings.draws,
      policies: measured.policies,
      expected: { coverage: expectedCoverage(count.real, count.train, settings.neighbours), density: 1, mmd: 0 },
      halves: measured.halves ?? null,
      least: listed.slice(0, settings.top),
      map: 'gap.png',
      seconds: (performance.now() - started) / 1000,
    };
    await writeOutcome(run, result, points, listed, real);
    return result;
  } finally {
    await engine?.close();
    await pool.close();
  }
}

interface Work {
  readonly extractor: FeatureExtractor;
  /** Training and real images as evaluation sees them. */
  readonly plain: PreparedImages;
  /**
   * Training images at the resolution at which they are augmented; undefined when no policy changes
   * images.
   */
  readonly working: PreparedImages | undefined;
  /** Which of `plain` are what. */
  readonly indexes: { readonly train: readonly number[]; readonly real: readonly number[] };
  readonly input: Preprocessing;
  readonly settings: GapSettings;
  readonly report: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

interface Measured {
  readonly policies: readonly PolicyGap[];
  readonly halves: Halves | undefined;
  /** Of the real images: how badly each is covered by training images as they are. */
  readonly scores: Float64Array;
  /** Numbers of an image's features. */
  readonly size: number;
  readonly train: Float32Array;
  readonly real: Float32Array;
  /** The first draw of each policy that changes images. */
  readonly augmented: ReadonlyMap<string, Float32Array>;
}

/** Features and comparisons, policy by policy; of the features only those for the map are kept. */
async function measure({
  extractor,
  plain,
  working,
  indexes,
  input,
  settings,
  report,
  signal,
}: Work): Promise<Measured> {
  const { policies, draws, flip, neighbours, seed } = settings;
  const { size } = extractor;
  const changing = policies.filter((augment) => changesImages({ augment }));
  const total = indexes.real.length + indexes.train.length * (1 + changing.length * draws);
  let before = 0;
  const extract = async (loader: Loader, epoch = 0): Promise<Float32Array> => {
    const features = await extractor.extract(loader, epoch, (done) => {
      signal?.throwIfAborted();
      report(before + done, total);
    });
    before += loader.count;
    if (!features.every(Number.isFinite)) {
      throw new PupilError(
        'bad-model',
        "the model's features of some images are not finite numbers; is --normalize right for it?",
      );
    }
    return features;
  };
  const evaluated = (subset: readonly number[]): Promise<Float32Array> =>
    extract(createEvaluationLoader({ images: plain, classes: 1, batchSize, subset }));
  const real = await evaluated(indexes.real);
  const train = await evaluated(indexes.train);
  const reference = await referenceOf(real, size, neighbours);
  const asTheyAre = await compareWith(reference, train);
  const none = meanOf([asTheyAre]);
  const augmented = new Map<string, Float32Array>();
  const rows: PolicyGap[] = [];
  for (const policy of policies) {
    if (!changing.includes(policy)) {
      rows.push(policyGap(policy.name, none, none));
      continue;
    }
    // Every draw is an epoch as training would see it.
    const loader = createLoader({
      images: working!,
      classes: 1,
      batchSize,
      pipeline: imagePipeline({ augment: policy, flip }, input),
      size: input.size,
      seed,
      shuffle: false,
      epochs: draws,
    });
    const compared: Comparison[] = [];
    for (let draw = 0; draw < draws; draw++) {
      const features = await extract(loader, draw);
      if (draw === 0) augmented.set(policy.name, features);
      compared.push(await compareWith(reference, features));
    }
    rows.push(policyGap(policy.name, meanOf(compared), none));
  }
  return {
    policies: rows,
    halves: await compareHalves(train, size, neighbours, seed),
    scores: coverScores(reference, asTheyAre),
    size,
    train,
    real,
    augmented,
  };
}

/**
 * The map of a seeded choice of the images: the same training images in every group, and all real
 * ones that are `marked`.
 */
async function drawMap(
  { train, real, augmented, size }: Measured,
  marked: readonly number[],
  seed: number,
  options: Omit<MapOptions, 'seed'>,
): Promise<GapMap> {
  const count = { train: train.length / size, real: real.length / size };
  const groups = augmented.size + 1,
    share = Math.floor(mapLimit / (groups + 1));
  // What one side leaves of its share goes to the other.
  const reals = Math.min(count.real, Math.max(share, mapLimit - groups * count.train));
  const trains = Math.min(count.train, Math.floor((mapLimit - reals) / groups));
  const choose = (name: string, all: number, most: number, first: readonly number[] = []): number[] => {
    const rest = new Random(seed, 'map', name)
      .shuffle(Array.from({ length: all }, (_, i) => i))
      .filter((i) => !first.includes(i));
    return [...first, ...rest].slice(0, Math.max(most, first.length)).sort((a, b) => a - b);
  };
  const chosenReal = choose('real', count.real, reals, marked),
    chosenTrain = choose('train', count.train, trains);
  const [trainPoints, realPoints, ...others] = await mapTogether(
    [
      rowsOf(train, size, chosenTrain),
      rowsOf(real, size, chosenReal),
      ...[...augmented.values()].map((features) => rowsOf(features, size, chosenTrain)),
    ],
    size,
    { ...options, seed },
  );
  return {
    train: trainPoints!,
    real: realPoints!,
    augmented: Object.fromEntries([...augmented.keys()].map((name, i) => [name, others[i]!])),
    marked: marked.map((i) => chosenReal.indexOf(i)),
  };
}
