import { counted } from '../../data/dataset.js';
import type { Pool } from '../../data/pool.js';
import type { Sample } from '../../data/sample.js';
import { createEngine } from '../../engine/index.js';
import type { Engine } from '../../engine/engine.js';
import { PupilError } from '../../errors.js';
import { classifierOf, deployedGraph } from '../../evaluate/load.js';
import { createOutlierDetector, leastForOutliers } from '../../evaluate/pseudo-labels.js';
import type { Model } from '../../models/model.js';
import { Random } from '../../random.js';
import type { RunEvent } from '../../runs/events.js';
import { reporting } from '../../runs/relay.js';
import { featureGraph, openExtractor } from '../../techniques/features.js';
import { concatenate } from '../../tensor.js';
import { featuresOf, inChunks, type Labeller } from './images.js';

/** Images that others are compared with at most: the time grows with it. */
const likeLimit = 2000;

/** Where and how a teacher runs. */
export interface LabellerOptions {
  readonly engine?: string | undefined;
  readonly threads?: number | undefined;
  readonly seed?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Decoded images stay in the pool, for others. */
  readonly share?: boolean | undefined;
}

export interface OpenLabeller extends Labeller {
  /** Its name. */
  readonly engine: string;
  close(): Promise<void>;
}

/**
 * Starts a teacher on an engine of its own; with images `like` those to label it tells which are
 * unlike them.
 */
export async function* openLabeller(
  model: Model,
  options: LabellerOptions,
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
    return { classifier, outliers, engine: engine.name, close: () => engine.close() };
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
  { seed = 0, signal, share }: LabellerOptions,
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
    for await (const images of inChunks(chosen, { pool, model, share, signal })) {
      parts.push(await featuresOf(extractor, images));
      report((done += images.samples.length), chosen.length);
    }
    return concatenate(parts);
  });
  const count = features.length / extractor.size;
  if (count < leastForOutliers) {
    throw new PupilError(
      'bad-data',
      `\`like\`: ${counted(count, 'image')}, too few to tell which others are unlike them; ` +
        `give at least ${leastForOutliers}`,
      { option: 'like' },
    );
  }
  return { extractor, detector: await createOutlierDetector(features, extractor.size) };
}
