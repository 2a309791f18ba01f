/** `search` as an array job: what a shard trains, and what becomes of the parts. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { HalvingPlan, Measurement, RunConfig, SearchFile } from '../../artifact/formats.js';
import type { ParquetColumn } from '../../artifact/parquet-writer.js';
import {
  differenceOf,
  findPart,
  hasPart,
  listParts,
  openParts,
  partFile,
  writePart,
  type PartHeader,
  type PartInputs,
} from '../../artifact/parts.js';
import { runFiles } from '../../artifact/run-files.js';
import { createRun } from '../../artifact/run.js';
import { faultOf } from '../../artifact/schemas.js';
import { counted } from '../../data/dataset.js';
import { hashOfFiles } from '../../data/dataset-hash.js';
import { invariant, PupilError } from '../../errors.js';
import { shownPlaces } from '../../http/address.js';
import { Job } from '../../job.js';
import { hashOfModel } from '../../models/hash.js';
import { searchOptions, type SearchRequest } from '../../options/jobs.js';
import type { Options } from '../../options/option.js';
import type { Shard, ShardChoice } from '../../options/shards.js';
import { version } from '../../version.js';
import { openShell } from '../job.js';
import { pending, totalOf, type Training } from '../search/halving.js';
import { resultOf, writeOutcome, type SearchResult } from '../search/outcome.js';
import {
  assertConverged,
  beginSearch,
  progressOf,
  searchCommand,
  trainerOf,
  withSearch,
  type SearchEvent,
  type SearchWork,
} from '../search/search.js';
import type { SearchOptions, SearchSettings } from '../search/settings.js';
import type { Trainer } from '../search/trainer.js';
import { assertSameInputs, folderOf, warnOfEngines } from './shard.js';
import { chooseShard } from './which.js';

const command = 'search';

/** A part is one training. Beside it stand the plan of the search and what its run.json will say. */
const columns = [
  { name: 'cell', type: 'INT32' },
  { name: 'rung', type: 'INT32' },
  { name: 'seed', type: 'INT32' },
  { name: 'top1', type: 'DOUBLE' },
  { name: 'loss', type: 'DOUBLE', nullable: true },
  { name: 'right', type: 'STRING' },
  { name: 'seconds', type: 'DOUBLE' },
] as const satisfies readonly ParquetColumn[];

/** What a shard of a search prints as JSON. */
export interface SearchShardResult {
  readonly shard: Shard;
  /** The folder of parts. */
  readonly folder: string;
  /** Trainings that this process did; those whose parts are there; those of the whole search. */
  readonly trained: number;
  readonly done: number;
  readonly planned: number;
  /** The first stage, from 1, that other shards have to complete; null where nothing is left. */
  readonly waitsFor: number | null;
  readonly stages: number;
  readonly seconds: number;
}

/** The trainings of a stage of halving, in order, and which of them (from 0) have no part. */
interface Stage {
  readonly folder: string;
  readonly trainings: readonly Training[];
  readonly missing: readonly number[];
}

/** What was measured in all complete stages, and the first that is not complete. */
interface Standing {
  readonly measured: readonly Measurement[];
  readonly stage: Stage | undefined;
  readonly headers: readonly PartHeader[];
}

const stageFolder = (folder: string, rung: number): string => join(folder, `stage-${rung + 1}`);

/**
 * Trains one shard's share of a search: of each stage every n-th training, each with a part of its own in
 * the folder `out`. A stage begins when the one before is complete; where others have not done
 * theirs yet, the shard ends, and goes on when it is started again.
 */
export const searchShard = (
  data: string,
  choice: ShardChoice,
  told: SearchRequest,
): Job<SearchEvent, SearchShardResult> =>
  new Job(async function* (signal) {
    refuse(told);
    const shard = chooseShard(choice),
      folder = folderOf(command, told.out);
    // What a training leaves in its run folder is of no use to others.
    const scratch = await mkdtemp(join(tmpdir(), 'pupil-search-'));
    try {
      const options = { ...told, out: join(scratch, 'run'), signal };
      await using opened = await openShell<SearchSettings, SearchOptions>(searchCommand, data, { options, signal });
      const outcome = yield* withSearch(opened.shell, (work) => trainShard(work, { shard, folder }));
      return { shard, folder, ...outcome, seconds: opened.shell.elapsed() };
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }, told);

function refuse({ resume, minutes }: SearchRequest): void {
  const [name, why] =
    resume !== undefined
      ? ['resume', 'start the shard again, it goes on']
      : minutes !== undefined
        ? ['minutes', 'every shard does all of its trainings']
        : [];
  if (name !== undefined)
    throw new PupilError('usage', `\`${name}\` has no use with \`shard\`: ${why}; leave it out`, { option: name });
}

type ShardOutcome = Pick<SearchShardResult, 'trained' | 'done' | 'planned' | 'waitsFor' | 'stages'>;

const outcomeOf = (plan: HalvingPlan, { measured, stage }: Standing, trained: number): ShardOutcome => ({
  trained,
  done: measured.length + (stage === undefined ? 0 : stage.trainings.length - stage.missing.length),
  planned: totalOf(plan).trainings,
  waitsFor: stage === undefined ? null : stage.trainings[0]!.rung + 1,
  stages: plan.rungs.length,
});

/** Places of a shard's trainings that have no part. */
const ownOf = ({ index, count }: Shard, { stage }: Standing): number[] =>
  (stage?.missing ?? []).filter((place) => place % count === index - 1);

/** Does what the shard can do now. */
async function* trainShard(
  work: SearchWork,
  { shard, folder }: { readonly shard: Shard; readonly folder: string },
): AsyncGenerator<SearchEvent, ShardOutcome, undefined> {
  const inputs = inputsOf(work);
  const before = await findFirst(folder);
  if (before !== undefined) {
    assertSameInputs(before.file, before.header, inputs);
    const { plan } = notesOf(before).search;
    const standing = await standingOf(folder, plan, inputs);
    if (ownOf(shard, standing).length === 0) return outcomeOf(plan, standing, 0);
  }
  const begun = yield* beginSearch(work);
  const { plan } = begun.state;
  yield { type: 'plan', run: begun.run.path, lines: begun.lines };
  const trainer = yield* trainerOf(work, begun);
  let standing = await standingOf(folder, plan, inputs),
    trained = 0;
  try {
    for (let own = ownOf(shard, standing); own.length > 0; own = ownOf(shard, standing)) {
      let { measured } = standing;
      for (const place of own) {
        work.shell.signal.throwIfAborted();
        const { folder: where, trainings } = standing.stage!;
        const part = { index: place + 1, count: trainings.length };
        if (await hasPart(where, part)) continue; // another process was faster
        const training = trainings[place]!;
        const state = { ...begun.state, measured };
        const measurement = yield* trainOne(work, state, training, trainer);
        await writePart(where, { command, shard: part, inputs, engine: begun.engine }, columns, async (writer) => {
          await writer.add([{ ...measurement }]);
          return { search: begun.state, config: begun.run.config } satisfies PartNotes;
        });
        trained++;
        measured = [...measured, measurement];
        const { top1, loss, seconds } = measurement;
        const now = progressOf(work.cells, { ...state, measured }, training);
        yield { type: 'cell-done', ...now, top1, loss, seconds };
      }
      standing = await standingOf(folder, plan, inputs);
    }
  } catch (error) {
    if (!work.shell.signal.aborted) throw error;
    const saved = `interrupted; ${counted(trained, 'finished training')} saved; start the shard again to go on`;
    throw new PupilError('interrupted', saved, { cause: error });
  }
  return outcomeOf(plan, standing, trained);
}

async function* trainOne(
  { cells }: SearchWork,
  state: SearchFile,
  training: Training,
  trainer: Trainer,
): AsyncGenerator<SearchEvent, Measurement, undefined> {
  const epochs = state.plan.rungs[training.rung]!;
  yield { type: 'cell', ...progressOf(cells, state, training), epochs };
  const began = performance.now();
  const score = yield* trainer(cells[training.cell]!, training, epochs, () => false);
  invariant(score, 'a training without a limit of time was cut short');
  return { ...training, ...score, seconds: (performance.now() - began) / 1000 };
}

/** What decides the result of every training. */
const inputsOf = ({ settings, model, checked: { dataset } }: SearchWork): PartInputs => ({
  version,
  teacher: hashOfModel(model),
  data: `${dataset.hash} ${hashOfFiles(dataset)}`,
  images: dataset.samples.length,
  options: Object.fromEntries(
    Object.entries(shownPlaces(settings)).filter(
      ([name, value]) => value !== undefined && name !== 'data' && (searchOptions as Options)[name]?.machine !== true,
    ),
  ),
});

/** What stands beside a training in its part. */
interface PartNotes extends Readonly<Record<string, unknown>> {
  /** The search as it begins. */
  readonly search: SearchFile;
  readonly config: RunConfig;
}

interface FoundPart {
  readonly file: string;
  readonly header: PartHeader;
}

/** A part of the first stage; undefined where there is none. */
async function findFirst(folder: string): Promise<FoundPart | undefined> {
  const stage = stageFolder(folder, 0);
  for (const place of await listParts(stage).catch(() => [])) {
    const header = await findPart(stage, place);
    if (header !== undefined) return { file: partFile(stage, place), header };
  }
  return undefined;
}

/** Throws `bad-data` for notes that no search wrote. */
function notesOf({ file, header: { command: made, notes } }: FoundPart): PartNotes {
  const config = notes['config'] as RunConfig | undefined;
  const fault =
    made === command
      ? (faultOf('search', notes['search']) ?? faultOf('searchSettings', config?.settings))
      : `it is one of pupil ${made}`;
  if (fault !== undefined || config === undefined)
    throw new PupilError('bad-data', `${file}: no part of a search (${fault}); give the folder of one`, {
      option: 'merge',
    });
  return { search: notes['search'] as SearchFile, config };
}

/** Where a search stands, from its parts alone. Throws `bad-data` for parts that do not belong together. */
async function standingOf(folder: string, plan: HalvingPlan, inputs: PartInputs): Promise<Standing> {
  let measured: readonly Measurement[] = [];
  const headers: PartHeader[] = [];
  for (;;) {
    const trainings = pending(plan, measured);
    if (trainings.length === 0) return { measured, stage: undefined, headers };
    const at = stageFolder(folder, trainings[0]!.rung);
    const isThere = await Promise.all(
      trainings.map((_, place) => hasPart(at, { index: place + 1, count: trainings.length })),
    );
    const missing = trainings.map((_, place) => place).filter((place) => !isThere[place]);
    if (missing.length > 0) return { measured, stage: { folder: at, trainings, missing }, headers };
    const stage = await readStage(at, trainings, inputs);
    headers.push(...stage.headers);
    measured = [...measured, ...stage.measured];
  }
}

async function readStage(
  folder: string,
  trainings: readonly Training[],
  inputs: PartInputs,
): Promise<Pick<Standing, 'headers' | 'measured'>> {
  await using parts = await openParts(folder, command);
  const { headers } = parts;
  const difference = differenceOf(inputs, headers[0]!.inputs);
  if (difference !== undefined)
    throw new PupilError('bad-data', `${folder}: made ${difference}, unlike the stage before; delete it`);
  const measured: Measurement[] = [];
  for await (const { rows } of parts.rows(columns.map(({ name }) => name)))
    measured.push(...rows.map((row) => ({ ...row }) as unknown as Measurement));
  const isPlanned = (one: Measurement, place: number): boolean => {
    const { cell, rung, seed } = trainings[place]!;
    return one.cell === cell && one.rung === rung && one.seed === seed;
  };
  if (measured.length !== trainings.length || !measured.every(isPlanned))
    throw new PupilError(
      'bad-data',
      `${folder}: holds other trainings than those that follow from the stage before, which was done again; delete it`,
    );
  return { headers, measured };
}

/**
 * Makes of the parts in a folder the run that `search` makes in one process: its ranking, pictures and page.
 * Throws `not-found` where trainings are missing.
 */
export const mergeSearch = (
  folder: string,
  { out, signal: given }: Pick<SearchRequest, 'out' | 'signal'>,
): Job<SearchEvent, SearchResult> =>
  new Job(
    async function* () {
      const first = await findFirst(folder);
      if (first === undefined)
        throw new PupilError(
          'not-found',
          `${folder}: no parts of a search there; do the shards first, with \`shard: 1/n\` and on`,
          { option: 'merge' },
        );
      const { search: begun, config } = notesOf(first);
      const { measured, stage, headers } = await standingOf(folder, begun.plan, first.header.inputs);
      if (stage !== undefined) throw unfinished(stage, begun.plan);
      yield* warnOfEngines(headers);
      const settings = config.settings as SearchSettings;
      const state = { ...begun, measured };
      const run = await createRun(out, command, config);
      try {
        await run.updateConfig({
          ...config,
          begun: { folder: config.begun?.folder ?? resolve('.'), run: run.path },
        });
        await runFiles.search.write(run.path, state);
        await writeOutcome(run, settings, state);
        assertConverged(state);
        const seconds = measured.reduce((sum, one) => sum + one.seconds, 0);
        const result = resultOf(run, settings, state, seconds);
        await runFiles.result.write(run.path, result);
        return result;
      } finally {
        await run.close();
      }
    },
    { signal: given },
  );

const unfinished = ({ folder, trainings, missing }: Stage, { rungs }: HalvingPlan): PupilError =>
  new PupilError(
    'not-found',
    `${folder}: stage ${trainings[0]!.rung + 1} of ${rungs.length} lacks ${missing.length} of ` +
      `${counted(trainings.length, 'training')}; start the shards again, and merge when they have ended`,
    { option: 'merge' },
  );
