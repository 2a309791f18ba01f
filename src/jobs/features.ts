/** What a network's last layer sees of images, as a file for other tools. */
import { performance } from 'node:perf_hooks';
import { replaceFile } from '../artifact/files.js';
import { refuseExistingFile } from '../artifact/free.js';
import { createRowWriter, type ParquetColumn, type ParquetRow } from '../artifact/parquet-writer.js';
import { together } from '../artifact/parts.js';
import { openInParts, type ContentHash } from '../data/contents.js';
import { createEvaluationLoader } from '../data/loader.js';
import { listFiles, type ListedFile } from '../data/listing.js';
import { createPool } from '../data/pool.js';
import type { Sample, Unreadable } from '../data/sample.js';
import { createEngine } from '../engine/index.js';
import { assertSkippable } from '../data/skipping.js';
import { PupilError } from '../errors.js';
import { Job } from '../job.js';
import { foreignOf } from '../models/index.js';
import type { Model } from '../models/model.js';
import { checkOptions, withSignal } from '../options/option.js';
import { featuresOptions, type FeaturesOptions, type FeaturesRequest } from '../options/shards.js';
import { chooseModel } from '../runs/choose-model.js';
import type { RunEvent } from '../runs/events.js';
import { reporting } from '../runs/relay.js';
import { featureBatch, featureGraph, openExtractor, type FeatureExtractor } from '../techniques/features.js';
import { inChunks } from './label/images.js';
import { skippedOf, warnUnreadable } from './images.js';

/** Columns of the file: features are float32. */
export const featureColumns = [
  { name: 'path', type: 'STRING' },
  { name: 'hash', type: 'STRING' },
  { name: 'features', type: 'FLOATS' },
] as const satisfies readonly ParquetColumn[];

/** What `features --json` prints. */
export interface FeaturesResult {
  readonly file: string;
  readonly images: number;
  /** Numbers of an image. */
  readonly size: number;
  /** Files that cannot be read or decoded. */
  readonly skipped: readonly Unreadable[];
  readonly seconds: number;
}

/**
 * Writes what the last layer of a network sees of images (their features, pooled) into a Parquet file:
 * path, hash of the content, and a list of float32. Only a part of the images is in memory. Throws
 * PupilErrors: `usage`, `not-found`, `exists`, `bad-data` where no image can be decoded...
 *
 * @example
 * const { images, size } = await features('camera', { model: 'runs/photos', out: 'camera.parquet' });
 * console.log(images, 'rows of', size, 'numbers');
 */
export function features(source: string, options: FeaturesRequest): Job<RunEvent, FeaturesResult> {
  return new Job(async function* (signal) {
    return yield* featuresOfAll(source, checkOptions(featuresOptions, withSignal(options, signal)));
  }, options);
}

async function* featuresOfAll(
  source: string,
  options: FeaturesOptions,
): AsyncGenerator<RunEvent, FeaturesResult, undefined> {
  const started = performance.now();
  const file = await fileOf(options.out);
  const { files } = await listFiles([source], { signal: options.signal, skip: options.skip });
  const seer = await openSeer(yield* chooseBackbone(options), options);
  const unreadable: Unreadable[] = [];
  let images = 0;
  try {
    yield* reporting('features', 'images', (report) =>
      replaceFile(file, async (handle) => {
        const writer = await createRowWriter(handle, featureColumns, together);
        for await (const part of seer.lookAt(files)) {
          images += part.rows.length;
          unreadable.push(...part.unreadable);
          assertSkippable(unreadable, options);
          await writer.add(part.rows);
          report(images + unreadable.length, files.length);
        }
        if (images === 0) throw noFeatures(unreadable[0], source);
        await writer.end();
      }),
    );
    yield* warnUnreadable(unreadable);
    const seconds = (performance.now() - started) / 1000;
    return { file, images, size: seer.size, skipped: skippedOf(unreadable), seconds };
  } finally {
    await seer.close();
  }
}

export const noFeatures = (first: Unreadable | undefined, source: string): PupilError =>
  new PupilError('bad-data', first ? `${first.path}: ${first.reason}` : `${source}: no images found`);

/** The file to write. Throws `usage` and `exists`. */
export async function fileOf(out: string | undefined): Promise<string> {
  if (out === undefined || !/\.parquet$/i.test(out))
    throw new PupilError('usage', 'features needs a file to write: `out: FILE.parquet`', { option: 'out' });
  await refuseExistingFile('out', out);
  return out;
}

/** The network whose features are asked for. */
export function chooseBackbone(options: FeaturesOptions): AsyncGenerator<RunEvent, Model, undefined> {
  const { model, signal } = options;
  if (model === undefined)
    throw new PupilError('usage', 'features needs a `model`: a run folder, an ONNX file or hf:owner/repo[/file]', {
      option: 'model',
    });
  return chooseModel({ classes: ['unlabelled', 'labelled'] }, { ...foreignOf(options), model, signal });
}

/** Rows of features, in the order of the images, and files that have none. */
export interface SeenPart {
  readonly rows: readonly ParquetRow[];
  readonly unreadable: readonly (Unreadable & { readonly hash?: string })[];
}

/** A network that is ready to look at files. */
export interface Seer {
  readonly engine: string;
  /** Numbers of an image. */
  readonly size: number;
  /** Opens files and looks at them; what they contain is added to `contents`. */
  lookAt(files: readonly ListedFile[], contents?: ContentHash): AsyncGenerator<SeenPart, void, undefined>;
  /** The same of images that are opened. */
  see(samples: readonly Sample[]): AsyncGenerator<SeenPart, void, undefined>;
  close(): Promise<void>;
}

export async function openSeer(
  model: Model,
  { engine: name = 'auto', threads, workers, signal }: FeaturesOptions,
): Promise<Seer> {
  const engine = await createEngine(name, {
    purpose: 'evaluation',
    precision: 'f32',
    threads,
    graphs: () => [featureGraph(model)],
  });
  const pool = createPool({ workers, signal });
  const close = async (): Promise<void> => {
    await engine.close();
    await pool.close();
  };
  let extractor: FeatureExtractor;
  try {
    extractor = await openExtractor(engine, model);
  } catch (error) {
    await close();
    throw error;
  }
  const { size } = extractor;
  async function* see(samples: readonly Sample[]): AsyncGenerator<SeenPart, void, undefined> {
    for await (const images of inChunks(
      samples.map((sample) => ({ ...sample, label: -1 })),
      { pool, model, signal },
    )) {
      signal?.throwIfAborted();
      const count = images.samples.length;
      const loader = createEvaluationLoader({ images, classes: 1, batchSize: featureBatch });
      const numbers = count === 0 ? new Float32Array() : await extractor.extract(loader);
      const rows = images.samples.map(({ path, hash }, i) => ({
        path,
        hash,
        features: Array.from(numbers.subarray(i * size, (i + 1) * size)),
      }));
      yield { rows, unreadable: images.unreadable };
    }
  }
  return {
    engine: engine.name,
    size,
    close,
    see,
    async *lookAt(files, contents) {
      for await (const { samples, unreadable } of openInParts(files, contents)) {
        yield { rows: [], unreadable };
        yield* see(samples);
      }
    },
  };
}
