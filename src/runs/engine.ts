import type { Run } from '../artifact/run.js';
import { runFiles } from '../artifact/run-files.js';
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
  readonly ranOn: RanOn;
  /** What it timed. */
  readonly choices: Readonly<Record<string, unknown>> | undefined;
}

/** That of a run folder, from its `run.json` and `choices.json`. */
export async function ranBefore(run: Run): Promise<RanBefore> {
  const { engine, ranOn } = run.config as { engine: string; ranOn: RanOn };
  return { path: run.path, engine, ranOn, choices: await runFiles.choices.read(run.path) };
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
  const was = before?.ranOn,
    isSame = was !== undefined && (name === 'auto' || name === was.name);
  const pinned: Precision | undefined =
    isSame && (precision === undefined || precision === 'auto') ? was.precision : precision;
  const { engine, line } = await openEngine(isSame ? was.name : name, {
    precision: pinned,
    threads,
    purpose,
    graphs: isSame ? undefined : graphs,
    choices: isSame ? before?.choices : undefined,
  }).catch((error: unknown) => {
    if (!(isSame && error instanceof PupilError && error.code === 'unsupported')) throw error;
    throw new PupilError(
      'unsupported',
      `${before!.path} ran on ${before!.engine}, which cannot go on here (${error.message}); ` +
        'its state fits any engine: `engine: ort` and `precision: f32` go on with other rounding',
      { cause: error, option: 'resume' },
    );
  });
  const warning =
    before && before.engine !== engine.description
      ? `the run began on ${before.engine} and goes on on ${engine.description}: its numbers will differ in rounding`
      : undefined;
  return { engine, line, ranOn: { name: engine.name, precision: engine.precision }, warning };
}
