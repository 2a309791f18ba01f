/** `learn` as an array job: one ladder by several seeds, each the work of one shard, and what they say together. */
import { existsSync, statSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDraft } from '../../drafts.js';
import type { Accuracy, LadderFile, RunConfig, SeedsFile, SeedsRow } from '../../artifact/formats.js';
import { isLock } from '../../artifact/lock.js';
import type { ParquetColumn } from '../../artifact/parquet-writer.js';
import {
  findPart,
  hasPart,
  listParts,
  openParts,
  partFile,
  writePart,
  type PartInputs,
  type PartRow,
} from '../../artifact/parts.js';
import { runFiles } from '../../artifact/run-files.js';
import { tasksFolder } from '../../artifact/tasks.js';
import { createRun, openRun } from '../../artifact/run.js';
import { faultOf } from '../../artifact/schemas.js';
import { hashOfFiles } from '../../data/dataset-hash.js';
import { contentHash, hashFile } from '../../data/read.js';
import { PupilError } from '../../errors.js';
import { meanInterval } from '../../evaluate/metrics.js';
import { Job } from '../../job.js';
import { learnOptions, type LearnOptions, type LearnRequest } from '../../options/jobs.js';
import { omit, savedOptions, type Options } from '../../options/option.js';
import type { Shard, ShardChoice } from '../../options/shards.js';
import { writeReport } from '../../report/report.js';
import { readRequest } from '../../runs/values.js';
import { version } from '../../version.js';
import { openShell, type Shell } from '../job.js';
import { learnWith, type LearnEvent, type LearnResult } from '../learn/learn.js';
import { pastImages } from '../past-images.js';
import { lookEvery } from '../shared-stages.js';
import { helpLadder } from './help.js';
import { assertSameInputs, folderOf, warnOfEngines } from './shard.js';
import { chooseShard } from './which.js';

const command = 'learn';
/** The same as one value: what opens the images, and which options there are. */
const learning = { command, table: learnOptions } as const;

/** A part is the ladder of one seed: a row for each technique. Its run stands beside it. */
const columns = [
  { name: 'seed', type: 'INT32' },
  { name: 'technique', type: 'STRING' },
  { name: 'kept', type: 'BOOLEAN' },
  { name: 'heldOut', type: 'DOUBLE', nullable: true },
  { name: 'reported', type: 'DOUBLE', nullable: true },
  { name: 'seconds', type: 'DOUBLE', nullable: true },
] as const satisfies readonly ParquetColumn[];

export interface LearnShardOptions extends LearnRequest {
  /** How many seeds there are in all, from `seed` on; default: one for each shard. */
  readonly seeds?: number | undefined;
}

/** What a shard of `learn` prints as JSON. */
export interface LearnShardResult {
  readonly shard: Shard;
  /** The folder of parts. */
  readonly folder: string;
  /** The shard's seeds, and those of them that this process trained. */
  readonly seeds: readonly number[];
  readonly trained: readonly number[];
  /** Trainings that it made for seeds that other processes led. */
  readonly helped: number;
  /** Seeds whose parts are there, and those of all shards. */
  readonly done: number;
  readonly planned: number;
  readonly seconds: number;
}

/** What `learn --merge` prints as JSON: the result of the seed that is kept, and what all say. */
export interface LearnMergeResult extends LearnResult {
  readonly seeds: SeedsFile;
}

type Settings = Omit<LearnOptions, 'seed'> & { readonly data?: string | undefined; readonly seed?: number | undefined };

const seedFolder = (folder: string, seed: number): string => join(folder, `seed-${seed}`);

/**
 * Climbs the ladder by the shard's seeds, every n-th of all: each in a run folder `seed-K` below `out`, where it goes
 * on if it was interrupted, and with a part of its own when it is complete. Seeds that another process is at
 * are left to it; `busy` is thrown when the others are done.
 */
export const learnShard = (
  data: string,
  choice: ShardChoice,
  { seeds: count, ...told }: LearnShardOptions,
): Job<LearnEvent, LearnShardResult> =>
  new Job(async function* (signal) {
    const started = performance.now();
    if (told.resume !== undefined)
      throw new PupilError('usage', '`resume` has no use with `shard`: start the shard again, it goes on', {
        option: 'resume',
      });
    const shard = chooseShard(choice),
      folder = folderOf(command, told.out);
    const { first, inputs } = await readInputs(data, { ...told, signal });
    const planned = count ?? shard.count;
    // More shards than seeds share these, each several the folds of one.
    const isShared = shard.count > planned;
    const seeds = Array.from({ length: planned }, (_, k) => first + k).filter((_, k) =>
      isShared ? k === (shard.index - 1) % planned : k % shard.count === shard.index - 1,
    );
    const own = seeds.length === 0 ? 'no seed' : `${seeds.length === 1 ? 'seed' : 'seeds'} ${seeds.join(', ')}`;
    const others = isShared ? ', its trainings shared with other shards' : '';
    yield {
      type: 'note',
      message: `shard ${shard.index} of ${shard.count}: ${own} of ${first} to ${first + planned - 1}${others}`,
    };
    const placeOf = (seed: number): Shard => ({ index: seed - first + 1, count: planned });
    await refuseOthers(folder, inputs);
    const trained: number[] = [];
    let helped = 0;
    let busy: PupilError | undefined;
    for (const seed of seeds) {
      const part = placeOf(seed);
      const before = await findPart(folder, part);
      if (before !== undefined) {
        assertSameInputs(partFile(folder, part), before, inputs);
        continue;
      }
      const work = { folder, seed, part, inputs };
      try {
        if (isShared) {
          const shared = yield* shareSeed(data, { ...told, signal }, work);
          helped += shared.helped;
          if (shared.led) trained.push(seed);
        } else {
          yield* climbSeed(data, { ...told, signal }, work);
          trained.push(seed);
        }
      } catch (error) {
        if (!(error instanceof PupilError) || error.code !== 'busy') throw resumable(error);
        busy = error;
      }
    }
    if (busy !== undefined) throw busy;
    const there = await Promise.all(
      Array.from({ length: planned }, (_, k) => hasPart(folder, { index: k + 1, count: planned })),
    );
    const seconds = (performance.now() - started) / 1000;
    return { shard, folder, seeds, trained, helped, done: there.filter(Boolean).length, planned, seconds };
  }, told);

/** Throws `exists` where a part of the folder was made from other inputs: those of all seeds have to agree. */
async function refuseOthers(folder: string, inputs: PartInputs): Promise<void> {
  const [some] = await listParts(folder).catch(() => []);
  const header = some && (await findPart(folder, some));
  if (header !== undefined) assertSameInputs(partFile(folder, header.shard), header, inputs);
}

/** An interruption with what goes on from there. */
const resumable = (error: unknown): unknown =>
  error instanceof PupilError && error.code === 'interrupted'
    ? new PupilError('interrupted', 'interrupted; start the shard again to go on', { cause: error })
    : error;

/** What decides the results of all seeds, and the first of these. */
async function readInputs(
  data: string,
  told: LearnRequest,
): Promise<{ readonly first: number; readonly inputs: PartInputs }> {
  const scratch = await mkdtemp(join(tmpdir(), 'pupil-learn-'));
  try {
    const options = { ...told, out: join(scratch, 'run') };
    await using opened = await openShell<Settings, LearnOptions>(learning, data, { options, signal: told.signal! });
    return { first: opened.shell.options.seed ?? 0, inputs: await inputsOf(opened.shell) };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function inputsOf({ options, openImages, signal }: Shell<Settings, LearnOptions>): Promise<PartInputs> {
  const { unlabelled, reportOn, skip } = options;
  const { dataset } = await openImages({ unlabelled, reportOn, skip, signal });
  return {
    version,
    teacher: hashOfNetworks(options),
    data: `${dataset.hash} ${hashOfFiles(dataset)}`,
    images: dataset.samples.length,
    options: decisive(options),
  };
}

/** Options that change what is learned, but for the seed and where images lie. */
const decisive = (options: Settings): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(omit(savedOptions(learnOptions, options), ['seed', 'data', 'unlabelled'])).filter(
      ([name]) => (learnOptions as Options)[name]?.machine !== true,
    ),
  );

/** Of the files of all networks that are named. */
function hashOfNetworks({ model, student, teachers = [] }: LearnOptions): string {
  const hashes = [model, student, ...teachers].map((name) => {
    if (name === undefined || !existsSync(name)) return name ?? '';
    const file = statSync(name).isDirectory() ? runFiles.model.in(name) : name;
    return existsSync(file) ? hashFile(file) : name;
  });
  return contentHash(Buffer.from(JSON.stringify(hashes)));
}

interface SeedWork {
  readonly folder: string;
  readonly seed: number;
  /** Where its part goes. */
  readonly part: Shard;
  readonly inputs: PartInputs;
}

/** Milliseconds after which a run that is locked, though nobody leads in it, counts as given up. */
const unled = 180_000;

/**
 * Climbs the ladder by one seed together with other processes: whoever comes first leads, the others make trainings
 * on folds for it, and one of them goes on in its place if it dies. Throws `busy` where that cannot be known.
 */
async function* shareSeed(
  data: string,
  told: LearnRequest & { readonly signal: AbortSignal },
  work: SeedWork,
): AsyncGenerator<LearnEvent, { readonly led: boolean; readonly helped: number }, undefined> {
  const { folder, seed, part, inputs } = work;
  const run = seedFolder(folder, seed);
  const { signal } = told;
  let helped = 0,
    ledAt = performance.now();
  while (!(await hasPart(folder, part))) {
    try {
      yield* climbSeed(data, told, work, { shares: true });
      return { led: true, helped };
    } catch (error) {
      if (!(error instanceof PupilError) || error.code !== 'busy') throw error;
      const config = await runFiles.config.read(run).catch(() => undefined);
      if (config !== undefined) {
        assertSameRun(run, config as RunConfig<Settings>, inputs);
        const made = yield* helpLadder(run, {
          data,
          told: await readRequest<LearnOptions>(learnOptions, told),
          signal,
        });
        helped += made ?? 0;
        if (made !== undefined) ledAt = performance.now();
      }
      if (performance.now() - ledAt > unled) throw error;
      await sleep(lookEvery);
      signal.throwIfAborted();
    }
  }
  return { led: false, helped };
}

/** Climbs the ladder by one seed, or goes on with it, and writes its part. */
async function* climbSeed(
  data: string,
  told: LearnRequest,
  { folder, seed, part, inputs }: SeedWork,
  how: { readonly shares?: boolean } = {},
): AsyncGenerator<LearnEvent, void, undefined> {
  const run = seedFolder(folder, seed);
  if (!(await runFiles.result.exists(run))) {
    const begun = await runFiles.config.read(run);
    if (begun !== undefined) assertSameRun(run, begun as RunConfig<Settings>, inputs);
    // The minutes of a run that goes on are those that it was given first.
    const request: LearnRequest =
      begun === undefined ? { ...told, seed, out: run } : { ...omit(told, ['minutes', 'out']), seed, resume: run };
    try {
      for await (const event of learnWith(data, request, how)) if (event.type !== 'result') yield event;
    } catch (error) {
      // Another process began the same at the same time.
      if (
        error instanceof PupilError &&
        error.code === 'exists' &&
        begun === undefined &&
        (await runFiles.config.exists(run))
      )
        throw new PupilError('busy', `${run}: another process began it just now`, { cause: error });
      throw error;
    }
  }
  const config = (await openRun(run)).config as RunConfig<Settings>;
  assertSameRun(run, config, inputs);
  const ladder = (await runFiles.ladder.read(run))!;
  const header = { command, shard: part, inputs, engine: config.engine ?? 'several' };
  await writePart(folder, header, columns, async (writer) => {
    await writer.add(rowsOf(seed, ladder));
    return { seed, run: relative(folder, run) };
  });
}

/** Throws `exists` for a run of that name which was begun with other options or images. */
function assertSameRun(
  run: string,
  { settings, dataHash, filesHash, versions }: RunConfig<Settings>,
  told: PartInputs,
): void {
  // A run keeps what it was left to choose.
  const chosen = (['model', 'mode'] as const).filter((name) => told.options[name] === undefined);
  assertSameInputs(
    run,
    {
      inputs: {
        ...told,
        version: versions['pupil'] ?? '',
        data: `${dataHash ?? ''} ${filesHash ?? ''}`,
        options: omit(decisive(settings), chosen),
      },
    },
    told,
  );
}

const rowsOf = (seed: number, { rungs }: LadderFile): PartRow[] =>
  rungs.map(({ name, kept, selection, test, seconds }) => ({
    seed,
    technique: name,
    kept,
    heldOut: selection?.top1 ?? null,
    reported: test?.top1 ?? null,
    seconds: seconds ?? null,
  }));

/**
 * Makes of the parts in a folder one run: that of the seed which is best on held-out labels, with what each technique
 * brought over all seeds (`seeds.json`). Throws `not-found` where seeds are missing, `bad-data` where
 * parts do not belong together.
 */
export const mergeLearn = (
  folder: string,
  { out, signal: given }: Pick<LearnRequest, 'out' | 'signal'>,
): Job<LearnEvent, LearnMergeResult> =>
  new Job(
    async function* () {
      await using parts = await openParts(folder, command, {
        of: 'seeds',
        nameOf: (index, { notes, shard }) => Number(notes['seed']) + index - shard.index,
      });
      yield* warnOfEngines(parts.headers);
      const rows: PartRow[] = [];
      for await (const { rows: some } of parts.rows(columns.map(({ name }) => name))) rows.push(...some);
      const places = new Map(
        parts.headers.map(({ notes }) => [Number(notes['seed']), join(folder, String(notes['run']))] as const),
      );
      const ladders = new Map<number, LearnResult>();
      for (const [seed, place] of places) ladders.set(seed, await resultIn(place));
      const [kept] = [...ladders].reduce((best, one) => (heldOutOf(one[1]) > heldOutOf(best[1]) ? one : best));
      const seeds: SeedsFile = { seeds: [...ladders.keys()], kept, techniques: techniquesOf(rows) };
      const fault = faultOf('seeds', seeds);
      if (fault !== undefined) throw new PupilError('bad-data', `${folder}: no parts of pupil learn (${fault})`);
      const from = places.get(kept)!;
      const run = await createRun(out, command, (await openRun(from)).config);
      try {
        const own: readonly string[] = [runFiles.config.name, runFiles.result.name];
        await cp(from, run.path, {
          recursive: true,
          filter: (path) => {
            const name = relative(from, path);
            return !own.includes(name) && name !== tasksFolder && !isLock(name) && !isDraft(name);
          },
        });
        await runFiles.seeds.write(run.path, seeds);
        const result = { ...ladders.get(kept)!, run: run.path, model: runFiles.model.in(run.path), seeds };
        await writeReport(run.path, { readImage: await pastImages(run), seconds: result.seconds });
        await runFiles.result.write(run.path, result);
        return result;
      } finally {
        await run.close();
      }
    },
    { signal: given },
  );

async function resultIn(run: string): Promise<LearnResult> {
  const result = await runFiles.result.read(run);
  if (result !== undefined) return result as LearnResult;
  throw new PupilError(
    'not-found',
    `${run}: the run of a part is gone or not complete; delete its part and do it again`,
    {
      option: 'merge',
    },
  );
}

const heldOutOf = ({ best }: LearnResult): number => best.top1 ?? -Infinity;

/** What each technique brought, in the order of the first seed that tried it. */
function techniquesOf(rows: readonly PartRow[]): SeedsRow[] {
  const names = [...new Set(rows.map(({ technique }) => String(technique)))];
  return names.map((name) => {
    const own = rows.filter(({ technique }) => technique === name);
    return {
      name,
      kept: own.filter(({ kept }) => kept === true).length,
      selection: meanOf(own.map(({ heldOut }) => heldOut)),
      test: meanOf(own.map(({ reported }) => reported)),
      seconds: meanOf(own.map(({ seconds }) => seconds))?.top1 ?? 0,
    };
  });
}

/** The mean over the seeds that measured it; `count`: these. */
function meanOf(values: readonly unknown[]): Accuracy | undefined {
  const numbers = values.filter((value): value is number => typeof value === 'number');
  if (numbers.length === 0) return undefined;
  const { mean, interval } = meanInterval(numbers);
  return { top1: mean, interval: Number.isNaN(interval) ? undefined : interval, count: numbers.length };
}
