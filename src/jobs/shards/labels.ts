/** `pseudo-label` as an array job: what a shard does, and what becomes of the parts. */
import { performance } from 'node:perf_hooks';
import { refuseExistingFile } from '../../artifact/free.js';
import { replaceFile } from '../../artifact/files.js';
import type { ParquetColumn } from '../../artifact/parquet-writer.js';
import { openParts, type PartRow, type PartWriter, type Parts } from '../../artifact/parts.js';
import { createPseudoLabelWriter, pseudoLabelFormat } from '../../artifact/pseudo-labels.js';
import { openInParts, type ContentHash } from '../../data/contents.js';
import { listFiles, type ListedFile } from '../../data/listing.js';
import { createPool } from '../../data/pool.js';
import { checkSelection, tallyPseudoLabels, type PseudoLabel } from '../../data/pseudo-labels.js';
import type { Sample, Unreadable } from '../../data/sample.js';
import { PupilError } from '../../errors.js';
import { usualBatch } from '../../evaluate/evaluate.js';
import { isUndecided, noneAccepted, reportOutliers, warningsOf } from '../../evaluate/pseudo-labels.js';
import { absolutePlace } from '../../http/address.js';
import { Job } from '../../job.js';
import { hashOfModel } from '../../models/hash.js';
import { originsOf, teachersIn } from '../../models/licence.js';
import { checkOptions, knownTo, omit, pick, withSignal } from '../../options/option.js';
import { pseudoLabels } from '../../options/recipes.js';
import type { ShardChoice } from '../../options/shards.js';
import { pseudoLabelOptions, type PseudoLabelOptions, type PseudoLabelRequest } from '../../options/tools.js';
import type { RunEvent } from '../../runs/events.js';
import { reporting } from '../../runs/relay.js';
import { skippedOf } from '../images.js';
import { labelInParts } from '../label/images.js';
import {
  chooseTeacher,
  firstPaths,
  hashesOf,
  likeImages,
  type FoundImages,
  type PseudoLabelResult,
} from '../label/label.js';
import { openLabeller, type OpenLabeller } from '../label/labeller.js';
import { Besides } from './besides.js';
import { findRepeated } from './repeated.js';
import { chooseLabels, type Chooser } from './select.js';
import {
  beginShard,
  bytesOf,
  divided,
  doShard,
  eachRow,
  floatsOf,
  textsOf,
  warnOfEngines,
  type ShardResult,
} from './shard.js';

const command = 'pseudo-label';

/** Probabilities are float32, little endian, in the order of the classes. */
export const labelColumns = [
  { name: 'path', type: 'STRING' },
  { name: 'hash', type: 'STRING' },
  { name: 'label', type: 'STRING', nullable: true },
  { name: 'index', type: 'INT32', nullable: true },
  { name: 'confidence', type: 'DOUBLE', nullable: true },
  { name: 'probabilities', type: 'BYTE_ARRAY', nullable: true },
  { name: 'unlike', type: 'BOOLEAN', nullable: true },
  { name: 'problem', type: 'STRING', nullable: true },
] as const satisfies readonly ParquetColumn[];

/** Labels one shard of the images and writes its part into the folder `out`. */
export const labelShard = (
  source: string,
  choice: ShardChoice,
  options: PseudoLabelRequest,
): Job<RunEvent, ShardResult> =>
  new Job(async function* (signal) {
    return yield* shardOfLabels(source, choice, checkOptions(pseudoLabelOptions, withSignal(options, signal)));
  }, options);

async function* shardOfLabels(
  source: string,
  choice: ShardChoice,
  options: PseudoLabelOptions,
): AsyncGenerator<RunEvent, ShardResult, undefined> {
  const { threshold = pseudoLabels.soft.threshold, batchSize = usualBatch, like, workers, signal } = options;
  checkSelection({ ...options, threshold });
  const besides = new Besides([...(options.exclude ?? []).map((path) => [path]), ...(like ? [like] : [])], signal);
  const begun = yield* beginShard(command, {
    choice,
    options,
    list: async () => divided(await listFiles([source], options), batchSize),
    shared: besides.contents(),
    async *read() {
      const model = yield* chooseTeacher(options);
      return { network: model, hash: hashOfModel(model) };
    },
  });
  if (begun.before !== undefined) return begun.before;
  const { place, from, network: model, own, total } = begun;
  const excluded = await hashesOf(options, besides.open);
  const pool = createPool({ workers, signal });
  let teacher: OpenLabeller | undefined;
  try {
    const labeller = (teacher = yield* openLabeller(model, options, pool, await likeImages(options, besides.open)));
    return yield* reporting('labelling', 'images', (report) =>
      doShard(place, {
        from,
        engine: labeller.engine,
        columns: labelColumns,
        async work(writer, contents) {
          const { classifier, outliers } = labeller;
          const classes = classifier.labels;
          const counts = await labelFiles(own, {
            classes,
            excluded,
            writer,
            contents,
            label: (samples, done) =>
              labelInParts({ classifier, outliers }, samples, {
                pool,
                batchSize,
                signal,
                total,
                onProgress: (now) => report(done + now, own.length),
              }),
          });
          return { classes, teachers: originsOf(model), hasLike: outliers !== undefined, ...counts };
        },
      }),
    );
  } finally {
    await teacher?.close();
    await pool.close();
  }
}

interface FilesToLabel {
  readonly classes: readonly string[];
  /** Hashes of contents that are left out. */
  readonly excluded: ReadonlySet<string>;
  readonly writer: PartWriter;
  readonly contents: ContentHash;
  /** What the teacher says of some of them, when so many are done. */
  readonly label: (samples: readonly Sample[], done: number) => ReturnType<typeof labelInParts>;
}

/** Opens files part by part and adds what is said of them. Contents that an earlier file had are left out. */
async function labelFiles(
  files: readonly ListedFile[],
  { classes, excluded: known, writer, contents, label }: FilesToLabel,
): Promise<Record<'images' | 'excluded' | 'repeated', number>> {
  const seen = new Set<string>();
  let opened = 0,
    images = 0,
    excluded = 0,
    repeated = 0;
  const addProblems = (
    problems: readonly { readonly path: string; readonly reason: string; readonly hash?: string }[],
  ): Promise<void> => writer.add(problems.map(({ path, reason, hash = '' }) => ({ path, hash, problem: reason })));
  for await (const { samples, unreadable } of openInParts(files, contents)) {
    await addProblems(unreadable);
    const others = samples.filter(({ hash }) => !known.has(hash));
    const once = others.filter(({ hash }) => !seen.has(hash) && seen.add(hash));
    excluded += samples.length - others.length;
    repeated += others.length - once.length;
    for await (const part of label(once, opened)) {
      const unlike = new Set(part.unlike);
      await addProblems(part.unreadable);
      images += part.rows.length;
      await writer.add(
        part.rows.map(({ path, hash, label: index, confidence, probabilities }) => ({
          path,
          hash,
          label: classes[index]!,
          index,
          confidence,
          probabilities: bytesOf(probabilities),
          unlike: unlike.has(path),
        })),
      );
    }
    opened += samples.length + unreadable.length;
  }
  return { images, excluded, repeated };
}

/** What of `pseudo-label` still has a use when the parts are there. */
export type MergeLabelsOptions = Pick<
  PseudoLabelRequest,
  'out' | 'threshold' | 'perClass' | 'balance' | 'soft' | 'signal'
>;
export const mergeOptions = pick(pseudoLabelOptions, ['out', 'threshold', 'perClass', 'balance', 'soft', 'signal']);

/** Makes of the parts in a folder the file that `pseudoLabel` makes of all images at once. */
export const mergeLabels = (folder: string, options: MergeLabelsOptions): Job<RunEvent, PseudoLabelResult> =>
  new Job(async function* (signal) {
    return yield* mergeFolder(folder, checkOptions(mergeOptions, withSignal(options, signal)));
  }, options);

/** The same within another job. */
export async function* mergeFolder(
  folder: string,
  given: MergeLabelsOptions,
): AsyncGenerator<RunEvent, PseudoLabelResult, undefined> {
  const out = outOf(given);
  pseudoLabelFormat(out);
  await refuseExistingFile('out', out);
  const parts = await openParts(folder, command);
  try {
    return yield* mergeParts(parts, out, omit(given, ['out']));
  } finally {
    await parts.close();
  }
}

/** The file to write. Throws `usage` where none is named. */
export function outOf({ out }: MergeLabelsOptions): string {
  if (out !== undefined) return out;
  throw new PupilError('usage', '`merge` needs a file to write: `out`, such as labels.parquet or labels.csv', {
    option: 'out',
  });
}

async function* mergeParts(
  parts: Parts,
  file: string,
  { signal, ...told }: Omit<MergeLabelsOptions, 'out'>,
): AsyncGenerator<RunEvent, PseudoLabelResult, undefined> {
  const started = performance.now();
  yield* warnOfEngines(parts.headers);
  const [{ inputs, notes }] = parts.headers as readonly [Parts['headers'][number]];
  const given = { ...checkOptions(mergeOptions, knownTo(mergeOptions, inputs.options)), ...told };
  const { threshold = pseudoLabels.soft.threshold, perClass, balance, soft = false } = given;
  const classes = textsOf(notes['classes']),
    hasLike = notes['hasLike'] === true;
  const repeated = await findRepeated(parts.count, (visit) =>
    eachRow(parts, ['hash'], signal, ({ hash }) => visit(String(hash))),
  );
  const labelled = async (names: readonly string[], visit: (row: PartRow) => void): Promise<void> => {
    let place = 0;
    await eachRow(parts, ['index', ...names], signal, (row) => {
      if (!repeated.has(place++) && typeof row['index'] === 'number') visit(row);
    });
  };
  const choose = await chooseLabels(
    (visit) =>
      labelled(['confidence', 'unlike'], ({ index, confidence, unlike }) =>
        visit({ label: Number(index), confidence: Number(confidence), isRejected: unlike === true }),
      ),
    classes.length,
    { threshold, perClass, balance },
  );
  const tally = createTally(classes, threshold, hasLike);
  yield* reporting('merging', 'images', (report) =>
    replaceFile(file, async (handle) => {
      const writer = await createPseudoLabelWriter(file, handle, { classes, soft, teachers: teachersIn(notes) });
      let place = 0;
      for await (const { header, rows } of parts.rows(labelColumns.map(({ name }) => name))) {
        signal?.throwIfAborted();
        const labels: PseudoLabel[] = [];
        for (const row of rows) {
          if (repeated.has(place++)) continue;
          const label = labelIn(row, choose);
          tally.add(label, row);
          if (label !== undefined) labels.push({ ...label, path: absolutePlace(header.from, label.path) });
        }
        await writer.add(labels);
        report(place, parts.count);
      }
      tally.assertAccepted();
      await writer.end();
    }),
  );
  for (const message of tally.warnings()) yield { type: 'warning', message };
  const sum = (name: string): number => parts.headers.reduce((all, header) => all + Number(header.notes[name] ?? 0), 0);
  return {
    file,
    soft,
    ...tally.describe(),
    excluded: sum('excluded'),
    repeated: sum('repeated') + repeated.count,
    ...tally.others(),
    seconds: (performance.now() - started) / 1000,
  };
}

/** What a row of a part says of an image; undefined of a file that is none. */
function labelIn(row: PartRow, choose: Chooser): PseudoLabel | undefined {
  const { path, hash, index, confidence, probabilities, unlike } = row;
  if (typeof index !== 'number' || typeof confidence !== 'number') return undefined;
  const copies = choose({ label: index, confidence, isRejected: unlike === true });
  return {
    path: String(path),
    hash: String(hash),
    label: index,
    confidence,
    probabilities: floatsOf(probabilities),
    accepted: copies > 0,
    copies,
  };
}

/** Counts what `pseudoLabel` counts, row after row. */
function createTally(classes: readonly string[], threshold: number, hasLike: boolean) {
  const tally = tallyPseudoLabels({ classes, threshold });
  const undecided = createFinder(),
    unlike = createFinder();
  const unreadable: Unreadable[] = [];
  let accepted = 0,
    best: PseudoLabel | undefined;
  return {
    add(label: PseudoLabel | undefined, row: PartRow): void {
      if (label === undefined) {
        unreadable.push({ path: String(row['path']), reason: String(row['problem']) });
        return;
      }
      tally.add(label, row['unlike'] === true);
      if (label.accepted) accepted++;
      if (best === undefined || label.confidence > best.confidence) best = label;
      if (isUndecided(label.probabilities)) undecided.add(label.path);
      if (row['unlike'] === true) unlike.add(label.path);
    },
    assertAccepted(): void {
      const { total } = tally.describe();
      if (accepted === 0) throw noneAccepted(total, best && { ...best, name: classes[best.label]! }, threshold);
    },
    describe: () => tally.describe(),
    warnings(): string[] {
      const description = tally.describe();
      const { count, paths } = (hasLike ? unlike : undecided).found();
      const outliers = reportOutliers(paths, description.total, hasLike, count);
      return [...(outliers === undefined ? [] : [outliers]), ...warningsOf(classes, description)];
    },
    others: () => ({
      skipped: skippedOf(unreadable),
      undecided: undecided.found(),
      outOfDistribution: hasLike ? unlike.found() : undefined,
    }),
  };
}

/** Counts images and keeps the first of them. */
function createFinder() {
  const paths: string[] = [];
  let count = 0;
  return {
    add(path: string): void {
      if (count++ < firstPaths) paths.push(path);
    },
    found: (): FoundImages => ({ count, paths }),
  };
}
