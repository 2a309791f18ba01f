/**
 * How far training images are from real ones, with and without augmentation: a model's features of
 * both, compared by coverage and density (Naeem et al. 2020) and by a kernel distance (Binkowski et
 * al. 2018), mapped by UMAP, and the real images that are covered least.
 */
import type { RunResult } from '../../artifact/formats.js';
import type { GapMap, GapResult, PolicyGap } from '../../artifact/gap-formats.js';
import { runFiles } from '../../artifact/run-files.js';
import { counted } from '../../data/dataset.js';
import { createLoader } from '../../data/loader.js';
import { createPool, type Pool } from '../../data/pool.js';
import { prepareTogether, type PreparedImages } from '../../data/prepare.js';
import type { Preprocessing } from '../../data/preprocessing.js';
import { evaluationTarget, workingTarget } from '../../data/target.js';
import { createEngine } from '../../engine/index.js';
import type { Engine } from '../../engine/engine.js';
import { compareWith, expectedCoverage, referenceOf, type Comparison } from '../../evaluate/distribution.js';
import { shownPlace } from '../../http/address.js';
import type { Job } from '../../job.js';
import type { Model } from '../../models/model.js';
import { gapOptions, type GapRequest } from '../../options/tools.js';
import { Random } from '../../random.js';
import { changesImages, imagePipeline } from '../../runs/augmentation.js';
import { foreignOf } from '../../models/index.js';
import { chooseModel } from '../../runs/choose-model.js';
import type { RunEvent } from '../../runs/events.js';
import { earlierLayers } from '../../runs/features.js';
import { reporting } from '../../runs/relay.js';
import { featureBatch, featureGraph, openExtractor, type FeatureExtractor } from '../../techniques/features.js';
import { featuresOf } from '../../techniques/stored-features.js';
import { job, type Shell } from '../job.js';
import { assertEnough, openGapImages, type GapImages } from './images.js';
import { mapTogether, type MapOptions } from './map.js';
import { compareHalves, coverScores, meanOf, policyGap, rowsOf, type Halves } from './measure.js';
import { writeOutcome } from './outcome.js';
import { resolveGap, type GapOptions, type GapSettings } from './settings.js';

export type GapEvent = RunEvent;

/** Points of the map at most, all groups together: more of them hide each other. */
const mapLimit = 1500;

/**
 * Measures the gap between the training images of `data` and real ones, for images as they are and
 * for each policy. The run folder holds `gap.json`, `gap.png`, `least-covered.csv` and a report.
 * Throws PupilErrors: `usage`, `bad-data`, `not-found`...
 *
 * @example
 * const { policies } = await gap('photos', { real: ['camera'], model: 'backbone.onnx' });
 * for (const { augment, closes } of policies) console.log(augment, closes);
 */
export function gap(data: string, told: GapRequest): Job<GapEvent, GapResult> {
  return job<GapSettings, GapOptions, GapEvent, GapResult>(
    { command: 'gap', table: gapOptions },
    data,
    told,
    async function* (shell) {
      const { options } = shell;
      const settings = await resolveGap(data, options);
      const { engine, threads, workers, seed } = options;
      const chosen = await openGapImages(settings, shell.signal);
      yield* describeChoice(chosen);
      const model = yield* chooseModel(
        { classes: ['training image', 'real image'] },
        { ...foreignOf(options), model: options.model, seed, signal: shell.signal },
      );
      const pool = createPool({ workers });
      const running = await createEngine(engine ?? 'auto', {
        purpose: 'evaluation',
        precision: 'f32',
        graphs: () => [featureGraph(model)],
        threads,
      });
      try {
        return yield* measureGap({ shell, settings, chosen, model, engine: running, pool });
      } finally {
        await running.close();
        await pool.close();
      }
    },
  );
}

function* describeChoice({ train, real, found, warnings }: GapImages): Generator<GapEvent, void, undefined> {
  for (const message of warnings) yield { type: 'warning', message };
  for (const [what, used, all] of [
    ['training', train.length, found.train],
    ['real', real.length, found.real],
  ] as const) {
    if (used < all)
      yield { type: 'note', message: `using ${used} of ${all} ${what} images, chosen by seed (\`limit\`)` };
  }
}

/**
 * What a gap is measured with. The model's classes are of no file: it gets a head of its own, whose
 * input are the pooled features of every kind of network.
 */
interface GapContext {
  readonly shell: Shell<GapSettings, GapOptions>;
  readonly settings: GapSettings;
  readonly chosen: GapImages;
  readonly model: Model;
  readonly engine: Engine;
  readonly pool: Pool;
}

async function* measureGap(context: GapContext): AsyncGenerator<GapEvent, Omit<GapResult, keyof RunResult>, undefined> {
  const { shell, settings, chosen, model, engine } = context;
  const { signal, options } = shell;
  const images = yield* decodeImages(context);
  const { plain, indexes } = images;
  const extractor = await openExtractor(engine, model);
  let measured: Measured;
  const featuresAsTheyAre: Work['featuresAsTheyAre'] = async (subset, onProgress) => {
    // With the layer that others look at, too, so that they find it.
    const earlier = earlierLayers(model);
    const wanted = { images: images.plain, subset, earlier, cache: options.featureCache, onProgress, signal };
    return (await featuresOf(engine, model, wanted))[0]!.features;
  };
  try {
    measured = yield* reporting('features', 'images', (report) =>
      measure({ ...images, featuresAsTheyAre, extractor, input: model.preprocessing, settings, report, signal }),
    );
  } finally {
    await extractor.close();
  }
  const paths = indexes.real.map((i) => plain.samples[i]!.path);
  const order = paths.map((_, i) => i).sort((a, b) => measured.scores[b]! - measured.scores[a]! || a - b);
  const listed = order.map((i) => ({ path: paths[i]!, score: measured.scores[i]! }));
  const points = yield* reporting('map', 'epochs', (onProgress) =>
    drawMap(engine, measured, order.slice(0, settings.top), { seed: settings.seed, onProgress, signal }),
  );
  const run = await shell.begin('gap', {
    settings,
    architecture: model.architecture,
    engine: engine.description,
  });
  const count = { train: indexes.train.length, real: indexes.real.length };
  const result: Omit<GapResult, keyof RunResult> = {
    model: model.architecture,
    train: { path: shownPlace(settings.data), count: count.train, found: chosen.found.train },
    real: { path: settings.real.map(shownPlace).join(' '), count: count.real, found: chosen.found.real },
    neighbours: settings.neighbours,
    draws: settings.draws,
    policies: measured.policies,
    expected: { coverage: expectedCoverage(count.real, count.train, settings.neighbours), density: 1, mmd: 0 },
    halves: measured.halves ?? null,
    least: listed.slice(0, settings.top),
    map: runFiles.gapMap.name,
  };
  const complete = { ...result, run: run.path, seconds: shell.elapsed() };
  await writeOutcome(run, complete, points, listed, { samples: chosen.real, pool: context.pool });
  return complete;
}

/** Images of both sides as evaluation sees them, and those to be augmented at the size for that. */
interface Decoded {
  readonly plain: PreparedImages;
  /** Undefined when no policy changes images. */
  readonly working: PreparedImages | undefined;
  /** Which of `plain` are what. */
  readonly indexes: { readonly train: readonly number[]; readonly real: readonly number[] };
}

async function* decodeImages({
  shell,
  settings,
  chosen: { train, real },
  model,
  pool,
}: GapContext): AsyncGenerator<GapEvent, Decoded, undefined> {
  const input = model.preprocessing;
  const isAugmented = settings.policies.some((augment) => changesImages({ augment }));
  const [plain, working] = yield* reporting('decoding', 'images', (onProgress) =>
    prepareTogether(
      [
        { samples: [...train, ...real], target: evaluationTarget(input) },
        ...(isAugmented ? [{ samples: train, target: workingTarget(input) }] : []),
      ],
      // Another gap of these images, or a training on them, finds them decoded.
      { pool, share: true, onProgress, signal: shell.signal },
    ),
  );
  const isReal = new Set(real.map(({ path }) => path));
  const indexes = { train: [] as number[], real: [] as number[] };
  plain!.samples.forEach(({ path }, i) => indexes[isReal.has(path) ? 'real' : 'train'].push(i));
  for (const { path, reason } of plain!.unreadable)
    yield { type: 'warning', message: `skipped, unreadable: ${path} (${reason})` };
  assertEnough(indexes.train.length, indexes.real.length, settings);
  const { draws } = settings;
  yield {
    type: 'note',
    message:
      `${indexes.train.length} training images, ${indexes.real.length} real ones, ${model.architecture}; ` +
      `${counted(draws, 'draw')} of each policy`,
  };
  return { plain: plain!, working, indexes };
}

interface Work extends Decoded {
  /** Features of some of the images `plain`. */
  readonly featuresAsTheyAre: (subset: readonly number[], onProgress: (done: number) => void) => Promise<Float32Array>;
  /** For augmented images. */
  readonly extractor: FeatureExtractor;
  readonly input: Preprocessing;
  readonly settings: GapSettings;
  readonly report: (done: number, total: number) => void;
  readonly signal: AbortSignal;
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
  featuresAsTheyAre,
  extractor,
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
  const progress = (done: number): void => {
    signal?.throwIfAborted();
    report(before + done, total);
  };
  const counted = (features: Float32Array): Float32Array => {
    before += features.length / size;
    return features;
  };
  const real = counted(await featuresAsTheyAre(indexes.real, progress));
  const train = counted(await featuresAsTheyAre(indexes.train, progress));
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
      batchSize: featureBatch,
      pipeline: imagePipeline({ augment: policy, flip }, input),
      size: input.size,
      seed,
      shuffle: false,
      epochs: draws,
    });
    const compared: Comparison[] = [];
    for (let draw = 0; draw < draws; draw++) {
      const features = counted(await extractor.extract(loader, draw, progress));
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
  engine: Engine,
  { train, real, augmented, size }: Measured,
  marked: readonly number[],
  options: MapOptions,
): Promise<GapMap> {
  const { seed } = options;
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
    engine,
    [
      rowsOf(train, size, chosenTrain),
      rowsOf(real, size, chosenReal),
      ...[...augmented.values()].map((features) => rowsOf(features, size, chosenTrain)),
    ],
    size,
    options,
  );
  return {
    train: trainPoints!,
    real: realPoints!,
    augmented: Object.fromEntries([...augmented.keys()].map((name, i) => [name, others[i]!])),
    marked: marked.map((i) => chosenReal.indexOf(i)),
  };
}
