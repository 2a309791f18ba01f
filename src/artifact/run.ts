import { createHash } from 'node:crypto';
import { appendFile, open, readFile, readdir, rm, stat, truncate } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isDraft, sweepDrafts } from '../drafts.js';
import { errorAbout, PupilError } from '../errors.js';
import { makeFolder, writeError } from './files.js';
import type { RunConfig } from './formats.js';
import { isLock, lockFolder, type Lock } from './lock.js';
import { isTooDeep } from './nesting.js';
import { runFiles } from './run-files.js';

/**
 * A run folder: what run-files.ts lists, `metrics.jsonl` (one record a line), TensorBoard events and
 * `checkpoints/`. Created only once everything was checked; an existing run is never overwritten.
 */
export interface Run<Settings = unknown> {
  readonly path: string;
  readonly checkpoints: string;
  /** Resolved configuration and provenance as saved in `run.json`. */
  readonly config: RunConfig<Settings>;
  /** A path inside the folder. */
  file(name: string): string;
  /** Appends a record to metrics.jsonl. Throws `busy` where another process has taken over. */
  log(record: Readonly<Record<string, unknown>>): Promise<void>;
  /** metrics.jsonl so far, now safe on the disk: saved in checkpoints, so that resuming can drop what came after. */
  metricsMark(): Promise<MetricsMark>;
  /** Throws `bad-data` unless metrics.jsonl begins as it was at a checkpoint. */
  checkMetrics(mark: MetricsMark): Promise<void>;
  /** Cuts metrics.jsonl back to so many bytes. */
  truncateMetrics(size: number): Promise<void>;
  /** Writes `run.json` again, after a resumed run went on elsewhere. */
  updateConfig(config: RunConfig<Settings>): Promise<void>;
  /** Lets other processes work in the folder again. */
  close(): Promise<void>;
}

/** What metrics.jsonl was at some time. */
export interface MetricsMark {
  readonly bytes: number;
  readonly sha256: string;
}

/** One record a line. */
export const metricsFile = 'metrics.jsonl';

const checkpointsIn = (run: string): string => join(run, 'checkpoints');

/** Removes the checkpoints of a run that has its result and will not go on. */
export const dropCheckpoints = (run: string): Promise<void> => rm(checkpointsIn(run), { recursive: true, force: true });

/**
 * A training of several in a run: its checkpoints lie in a folder of their own below the run's, and go with them
 * (`dropCheckpoints`). The metrics are the run's, and stay as they are where it goes on: it logs none.
 */
export const trainingIn = (run: Run, name: string): Run => ({
  ...run,
  checkpoints: join(run.checkpoints, name),
  truncateMetrics: () => Promise.resolve(),
});

const markOf = (bytes: Buffer): MetricsMark => ({
  bytes: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
});

function runAt<Settings>(path: string, config: RunConfig<Settings>, lock?: Lock): Run<Settings> {
  const metrics = join(path, metricsFile);
  const size = async (): Promise<number> => (await stat(metrics).catch(() => undefined))?.size ?? 0;
  const guarded = async (what: Promise<void>, target: string): Promise<void> => {
    try {
      await what;
    } catch (error) {
      throw writeError(target, error);
    }
  };
  return {
    path,
    config,
    checkpoints: checkpointsIn(path),
    file: (name) => join(path, name),
    async log(record) {
      lock?.assertHeld();
      await guarded(appendFile(metrics, JSON.stringify(record) + '\n'), metrics);
    },
    async metricsMark() {
      lock?.assertHeld();
      const handle = await open(metrics, 'a').catch((error: unknown) => {
        throw writeError(metrics, error);
      });
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
      return markOf(await readFile(metrics));
    },
    async checkMetrics({ bytes, sha256 }) {
      const found = await readFile(metrics).catch(() => Buffer.alloc(0));
      if (markOf(found.subarray(0, bytes)).sha256 === sha256) return;
      const what = found.length < bytes ? `has ${found.length} bytes of ${bytes}` : 'was edited';
      throw new PupilError('bad-data', `${metrics} ${what}; restore it, or start a new run`, { option: 'resume' });
    },
    async truncateMetrics(bytes) {
      if ((await size()) > bytes) await guarded(truncate(metrics, bytes), metrics);
    },
    async updateConfig(changed) {
      lock?.assertHeld();
      await writeConfig(path, changed);
    },
    close: async () => lock?.release(),
  };
}

/**
 * Whether a folder can become a run: it does not exist, is empty, or holds only what a process left
 * that was killed before there was a run.json.
 */
async function isFree(path: string): Promise<boolean> {
  try {
    return (await readdir(path)).every((name) => isDraft(name) || isLock(name));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return true;
    if (code === 'ENOTDIR') return false;
    throw writeError(path, error);
  }
}

/** The command that makes a run, and whether one that was interrupted can go on. */
export interface Maker {
  readonly command: string;
  readonly isResumable: boolean;
}

/**
 * Throws `exists` unless a run can be made at `out`. Without `resume`, a run of the command that has
 * no result begins anew.
 */
export async function assertFree(out: string, { command, isResumable }: Maker): Promise<void> {
  const path = resolve(out);
  if (await isFree(path)) return;
  const config = await runFiles.config.read(path).catch(() => undefined);
  const isOwn = config?.command === command;
  if (isOwn && !isResumable && !(await runFiles.result.exists(path))) return;
  const next = isOwn && isResumable ? `, or continue it with \`resume: ${out}\`` : '';
  throw new PupilError('exists', `${out} already exists; choose another \`out\`${next}`, { option: 'out' });
}

/**
 * Makes a run folder at `out`, or the first free `runs/NAME-1`, `runs/NAME-2`... below the working
 * directory, in which no other process may work until it is closed. Throws `exists` when `out`
 * holds something, `io` when it cannot be written.
 */
export async function createRun<Settings>(
  out: string | undefined,
  name: string,
  config: RunConfig<Settings>,
  isResumable = true,
): Promise<Run<Settings>> {
  const maker = { command: config.command, isResumable };
  if (out !== undefined) {
    await assertFree(out, maker);
    return createAt(resolve(out), config, maker);
  }
  const parent = resolve('runs');
  await makeFolder(parent);
  for (let i = 1; ; i++) {
    const path = join(parent, `${name}-${i}`);
    if (!(await isFree(path))) continue;
    const run = await createAt(path, config, maker).catch((error: unknown) => {
      if (error instanceof PupilError && (error.code === 'busy' || error.code === 'exists')) return undefined;
      throw error;
    });
    if (run) return run;
  }
}

/** The lock decides between two processes that come at once. */
async function createAt<Settings>(path: string, config: RunConfig<Settings>, maker: Maker): Promise<Run<Settings>> {
  await makeFolder(path);
  const lock = await lockFolder(path);
  const placed = { ...config, begun: { folder: resolve('.'), run: path } };
  try {
    await sweepDrafts(path);
    await assertFree(path, maker);
    await writeConfig(path, placed);
  } catch (error) {
    await lock.release();
    throw error;
  }
  return runAt(path, placed, lock);
}

const withoutChecksum = ({ checksum: _, ...config }: RunConfig): RunConfig => config;

/** Of what JSON keeps of a configuration, without its own checksum. */
const checksumOf = (config: RunConfig): string =>
  createHash('sha256')
    .update(JSON.stringify(withoutChecksum(config)))
    .digest('hex');

/** Whether a configuration is as it was written; without a checksum it is from elsewhere, and nothing is known. */
const stateOf = (config: RunConfig): 'as written' | 'edited' | 'unknown' =>
  config.checksum === undefined ? 'unknown' : config.checksum === checksumOf(config) ? 'as written' : 'edited';

const writeConfig = (path: string, config: RunConfig): Promise<void> =>
  runFiles.config.write(path, { ...config, checksum: checksumOf(config) });

/**
 * What to know of a run to look at, whose run.json no longer is as it was written; undefined: it is. Throws `bad-data`
 * for one that is no run's.
 */
export async function editedSince(path: string): Promise<string | undefined> {
  const config = await readConfig(path, resolve(path));
  if (typeof config.command !== 'string')
    throw new PupilError(
      'bad-data',
      `${runFiles.config.in(path)} does not say which command made the run; restore it, or start again in another ` +
        'folder',
    );
  return stateOf(config) === 'edited'
    ? `${runFiles.config.in(path)} was edited after it was written: what is said of settings may not be what was run`
    : undefined;
}

/**
 * Opens an existing run to look at it. Throws `not-found` when the folder is no run, `bad-data` when
 * its `run.json` is damaged.
 */
export async function openRun(path: string): Promise<Run> {
  const folder = resolve(path);
  return runAt(folder, withoutChecksum(await readConfig(path, folder)));
}

/**
 * Opens an existing run to go on with it, alone until it is closed, and removes what a process left
 * that was killed in it. Throws also `busy`.
 */
export async function resumeRun(path: string): Promise<Run> {
  const folder = resolve(path);
  // A folder that is no run is not written to.
  const config = await readConfig(path, folder).catch((error: unknown) => {
    throw errorAbout('resume', error);
  });
  if (stateOf(config) !== 'as written') {
    throw new PupilError(
      'bad-data',
      `${runFiles.config.in(path)} was edited, and results would be of neither version: restore it, or start a new run`,
      { option: 'resume' },
    );
  }
  const lock = await lockFolder(folder);
  await sweepDrafts(folder, { deep: true });
  await lock.sweepBelow();
  return runAt(folder, withoutChecksum(await readConfig(path, folder)), lock);
}

async function readConfig(path: string, folder: string): Promise<RunConfig> {
  const config = await runFiles.config.read(folder).catch((error: unknown) => {
    if (error instanceof PupilError) throw error;
    throw notARun(path, (error as NodeJS.ErrnoException).code);
  });
  if (config === undefined && (await isFree(folder)) && (await stat(folder).catch(() => undefined)) !== undefined)
    throw new PupilError(
      'not-found',
      `${path}: a run that was stopped before it began, nothing was saved; start it again with \`out: ${path}\``,
    );
  if (config === undefined) throw notARun(path, 'there is none');
  return config;
}

const notARun = (path: string, why = 'it cannot be read'): PupilError =>
  new PupilError('not-found', `${path} is no run folder (run.json: ${why}); give a folder that a training wrote`);

/**
 * The records of a run's metrics.jsonl; a half-written last line (the process was killed) is left
 * out. Throws `bad-data` when another line is no record.
 */
export async function readMetrics(path: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(join(path, metricsFile), 'utf8').catch(() => '');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line, i) => {
      const record = recordOf(line);
      if (record !== undefined) return record;
      const what = `${join(path, metricsFile)}: line ${i + 1} is no record`;
      throw new PupilError('bad-data', `${what}; restore the file, or start again in another folder`);
    });
}

function recordOf(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    const isRecord = typeof value === 'object' && value !== null && !isTooDeep(value);
    return isRecord ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
