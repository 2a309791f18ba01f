/** `features` as an array job: what a shard does, and what becomes of the parts. */
import { performance } from 'node:perf_hooks';
import { replaceFile } from '../../artifact/files.js';
import { createRowWriter, type ParquetColumn, type ParquetRow } from '../../artifact/parquet-writer.js';
import { openParts, together } from '../../artifact/parts.js';
import { listFiles } from '../../data/listing.js';
import type { Unreadable } from '../../data/sample.js';
import { subgraph } from '../../graph/passes.js';
import { Job } from '../../job.js';
import { hashOfGraph } from '../../models/hash.js';
import type { Model } from '../../models/model.js';
import { checkOptions, withSignal } from '../../options/option.js';
import { featuresOptions, type FeaturesOptions, type FeaturesRequest, type ShardChoice } from '../../options/shards.js';
import type { RunEvent } from '../../runs/events.js';
import { reporting } from '../../runs/relay.js';
import { chooseBackbone, featureColumns, fileOf, noFeatures, openSeer, type FeaturesResult } from '../features.js';
import { skippedOf } from '../images.js';
import { beginShard, divided, doShard, warnOfEngines, type ShardResult } from './shard.js';

const command = 'features';

const columns: readonly ParquetColumn[] = [
  ...featureColumns.map((column) => ({ ...column, nullable: column.name === 'features' })),
  { name: 'problem', type: 'STRING', nullable: true },
];

/** Writes the features of one shard of the images into the folder `out`. */
export const featuresShard = (
  source: string,
  choice: ShardChoice,
  options: FeaturesRequest,
): Job<RunEvent, ShardResult> =>
  new Job(async function* (signal) {
    return yield* shardOfFeatures(source, choice, checkOptions(featuresOptions, withSignal(options, signal)));
  }, options);

/** Of all that decides the features of a network. */
export const hashOfBackbone = ({ graph, parameters, preprocessing, head }: Model): string =>
  hashOfGraph(head ? subgraph(graph, ['input'], [head.features]) : graph, parameters, [preprocessing]);

async function* shardOfFeatures(
  source: string,
  choice: ShardChoice,
  options: FeaturesOptions,
): AsyncGenerator<RunEvent, ShardResult, undefined> {
  const begun = yield* beginShard(command, {
    choice,
    options,
    list: async () => divided(await listFiles([source], options)),
    async *read() {
      const model = yield* chooseBackbone(options);
      return { network: model, hash: hashOfBackbone(model) };
    },
  });
  if (begun.before !== undefined) return begun.before;
  const { place, from, network: model, own } = begun;
  const seer = await openSeer(model, options);
  try {
    return yield* reporting('features', 'images', (report) =>
      doShard(place, {
        from,
        engine: seer.engine,
        columns,
        async work(writer, contents) {
          let images = 0,
            unreadable = 0;
          for await (const part of seer.lookAt(own, contents)) {
            images += part.rows.length;
            unreadable += part.unreadable.length;
            await writer.add(part.rows);
            await writer.add(part.unreadable.map(({ path, reason, hash = '' }) => ({ path, hash, problem: reason })));
            report(images + unreadable, own.length);
          }
          return { images, size: seer.size };
        },
      }),
    );
  } finally {
    await seer.close();
  }
}

/** Makes of the parts in a folder the file that `features` makes of all images at once. */
export const mergeFeatures = (
  folder: string,
  options: Pick<FeaturesRequest, 'out' | 'signal'>,
): Job<RunEvent, FeaturesResult> =>
  new Job(async function* (signal) {
    const started = performance.now();
    const file = await fileOf(options.out);
    await using parts = await openParts(folder, command);
    yield* warnOfEngines(parts.headers);
    const unreadable: Unreadable[] = [];
    let images = 0;
    yield* reporting('merging', 'images', (report) =>
      replaceFile(file, async (handle) => {
        const writer = await createRowWriter(handle, featureColumns, together);
        for await (const { rows } of parts.rows(columns.map(({ name }) => name))) {
          signal.throwIfAborted();
          const whole = rows.filter((row): row is ParquetRow => Array.isArray(row['features']));
          images += whole.length;
          for (const { path, problem, ...row } of rows)
            if (!Array.isArray(row['features'])) unreadable.push({ path: String(path), reason: String(problem) });
          await writer.add(whole);
          report(images + unreadable.length, parts.count);
        }
        if (images === 0) throw noFeatures(undefined, folder);
        await writer.end();
      }),
    );
    const size = Number(parts.headers[0]!.notes['size']);
    return { file, images, size, skipped: skippedOf(unreadable), seconds: (performance.now() - started) / 1000 };
  }, options);
