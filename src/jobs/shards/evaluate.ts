/** `evaluate` as an array job: what a shard does, and what becomes of the parts. */
import { basename, join } from 'node:path';
import { replaceFile } from '../../artifact/files.js';
import type { ImageResult, Metrics } from '../../artifact/formats.js';
import { refuseExistingFile } from '../../artifact/free.js';
import { writeJsonList } from '../../artifact/json-list.js';
import { inForm } from '../../artifact/json-result.js';
import type { ParquetColumn } from '../../artifact/parquet-writer.js';
import { openParts, type PartRow, type Parts } from '../../artifact/parts.js';
import { openDataset } from '../../data/dataset.js';
import { datasetHash } from '../../data/dataset-hash.js';
import { hashOfNames } from '../../data/listing.js';
import { isFair } from '../../data/split.js';
import { sharedGroups, type Sample, type Unreadable } from '../../data/sample.js';
import { PupilError } from '../../errors.js';
import type { Classifier } from '../../evaluate/classifier.js';
import {
  calibratedLogits,
  chooseSplit,
  evaluateSome,
  usualBatch,
  withOrigins,
  type Evaluation,
} from '../../evaluate/evaluate.js';
import { loadNetwork } from '../../evaluate/load.js';
import { createEffectiveCount, createMetricsTally } from '../../evaluate/metrics.js';
import { Job } from '../../job.js';
import { hashOfModel } from '../../models/hash.js';
import { checkOptions, knownTo, type Given } from '../../options/option.js';
import type { ShardChoice } from '../../options/shards.js';
import { evaluateOptions, loadOptions } from '../../options/tools.js';
import type { RunEvent } from '../../runs/events.js';
import { relaying, reporting } from '../../runs/relay.js';
import { beginShard, bytesOf, doShard, floatsOf, textsOf, warnOfEngines, type ShardResult } from './shard.js';

const command = 'evaluate';

/** `truth` is the index of the label; probabilities are float32, little endian, in the order of the classes. */
const columns = [
  { name: 'path', type: 'STRING' },
  { name: 'label', type: 'STRING', nullable: true },
  { name: 'truth', type: 'INT32', nullable: true },
  { name: 'predicted', type: 'STRING', nullable: true },
  { name: 'confidence', type: 'DOUBLE', nullable: true },
  { name: 'probabilities', type: 'BYTE_ARRAY', nullable: true },
  { name: 'learned', type: 'BOOLEAN', nullable: true },
  { name: 'refused', type: 'BOOLEAN', nullable: true },
  { name: 'accepted', type: 'BOOLEAN', nullable: true },
  { name: 'drawn', type: 'BOOLEAN', nullable: true },
  { name: 'group', type: 'STRING', nullable: true },
  { name: 'problem', type: 'STRING', nullable: true },
] as const satisfies readonly ParquetColumn[];

/** Images that are decoded together. */
const atOnce = 8192;

type EvaluateShardOptions = Given<typeof evaluateOptions> & { readonly signal?: AbortSignal | undefined };

/** Measures a model on one shard of the images and writes its part into the folder `out`. */
export const evaluateShard = (
  source: string,
  data: string,
  choice: ShardChoice,
  { signal: given, ...told }: EvaluateShardOptions,
): Job<RunEvent, ShardResult> =>
  new Job(
    async function* (signal) {
      return yield* shardOfEvaluation(source, data, choice, { ...checkOptions(evaluateOptions, told), signal });
    },
    { signal: given },
  );

async function* shardOfEvaluation(
  source: string,
  data: string,
  choice: ShardChoice,
  { signal, ...options }: EvaluateShardOptions,
): AsyncGenerator<RunEvent, ShardResult, undefined> {
  const { classifier, model, engine } = yield* relaying((emit) =>
    loadNetwork(source, {
      ...knownTo(loadOptions, options),
      purpose: 'evaluation',
      onWarning: (message) => emit({ type: 'warning', message }),
    }),
  );
  try {
    // The network's classes tell how the images are read.
    const dataset = await openDataset(data, { classes: classifier.labels, signal, skip: options.skip });
    const chosen = chooseSplit(dataset, options.split),
      classes = classifier.labels;
    const shared = sharedGroups(chosen),
      groups = new Map(chosen.map(({ path }, i) => [path, shared[i]]));
    const begun = yield* beginShard(command, {
      choice,
      options,
      list: async () => ({
        items: chosen,
        hash: hashOfNames(namesOf(chosen)),
        least: options.tta ? 1 : (options.batchSize ?? usualBatch),
        // All were read to be opened.
        contentsOf: (own) => ({ stamp: async () => undefined, hash: async () => datasetHash(classes, own) }),
      }),
      async *read() {
        return { network: classifier, hash: hashOfModel(model) };
      },
    });
    if (begun.before !== undefined) return begun.before;
    const { place, from, own, total } = begun;
    return yield* reporting('evaluating', 'images', (report) =>
      doShard(place, {
        from,
        engine,
        columns,
        async work(writer) {
          let images = 0;
          const addProblems = (problems: readonly Unreadable[]): Promise<void> =>
            writer.add(problems.map(({ path, reason }) => ({ path, problem: reason })));
          // Every shard finds those, one names them.
          if (place.shard.index === 1) await addProblems(dataset.unreadable);
          for (let start = 0; start < own.length; start += atOnce) {
            signal?.throwIfAborted();
            const some = own.slice(start, start + atOnce);
            const part = await evaluateSome(classifier, some, {
              ...options,
              total,
              onProgress: (done) => report(start + Math.floor(done), own.length),
            });
            await addProblems(part.unreadable);
            await writer.add(
              part.samples.map((sample, i) => rowOf(classifier, part, sample, { i, group: groups.get(sample.path) })),
            );
            images += part.samples.length;
          }
          return {
            classes,
            knowsLearned: classifier.learned !== undefined,
            hasRejection: classifier.outlierThreshold !== undefined,
            contents: datasetHash(classes, own),
            images,
          };
        },
      }),
    );
  } finally {
    await classifier.close();
  }
}

function* namesOf(samples: readonly Sample[]): Generator<{ readonly name: string }> {
  for (const { path } of samples) yield { name: basename(path) };
}

function rowOf(
  { labels, outlierThreshold = Infinity }: Pick<Classifier, 'labels' | 'outlierThreshold'>,
  { images, learned, outlier, probabilities }: Awaited<ReturnType<typeof evaluateSome>>,
  sample: Sample,
  { i, group }: { readonly i: number; readonly group: string | undefined },
): PartRow {
  const { predicted, confidence } = images[i]!;
  const { path, label, drawn } = sample;
  return {
    path,
    label: labels[label]!,
    truth: label,
    predicted,
    confidence,
    probabilities: bytesOf(probabilities.subarray(i * labels.length, (i + 1) * labels.length)),
    learned: learned?.[i],
    refused: outlier === undefined ? null : outlier[i]! > outlierThreshold,
    accepted: !isFair(sample),
    drawn: drawn === true,
    group,
  };
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/** What the parts of `evaluate` say together. */
export type MergedEvaluation = Omit<Evaluation, 'images'> & { readonly classes: readonly string[] };

/**
 * Makes of the parts in a folder what `evaluate` says of all images at once; with `out` also its file:
 * FOLDER/evaluation.json, or the .json file that is named.
 */
export const mergeEvaluation = (
  folder: string,
  { out, signal: given }: Pick<EvaluateShardOptions, 'out' | 'signal'>,
): Job<RunEvent, MergedEvaluation> =>
  new Job(
    async function* (signal) {
      const file = out === undefined || out.toLowerCase().endsWith('.json') ? out : join(out, 'evaluation.json');
      await refuseExistingFile('out', file);
      const parts = await openParts(folder, command);
      try {
        yield* warnOfEngines(parts.headers);
        const merged = await gather(parts, signal);
        if (file !== undefined) await writeEvaluation(file, parts, merged, signal);
        return merged;
      } finally {
        await parts.close();
      }
    },
    { signal: given },
  );

async function gather(parts: Parts, signal: AbortSignal): Promise<MergedEvaluation> {
  const { notes } = parts.headers[0]!;
  const classes = textsOf(notes['classes']);
  const tally = createMetricsTally(classes);
  const unreadable: Unreadable[] = [];
  const wanted = [
    ...['path', 'label', 'truth', 'predicted', 'probabilities'],
    ...['learned', 'refused', 'accepted', 'drawn', 'group', 'problem'],
  ];
  const different = createEffectiveCount(),
    drawnDifferent = createEffectiveCount();
  let learned = 0,
    refused = 0,
    accepted = 0,
    drawn = 0,
    right = 0;
  for await (const { rows } of parts.rows(wanted)) {
    signal.throwIfAborted();
    for (const { path, truth, problem, probabilities, ...row } of rows) {
      if (typeof truth !== 'number') {
        unreadable.push({ path: String(path), reason: String(problem) });
        continue;
      }
      tally.add(calibratedLogits(floatsOf(probabilities)), [truth]);
      learned += Number(row['learned'] === true);
      refused += Number(row['refused'] === true);
      accepted += Number(row['accepted'] === true);
      different.add(textOf(row['group']));
      drawn += Number(row['drawn'] === true);
      if (row['drawn'] === true) drawnDifferent.add(textOf(row['group']));
      right += Number(row['drawn'] === true && row['predicted'] === row['label']);
    }
  }
  const counted = { independent: different.result(), drawnIndependent: drawnDifferent.result() };
  const metrics: Metrics = withOrigins(tally.result(), { accepted, drawn, right, ...counted });
  if (metrics.count === 0) throw new PupilError('bad-data', 'none of the images of any shard can be decoded');
  return {
    metrics,
    learned: notes['knowsLearned'] === true ? learned : undefined,
    refused: notes['hasRejection'] === true ? refused : undefined,
    unreadable,
    classes,
  };
}

async function writeEvaluation(
  file: string,
  parts: Parts,
  { metrics, learned, refused, unreadable, classes }: MergedEvaluation,
  signal: AbortSignal,
): Promise<void> {
  const items = async function* (): AsyncGenerator<ImageResult[], void> {
    for await (const { rows } of parts.rows(['path', 'label', 'predicted', 'confidence', 'group'])) {
      signal.throwIfAborted();
      yield rows.flatMap(({ path, label, predicted, confidence, group }) =>
        typeof confidence === 'number'
          ? [
              {
                ...{ path: String(path), label: String(label), predicted: String(predicted), confidence },
                ...(typeof group === 'string' ? { group } : {}),
              },
            ]
          : [],
      );
    }
  };
  const before = inForm({ ...metrics, learned, refused, skipped: unreadable, classes });
  await replaceFile(file, (handle) => writeJsonList(handle, items(), { before, name: 'predictions' }));
}
