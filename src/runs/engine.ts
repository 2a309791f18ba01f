import type { Run } from '../artifact/run.js';
import type { Engine, Precision } from '../engine/engine.js';
import { openEngine, type Purpose, type RanOn } from '../engine/index.js';
import type { Graph } from '../graph/graph.js';
import { PupilError } from '../errors.js';

/** What is known of the engine of an earlier part of a run. */
export interface RanBefore {
  /** The run, for messages. */
  readonly path: string;
  /** The engine in words, with its version. */
  readonly engine: string;
  /** Runs of before oneDNN do not say. */
  readonly ranOn?: RanOn | undefined;
  /** What it timed. */
  readonly choices: Readonly<Record<string, unknown>> | undefined;
}

/** That of a run folder, from its `run.json` and `choices.json`. */
export async function ranBefore(run: Run): Promise<RanBefore> {
  const { engine, ranOn } = run.config as { engine: string; ranOn?: RanOn };
  return { path: run.path, engine, ranOn, choices: await run.readJson<Record<string, unknown>>('choices.json') };
}

export interface RunEngineOptions {
  readonly engine: string;
  readonly precision?: Precision;
  readonly threads: number | undefined;
  readonly purpose?: Purpose;
  readonly graphs?: () => readonly Graph[];
  /** What the run to go on with ran on. */
  readonly before?: RanBefore | undefined;
}

/** An engine for a run, and what is said of it. */
export interface RunEngine {
  readonly engine: Engine;
  /** For the plan: which it is, and why no faster one. */
  readonly line: string;
  readonly ranOn: RanOn;
  /** Where a resumed run does not go on as it began: what changed. */
  readonly warning: string | undefined;
}

/**
 * Starts the engine of a run. A resumed run goes on with the engine and the precision that it began
 * with, unless it is told another; throws `unsupported` where these are not here any more, saying
 * how to go on.
 */
export async function openRunEngine({
  engine: name,
  precision,
  threads,
  purpose,
  graphs,
  before,
}: RunEngineOptions): Promise<RunEngine> {
  const was = before && ranOnOf(before),
    isSame = was !== undefined && (name === 'auto' || name === was.name);
  const pinned: Precision | undefined =
    isSame && (precision === undefined || precision === 'auto') ? was.precision : precision;
  const { engine, line } = await openEngine(isSame ? was.name : name, {
    ...(pinned && { precision: pinned }),
    ...(threads !== undefined && { threads }),
    ...(purpose && { purpose }),
    ...(graphs && !isSame && { graphs }),
    ...(isSame && before?.choices && { choices: before.choices }),
  }).catch((error: unknown) => {
    if (!(isSame && error instanceof PupilError && error.code === 'unsupported')) throw error;
    throw new PupilError(
      'unsupported',
      `--resume ${before!.path}: it ran on ${before!.engine}, which cannot go on here (${error.message}); ` +
        'its state fits any engine: --engine ort --precision f32 goes on with other rounding',
      { cause: error },
    );
  });
  const warning =
    before && before.engine !== engine.description
      ? `the run began on ${before.engine} and goes on on ${engine.description}: its numbers will differ in rounding`
      : undefined;
  return { engine, line, ranOn: { name: engine.name, precision: engine.precision }, warning };
}

const ranOnOf = ({ engine, ranOn }: RanBefore): RanOn =>
  ranOn ?? { name: engine.startsWith('oneDNN') ? 'onednn' : 'ort', precision: 'f32' };
