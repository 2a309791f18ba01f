import { appendFile, mkdir, readFile, readdir, stat, truncate } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { PupilError } from '../errors.js';
import { makeFolder, writeError, writeFileAtomically } from './files.js';

/**
 * A run folder: `run.json` (resolved configuration, versions, seeds, data hash), `metrics.jsonl`
 * (one record a line), TensorBoard events, `checkpoints/`, `model.onnx`, `report.html`. Created
 * only once everything was checked; an existing run is never overwritten.
 */
export interface Run {
  readonly path: string;
  readonly checkpoints: string;
  /** Resolved configuration and provenance as saved in `run.json`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** A path inside the folder. */
  file(name: string): string;
  /** Appends a record to metrics.jsonl. */
  log(record: Readonly<Record<string, unknown>>): Promise<void>;
  /**
   * Bytes of metrics.jsonl so far: saved in checkpoints, so that resuming can drop what came after.
   */
  metricsSize(): Promise<number>;
  /** Cuts metrics.jsonl back to what it was at a checkpoint. */
  truncateMetrics(size: number): Promise<void>;
  /** A JSON file of the folder; undefined when there is none. */
  readJson<T>(name: string): Promise<T | undefined>;
  /** Writes a file of the folder atomically. */
  write(name: string, contents: string | Uint8Array): Promise<void>;
}

function runAt(path: string, config: Readonly<Record<string, unknown>>): Run {
  const metrics = join(path, 'metrics.jsonl');
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
    checkpoints: join(path, 'checkpoints'),
    file: (name) => join(path, name),
    log: (record) => guarded(appendFile(metrics, JSON.stringify(record) + '\n'), metrics),
    metricsSize: size,
    async truncateMetrics(bytes) {
      if ((await size()) > bytes) await guarded(truncate(metrics, bytes), metrics);
    },
    async readJson<T>(name: string) {
      const text = await readFile(join(path, name), 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      });
      return text === undefined ? undefined : (JSON.parse(text) as T);
    },
    write: (name, contents) => writeFileAtomically(join(path, name), contents),
  };
}

/** Whether a folder can become a run: it does not exist or is empty. */
async function isFree(path: string): Promise<boolean> {
  try {
    return (await readdir(path)).length === 0;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return true;
    if (code === 'ENOTDIR') return false;
    throw writeError(path, error);
  }
}

/** Throws `exists` unless a run can be made at `out`. */
export async function assertFree(out: string): Promise<void> {
  if (await isFree(resolve(out))) return;
  throw new PupilError(
    'exists',
    `--out ${out}: something is there already and is never overwritten; give another folder, or --resume ${out}`,
  );
}

/**
 * Makes a run folder at `out`, or the first free `runs/NAME-1`, `runs/NAME-2`... below the working
 * directory. Throws `exists` when `out` holds something, `io` when it cannot be written.
 */
export async function createRun(
  out: string | undefined,
  name: string,
  config: Readonly<Record<string, unknown>>,
): Promise<Run> {
  const path = out === undefined ? await claim(name) : resolve(out);
  if (out !== undefined) {
    await assertFree(out);
    await makeFolder(path);
  }
  const run = runAt(path, config);
  await run.write('run.json', JSON.stringify(config, null, 2) + '\n');
  return run;
}

/**
 * Creates the first free numbered folder; `mkdir` decides between two processes that ask at once.
 */
async function claim(name: string): Promise<string> {
  const parent = resolve('runs');
  await makeFolder(parent);
  for (let i = 1; ; i++) {
    const path = join(parent, `${name}-${i}`);
    try {
      await mkdir(path);
      return path;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw writeError(path, error);
    }
  }
}

/**
 * Opens an existing run. Throws `not-found` when the folder is no run, `bad-data` when its
 * `run.json` is damaged.
 */
export async function openRun(path: string): Promise<Run> {
  const folder = resolve(path);
  const text = await readFile(join(folder, 'run.json'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new PupilError(
      'not-found',
      `${path}: not a run folder (no run.json: ${error.code}); give a folder that a training wrote`,
    );
  });
  try {
    return runAt(folder, JSON.parse(text) as Record<string, unknown>);
  } catch (error) {
    throw new PupilError(
      'bad-data',
      `${join(path, 'run.json')}: not valid JSON (${(error as Error).message}); start the run again`,
    );
  }
}

/**
 * The records of a run's metrics.jsonl; a half-written last line (the process was killed) is left
 * out.
 */
export async function readMetrics(path: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(join(path, 'metrics.jsonl'), 'utf8').catch(() => '');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
