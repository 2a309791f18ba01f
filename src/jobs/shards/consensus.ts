/** Labels for the images of very many parts of `features` from those of a few: the consensus, in bounded memory. */
import { mkdtemp, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { makeFolder } from '../../artifact/files.js';
import { refuseExistingFile } from '../../artifact/free.js';
import { openParts, writePart, type PartRow, type PartWriter, type Parts } from '../../artifact/parts.js';
import { pseudoLabelFormat, shortest } from '../../artifact/pseudo-labels.js';
import { counted, openDataset } from '../../data/dataset.js';
import type { Sample } from '../../data/sample.js';
import { foldsOf } from '../../data/split.js';
import { createEngine } from '../../engine/index.js';
import type { Engine } from '../../engine/engine.js';
import { PupilError } from '../../errors.js';
import { argmax } from '../../evaluate/metrics.js';
import { absolutePlace } from '../../http/address.js';
import { Job } from '../../job.js';
import { originsOf } from '../../models/licence.js';
import { checkOptions, knownTo, withSignal } from '../../options/option.js';
import { common } from '../../options/recipes.js';
import { featuresOptions, type FeaturesOptions, type FeaturesRequest } from '../../options/shards.js';
import type { RunEvent } from '../../runs/events.js';
import { reporting } from '../../runs/relay.js';
import { consensus } from '../../techniques/consensus.js';
import { chooseBackbone, openSeer } from '../features.js';
import type { PseudoLabelResult } from '../label/label.js';
import { hashOfBackbone } from './features.js';
import { labelColumns, mergeFolder, mergeOptions, outOf, type MergeLabelsOptions } from './labels.js';
import { findRepeated } from './repeated.js';
import { bytesOf, eachRow, warnOfEngines } from './shard.js';

/**
 * Images that are looked at together, at most, beside the labelled ones: what is held in memory. A consensus
 * of this many has been measured (results/README.md); time grows with their square.
 */
const atOnce = 4096;

const options = { ...mergeOptions, ...featuresOptions } as const;

export type MergeConsensusOptions = MergeLabelsOptions & Omit<FeaturesRequest, 'out'>;

/**
 * Labels the images of the parts of `features` in a folder by the consensus with the labelled images of `data`
 * (of `train`, where there are splits), whose features `model` gives, and writes the file that
 * `mergeLabels` writes. The images are looked at in blocks of equal size, which depend on their number and
 * order alone, not on the number of parts. Throws `bad-data` for parts of another model.
 */
export const mergeConsensus = (
  folder: string,
  data: string,
  told: MergeConsensusOptions,
  imagesAtOnce = atOnce,
): Job<RunEvent, PseudoLabelResult> =>
  new Job(async function* (signal) {
    const started = performance.now();
    const given = checkOptions(options, withSignal(told, signal));
    const out = outOf(given);
    pseudoLabelFormat(out);
    await refuseExistingFile('out', out);
    const place = dirname(resolve(out));
    await makeFolder(place);
    // Labels before any is accepted, which may take as much room as the file.
    const scratch = await mkdtemp(join(place, '.pupil-consensus-'));
    try {
      const labelled = yield* labelledImages(data, knownTo(featuresOptions, given));
      await using parts = await openParts(folder, 'features');
      yield* warnOfEngines(parts.headers);
      const { teacher, options: made } = parts.headers[0]!.inputs;
      if (teacher !== labelled.model)
        throw new PupilError('bad-data', `${folder}: the parts were made with another \`model\`; give that one`, {
          option: 'model',
        });
      const engine = await createEngine(given.engine ?? 'auto', {
        purpose: 'evaluation',
        precision: 'f32',
        threads: given.threads,
      });
      try {
        yield* labelParts(parts, { scratch, labelled, engine, imagesAtOnce, made, signal });
      } finally {
        await engine.close();
      }
      const result = yield* mergeFolder(scratch, { ...knownTo(mergeOptions, given), out, signal });
      return { ...result, seconds: (performance.now() - started) / 1000 };
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }, told);

/** Images with labels, as the network sees them. */
interface Labelled {
  /** The hash of the network, and where its knowledge comes from. */
  readonly model: string;
  readonly teachers: ReturnType<typeof originsOf>;
  readonly classes: readonly string[];
  readonly hashes: ReadonlySet<string>;
  readonly labels: readonly number[];
  /** [count, size] */
  readonly features: Float32Array;
  readonly size: number;
  /** Rows that are held out in turn. */
  readonly folds: readonly (readonly number[])[];
}

async function* labelledImages(data: string, told: FeaturesOptions): AsyncGenerator<RunEvent, Labelled, undefined> {
  const { samples, classes } = await openDataset(data, { signal: told.signal });
  const wanted = new Map<string, Sample>();
  for (const sample of samples) if (sample.split === 'train') wanted.set(sample.hash, sample);
  const model = yield* chooseBackbone(told);
  const seer = await openSeer(model, told);
  try {
    const { size } = seer;
    const seen: Sample[] = [],
      rows: number[][] = [];
    for await (const part of seer.see([...wanted.values()]))
      for (const { hash, features } of part.rows) {
        seen.push(wanted.get(String(hash))!);
        rows.push(features as number[]);
      }
    const place = new Map(seen.map((sample, i) => [sample, i]));
    if (new Set(seen.map(({ label }) => label)).size < 2)
      throw new PupilError('bad-data', `${data}: a consensus needs labelled images of two classes or more`, {
        option: 'data',
      });
    return {
      model: hashOfBackbone(model),
      teachers: originsOf(model),
      classes,
      hashes: new Set(seen.map(({ hash }) => hash)),
      labels: seen.map(({ label }) => label),
      features: Float32Array.from(rows.flat()),
      size,
      folds: foldsOf(seen, common.folds).map(({ selection }) => selection.map((sample) => place.get(sample)!)),
    };
  } finally {
    await seer.close();
  }
}

interface LabelWork {
  readonly scratch: string;
  readonly labelled: Labelled;
  readonly engine: Engine;
  readonly imagesAtOnce: number;
  /** Options that the parts were made with. */
  readonly made: Readonly<Record<string, unknown>>;
  readonly signal: AbortSignal;
}

/** Writes one part of labels, of all images, into the folder `scratch`. */
async function* labelParts(parts: Parts, work: LabelWork): AsyncGenerator<RunEvent, void, undefined> {
  const { scratch, labelled, engine, imagesAtOnce, made, signal } = work;
  const repeated = await findRepeated(parts.count, (visit) =>
    eachRow(parts, ['hash'], signal, ({ hash }) => visit(String(hash))),
  );
  /** Whether a row is an image whose label is looked for. */
  const isWanted = ({ hash, problem }: PartRow, place: number): boolean =>
    !repeated.has(place) && typeof problem !== 'string' && !labelled.hashes.has(String(hash));
  let wanted = 0,
    at = 0;
  await eachRow(parts, ['hash', 'problem'], signal, (row) => (wanted += Number(isWanted(row, at++))));
  if (wanted === 0) throw new PupilError('bad-data', 'the parts hold no images that are not labelled already');
  const block = Math.ceil(wanted / Math.ceil(wanted / imagesAtOnce));
  const shard = { index: 1, count: 1 };
  const inputs = { ...parts.headers[0]!.inputs, options: { made } };
  const header = { command: 'pseudo-label', shard, inputs, engine: engine.name };
  let aside = 0;
  yield* reporting('consensus', 'images', (report) =>
    writePart(scratch, header, labelColumns, async (writer) => {
      let images: Waiting[] = [],
        place = 0;
      const counts = { images: 0, unreadable: 0, excluded: 0, repeated: repeated.count };
      const flush = async (): Promise<void> => {
        if (images.length === 0) return;
        aside += await labelBlock(images, work, writer);
        counts.images += images.length;
        images = [];
        report(counts.images, wanted);
      };
      for await (const { header: from, rows } of parts.rows(['path', 'hash', 'features', 'problem'])) {
        signal.throwIfAborted();
        for (const row of rows) {
          const path = absolutePlace(from.from, String(row['path'])),
            hash = String(row['hash']),
            { problem, features } = row;
          if (typeof problem === 'string') {
            counts.unreadable++;
            await writer.add([{ path, hash, problem }]);
          } else if (isWanted(row, place)) {
            images.push({ path, hash, features: features as readonly number[] });
            if (images.length === block) await flush();
          } else if (labelled.hashes.has(hash)) counts.excluded++;
          place++;
        }
      }
      await flush();
      return { classes: labelled.classes, teachers: labelled.teachers, hasLike: false, ...counts };
    }),
  );
  if (aside > 0)
    yield {
      type: 'warning',
      message:
        `${aside} of ${counted(wanted, 'image')} look like none of the classes, and are not accepted: ` +
        'photos of something else, or of a class that has no label yet',
    };
}

/** An image that waits for its block. */
interface Waiting {
  readonly path: string;
  readonly hash: string;
  readonly features: readonly number[];
}

/** Labels the images of one block; how many of them look like none of the classes. */
async function labelBlock(
  images: readonly Waiting[],
  { labelled, engine, signal }: LabelWork,
  writer: PartWriter,
): Promise<number> {
  const { classes, labels, size, folds } = labelled;
  const known = labels.length;
  const features = new Float32Array((known + images.length) * size);
  features.set(labelled.features);
  images.forEach((image, i) => features.set(image.features, (known + i) * size));
  const { probabilities, aside } = await consensus(
    engine,
    { networks: [[{ features, size }]], labels: [...labels, ...images.map(() => -1)], classes: classes.length },
    folds,
    () => signal.throwIfAborted(),
  );
  await writer.add(
    images.map(({ path, hash }, i) => {
      const own = probabilities.slice((known + i) * classes.length, (known + i + 1) * classes.length);
      const index = argmax(own, 0, classes.length);
      const confidence = Math.min(1, shortest(own[index]!));
      const unlike = aside[known + i] === 1;
      return { path, hash, label: classes[index]!, index, confidence, probabilities: bytesOf(own), unlike };
    }),
  );
  return aside.subarray(known).reduce((sum, one) => sum + one, 0);
}
