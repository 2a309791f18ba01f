/** What all jobs with a run folder share: they begin, stop and end alike. */
import { readdir, rm } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import type { RunResult } from '../artifact/formats.js';
import { runFiles } from '../artifact/run-files.js';
import type { Dataset } from '../data/sample.js';
import { asyncDispose } from '../dispose.js';
import { PupilError } from '../errors.js';
import { Job } from '../job.js';
import { assertStartedAlone } from '../parallel/join.js';
import { alone, type Ranks } from '../parallel/ranks.js';
import type { Options as Table } from '../options/option.js';
import { openForRun, type OpenRun, type RunOptions } from '../runs/open.js';
import { joinAlike } from '../runs/ranks.js';
import { readRequest, type WithValues } from '../runs/values.js';
import { keepingWarnings } from '../runs/warnings.js';
import { beginWorkTime, type WorkTime } from '../runs/work-time.js';

/** What the work of a job begins with. */
export interface Shell<Settings, Options = unknown> extends OpenRun<Settings, Options> {
  readonly command: string;
  readonly signal: AbortSignal;
  /** Those that do it together, of which this one leads. */
  readonly ranks: Ranks;
  /** Seconds since it began. */
  elapsed(): number;
  /** How long it has been at work, where it was kept also in sessions before. */
  readonly worked: WorkTime;
  /** Has something done when the job ends, however it does. */
  closing(close: () => Promise<void>): void;
}

/** A result as the work gives it; the run and its seconds are added. */
type Outcome<Result> = Omit<Result, keyof RunResult> & Partial<RunResult>;

/** How several ranks do a job. */
export interface Together<Options, Event, Result> {
  /** What all but the first do, which does the work; gives the first one's result. */
  follow(ranks: Ranks, data: string | Dataset | undefined, options: Options): AsyncGenerator<Event, Result, undefined>;
  /** The first tells them its result. */
  end(ranks: Ranks, result: Result): Promise<unknown>;
}

export interface Command<Options, Event, Result> {
  readonly command: string;
  readonly table: Table;
  /** Without it the job is that of one process. */
  readonly together?: Together<Options, Event, Result>;
}

/**
 * A job of a command: opens its run, does the work and, last of all, writes `result.json`. Only one
 * process at a time works in a run folder.
 */
export function job<
  Settings extends { readonly data?: string | undefined },
  Options extends RunOptions & { readonly signal?: AbortSignal | undefined },
  Event,
  Result extends RunResult,
>(
  { command, table, together }: Command<Options, Event, Result>,
  data: string | Dataset | undefined,
  options: WithValues<Options>,
  work: (shell: Shell<Settings, Options>) => AsyncGenerator<Event, Outcome<Result>, undefined>,
): Job<Event, Result> {
  return new Job(
    async function* (signal) {
      if (!together) return yield* lead(alone, signal);
      const ranks = await joinAlike(command, options, signal);
      const all = AbortSignal.any([signal, ranks.signal]);
      try {
        const result = ranks.leads
          ? yield* lead(ranks, all)
          : yield* together.follow(ranks, data, { ...(await readRequest<Options>(table, options)), signal: all });
        if (ranks.leads) await together.end(ranks, result);
        await ranks.end();
        return result;
      } catch (error) {
        return await ranks.fail(error);
      }
    },
    options as { readonly signal?: AbortSignal | undefined },
  );
  async function* lead(ranks: Ranks, signal: AbortSignal): AsyncGenerator<Event, Result, undefined> {
    const opened = await openShell<Settings, Options>({ command, table }, data, { options, signal, ranks });
    const { shell } = opened;
    let wrong = false;
    try {
      const outcome = yield* keepingWarnings(work(shell));
      const { path } = shell.run!;
      const result = { ...outcome, run: path, seconds: outcome.seconds ?? shell.worked.seconds() } as unknown as Result;
      await runFiles.result.write(path, result);
      await shell.worked.drop(path);
      return result;
    } catch (error) {
      wrong = error instanceof PupilError && error.code !== 'interrupted' && error.code !== 'crashed';
      throw error;
    } finally {
      await opened.close();
      if (wrong && !shell.resumed && shell.run) await dropUnused(shell.run.path);
    }
  }
}

interface OpenShell<Settings, Options> extends AsyncDisposable {
  readonly shell: Shell<Settings, Options>;
  close(): Promise<void>;
}

/** What the work of a command begins with, until it is closed. */
export async function openShell<
  Settings extends { readonly data?: string | undefined },
  Options extends RunOptions & { readonly signal?: AbortSignal | undefined },
>(
  { command, table }: { readonly command: string; readonly table: Table },
  data: string | Dataset | undefined,
  {
    options,
    signal,
    ranks = alone,
  }: { readonly options: WithValues<Options>; readonly signal: AbortSignal; readonly ranks?: Ranks },
): Promise<OpenShell<Settings, Options>> {
  if (ranks.size === 1) assertStartedAlone(command);
  const started = performance.now();
  const opened = await openForRun<Settings, Options>({ command, table, options, data });
  const closes: (() => Promise<void>)[] = [];
  const shell = Object.assign(opened, {
    command,
    signal,
    ranks,
    elapsed: () => (performance.now() - started) / 1000,
    worked: await beginWorkTime(opened.resumed?.path),
    closing: (close: () => Promise<void>) => void closes.push(close),
  });
  const close = async (): Promise<void> => {
    for (const one of closes) await one();
    await opened.close();
  };
  return { shell, close, [asyncDispose]: close };
}

/** Removes a run that ended before it did anything: it could only end so again, and its name is free. */
async function dropUnused(path: string): Promise<void> {
  const names = await readdir(path).catch(() => []);
  const written: readonly string[] = [runFiles.config.name, runFiles.workTime.name];
  if (names.every((name) => written.includes(name))) await rm(path, { recursive: true, force: true });
}
