/** `predict` as an array job: what a shard does, and what becomes of the parts. */
import { dirname, resolve } from 'node:path';
import { placeFrom, spreadsheet, spreadsheetStart } from '../../artifact/csv.js';
import { allOrNone, replaceFile } from '../../artifact/files.js';
import { refuseExistingFile } from '../../artifact/free.js';
import { writeJsonList } from '../../artifact/json-list.js';
import { inForm } from '../../artifact/json-result.js';
import type { ParquetColumn } from '../../artifact/parquet-writer.js';
import { openParts, type PartRow, type Parts } from '../../artifact/parts.js';
import { openInParts } from '../../data/contents.js';
import { listFiles } from '../../data/listing.js';
import type { Unreadable } from '../../data/sample.js';
import { PupilError } from '../../errors.js';
import { loadNetwork } from '../../evaluate/load.js';
import { batchOf, predictSamples, type PathPrediction } from '../../evaluate/predict-files.js';
import { createLabelCounts, csvRow, csvTitles, inJson } from '../../evaluate/prediction-table.js';
import { absolutePlace } from '../../http/address.js';
import { Job } from '../../job.js';
import { hashOfModel } from '../../models/hash.js';
import { checkOptions, knownTo, type Given } from '../../options/option.js';
import type { ShardChoice } from '../../options/shards.js';
import { loadOptions, predictOptions } from '../../options/tools.js';
import type { RunEvent } from '../../runs/events.js';
import { relaying, reporting } from '../../runs/relay.js';
import { beginShard, bytesOf, divided, doShard, floatsOf, textsOf, warnOfEngines, type ShardResult } from './shard.js';

const command = 'predict';

/** Probabilities are float32, little endian, in the order of the classes. */
const columns = [
  { name: 'path', type: 'STRING' },
  { name: 'label', type: 'STRING', nullable: true },
  { name: 'confidence', type: 'DOUBLE', nullable: true },
  { name: 'none', type: 'BOOLEAN', nullable: true },
  { name: 'outlier', type: 'DOUBLE', nullable: true },
  { name: 'probabilities', type: 'BYTE_ARRAY', nullable: true },
  { name: 'problem', type: 'STRING', nullable: true },
  { name: 'opened', type: 'BOOLEAN' },
] as const satisfies readonly ParquetColumn[];

type PredictShardOptions = Given<typeof predictOptions> & { readonly signal?: AbortSignal | undefined };

/** Classifies one shard of the images and writes its part into the folder `out`. */
export const predictShard = (
  source: string,
  images: readonly string[],
  choice: ShardChoice,
  { signal: given, ...told }: PredictShardOptions,
): Job<RunEvent, ShardResult> =>
  new Job(
    async function* (signal) {
      return yield* shardOfPredictions(source, images, choice, { ...checkOptions(predictOptions, told), signal });
    },
    { signal: given },
  );

async function* shardOfPredictions(
  source: string,
  images: readonly string[],
  choice: ShardChoice,
  { signal, ...options }: PredictShardOptions,
): AsyncGenerator<RunEvent, ShardResult, undefined> {
  const { tta = false, batchSize, threshold, rejection } = options;
  if (options.csv !== undefined)
    throw new PupilError('usage', '`csv` has no use with `shard`; give it with `merge`', { option: 'csv' });
  const settings = { views: tta ? 10 : 1, batchSize, threshold, rejection } as const;
  const size = batchOf(settings);
  let loaded = undefined as Awaited<ReturnType<typeof loadNetwork>> | undefined;
  try {
    const begun = yield* beginShard(command, {
      choice,
      options,
      list: async () => divided(await listFiles(images, { signal, skip: options.skip }), size),
      async *read() {
        loaded = yield* relaying((emit) =>
          loadNetwork(source, {
            ...knownTo(loadOptions, options),
            onWarning: (message) => emit({ type: 'warning', message }),
          }),
        );
        return { network: loaded, hash: hashOfModel(loaded.model) };
      },
    });
    if (begun.before !== undefined) return begun.before;
    const { place, from, own, total } = begun;
    const { classifier, engine } = begun.network;
    return yield* reporting('predicting', 'images', (report) =>
      doShard(place, {
        from,
        engine,
        columns,
        async work(writer, contents) {
          let images = 0,
            done = 0;
          const addProblems = async (problems: readonly Unreadable[], opened: boolean): Promise<void> => {
            done += problems.length;
            await writer.add(problems.map(({ path, reason }) => ({ path, problem: reason, opened })));
          };
          for await (const { samples, unreadable } of openInParts(own, contents)) {
            await addProblems(unreadable, true);
            const parts = predictSamples(classifier, samples, { ...settings, isFilled: total >= size });
            for await (const { predictions, failed } of parts) {
              signal?.throwIfAborted();
              await writer.add(predictions.map((prediction) => rowOf(prediction, classifier.labels)));
              await addProblems(failed, false);
              images += predictions.length;
              done += predictions.length;
              report(done, own.length);
            }
          }
          return { classes: classifier.labels, images };
        },
      }),
    );
  } finally {
    await loaded?.classifier.close();
  }
}

const rowOf = (
  { path, label, confidence, none, outlier, probabilities }: PathPrediction,
  classes: readonly string[],
): PartRow => ({
  path,
  label,
  confidence,
  none,
  outlier: outlier ?? null,
  probabilities: bytesOf(Float32Array.from(classes, (name) => probabilities[name]!)),
  opened: false,
});

/** What a row of a part says of an image; undefined of a file that is none. */
function predictionIn(row: PartRow, classes: readonly string[]): PathPrediction | undefined {
  const { path, label, confidence, none, outlier, probabilities } = row;
  if (typeof label !== 'string' || typeof confidence !== 'number') return undefined;
  const numbers = floatsOf(probabilities);
  return {
    path: String(path),
    label,
    confidence,
    none: none === true,
    probabilities: Object.fromEntries(classes.map((name, c) => [name, numbers[c]!])),
    ...(typeof outlier === 'number' ? { outlier } : {}),
  };
}

/** What the parts of `predict` say together. */
export interface MergedPredictions {
  readonly images: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly skipped: readonly Unreadable[];
}

/** Makes of the parts in a folder the files that `predict` writes of all images at once. */
export const mergePredictions = (
  folder: string,
  { out, csv, signal: given }: Pick<PredictShardOptions, 'out' | 'csv' | 'signal'>,
): Job<RunEvent, MergedPredictions> =>
  new Job(
    async function* (signal) {
      if (out === undefined && csv === undefined)
        throw new PupilError('usage', '`merge` needs a file to write: `out: FILE.json` or `csv: FILE.csv`', {
          option: 'out',
        });
      await refuseExistingFile('csv', csv);
      await refuseExistingFile('out', out);
      const parts = await openParts(folder, command);
      try {
        yield* warnOfEngines(parts.headers);
        return await allOrNone([out, csv], async () => {
          const merged = await gather(parts, out, signal);
          if (csv !== undefined) await writeTable(parts, csv, signal);
          return merged;
        });
      } finally {
        await parts.close();
      }
    },
    { signal: given },
  );

async function gather(parts: Parts, out: string | undefined, signal: AbortSignal): Promise<MergedPredictions> {
  const counts = createLabelCounts();
  const opened: Unreadable[] = [],
    failed: Unreadable[] = [];
  let images = 0;
  const items = async function* (): AsyncGenerator<object[], void> {
    for await (const { rows, classes } of rowsOf(parts, signal)) {
      const predictions: PathPrediction[] = [];
      for (const row of rows) {
        const prediction = predictionIn(row, classes);
        if (prediction !== undefined) predictions.push(prediction);
        else
          (row['opened'] === true ? opened : failed).push({
            path: String(row['path']),
            reason: String(row['problem']),
          });
      }
      images += predictions.length;
      counts.add(predictions);
      yield predictions.map(inJson);
    }
    if (images === 0) throw nothingPredicted([...opened, ...failed]);
  };
  const rest = (): Omit<MergedPredictions, 'images'> => ({
    counts: counts.sorted(),
    skipped: [...opened, ...failed],
  });
  if (out === undefined) for await (const _ of items());
  else
    await replaceFile(out, (handle) =>
      writeJsonList(handle, items(), { before: inForm({}), name: 'predictions', after: rest }),
    );
  return { images, ...rest() };
}

const nothingPredicted = ([first]: readonly Unreadable[]): PupilError =>
  new PupilError('bad-data', first ? `${first.path}: ${first.reason}` : 'no images found in any shard');

async function writeTable(parts: Parts, csv: string, signal: AbortSignal): Promise<void> {
  await replaceFile(csv, async (handle) => {
    await handle.appendFile(spreadsheet([csvTitles]));
    for await (const { rows, classes, from } of rowsOf(parts, signal)) {
      const predictions = rows.flatMap((row) => predictionIn(row, classes) ?? []);
      const lines = predictions.map((prediction) =>
        csvRow(prediction, placeFrom(resolve(dirname(csv)), absolutePlace(from, prediction.path))),
      );
      await handle.appendFile(spreadsheet(lines).slice(spreadsheetStart.length));
    }
  });
}

async function* rowsOf(
  parts: Parts,
  signal: AbortSignal,
): AsyncGenerator<{ readonly rows: PartRow[]; readonly classes: readonly string[]; readonly from: string }, void> {
  for await (const { header, rows } of parts.rows(columns.map(({ name }) => name))) {
    signal.throwIfAborted();
    yield { rows, classes: textsOf(header.notes['classes']), from: header.from };
  }
}
