import { readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sweepDrafts } from '../drafts.js';
import { PupilError } from '../errors.js';
import { readSafetensors, writeSafetensors } from '../safetensors.js';
import type { Tensor } from '../tensor.js';
import { makeFolder, replaceFile, writeFileAtomically } from './files.js';
import { isTooDeep } from './nesting.js';
import { faultOf } from './schemas.js';

/**
 * A folder of checkpoints. Each is two files, `000012.safetensors` and `000012.json`; the JSON
 * names the tensor file with its size and SHA-256 and is written last, so a checkpoint exists
 * exactly when its JSON does, and a process killed at any moment leaves those before it untouched.
 * The last two are kept, and the last that was marked as the best.
 */

const formatVersion = 1;
const keep = 2;

export interface CheckpointData {
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Anything JSON can hold: position, best metrics, seeds, choices. */
  readonly meta: unknown;
  /** Whether this is the best so far; the last one marked so is kept. */
  readonly best?: boolean;
}

export interface Checkpoint {
  readonly tensors: Map<string, Tensor>;
  readonly meta: unknown;
  readonly best: boolean;
  /** The JSON file it was read from. */
  readonly path: string;
  /** Checkpoints that were passed over because they are damaged: path and reason. */
  readonly skipped: readonly string[];
}

interface Description {
  readonly format: number;
  readonly best: boolean;
  readonly tensors: { readonly file: string; readonly bytes: number; readonly sha256: string };
  readonly meta: unknown;
}

const pattern = /^(\d{6,})\.(json|safetensors)$/;

/** Sequence numbers in a folder that have a file of this kind, ascending. */
async function sequence(folder: string, kind: 'json' | 'safetensors'): Promise<number[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .flatMap((name) => {
      const match = pattern.exec(name);
      return match?.[2] === kind ? [Number(match[1])] : [];
    })
    .sort((a, b) => a - b);
}

const fileName = (number: number, kind: string): string => `${String(number).padStart(6, '0')}.${kind}`;

async function describe(folder: string, number: number): Promise<Description> {
  const path = join(folder, fileName(number, 'json'));
  const description: unknown = JSON.parse(await readFile(path, 'utf8'));
  const fault = isTooDeep(description) ? 'is nested too deeply' : faultOf('checkpoint', description);
  if (fault !== undefined) throw new Error(fault);
  const { format } = description as Description;
  if (format !== formatVersion) throw new Error(`format ${format}, expected ${formatVersion}`);
  return description as Description;
}

/**
 * Saves a checkpoint into `folder` (created when missing) and then removes those not kept any more.
 * Returns the path of its JSON file. Throws `io` when the disk is full or the folder cannot be
 * written; the checkpoints before it are then whole.
 */
export async function saveCheckpoint(folder: string, data: CheckpointData): Promise<string> {
  await makeFolder(folder);
  await sweepDrafts(folder);
  const used = [...(await sequence(folder, 'json')), ...(await sequence(folder, 'safetensors'))];
  const number = used.length === 0 ? 1 : Math.max(...used) + 1;
  const file = fileName(number, 'safetensors');
  const tensorPath = join(folder, file);
  const path = join(folder, fileName(number, 'json'));
  const written = await replaceFile(tensorPath, (handle) => writeSafetensors(handle, data.tensors));
  const description: Description = {
    format: formatVersion,
    best: data.best ?? false,
    tensors: { file, ...written },
    meta: data.meta,
  };
  try {
    await writeFileAtomically(path, JSON.stringify(description, null, 1) + '\n');
  } catch (error) {
    await rm(tensorPath, { force: true }).catch(() => undefined);
    throw error;
  }
  await removeOld(folder);
  return path;
}

/**
 * Removes all but the last `keep` checkpoints and the last best one, and tensor files without a
 * JSON file.
 */
async function removeOld(folder: string): Promise<void> {
  const numbers = await sequence(folder, 'json');
  const kept = new Set(numbers.slice(-keep));
  for (const number of [...numbers].reverse()) {
    const description = await describe(folder, number).catch(() => undefined);
    if (description?.best) {
      kept.add(number);
      break;
    }
  }
  for (const number of numbers) {
    if (kept.has(number)) continue;
    // The JSON first: without it the tensors are only bytes that nobody reads.
    await rm(join(folder, fileName(number, 'json')), { force: true }).catch(() => undefined);
  }
  for (const number of await sequence(folder, 'safetensors')) {
    if (!kept.has(number))
      await rm(join(folder, fileName(number, 'safetensors')), { force: true }).catch(() => undefined);
  }
}

/**
 * The last checkpoint of a folder, or the last that was marked best, with its checksum verified. A
 * damaged one is passed over for the one before it (named in `skipped`). Throws `not-found` when
 * the folder has none, `bad-data` when all are damaged.
 */
export async function loadCheckpoint(folder: string, which: 'last' | 'best' = 'last'): Promise<Checkpoint> {
  const skipped: string[] = [];
  for (const number of (await sequence(folder, 'json')).reverse()) {
    const path = join(folder, fileName(number, 'json'));
    try {
      const description = await describe(folder, number);
      if (which === 'best' && !description.best) continue;
      const { tensors, sha256 } = await readSafetensors(join(folder, description.tensors.file));
      if (sha256 !== description.tensors.sha256) {
        throw new Error(
          `the checksum of ${description.tensors.file} is ${sha256}, expected ${description.tensors.sha256}`,
        );
      }
      return { tensors, meta: description.meta, best: description.best, path, skipped };
    } catch (error) {
      skipped.push(`${path}: ${(error as Error).message}`);
    }
  }
  if (skipped.length > 0) {
    throw new PupilError(
      'bad-data',
      `${folder}: every checkpoint is damaged (${skipped.join('; ')}); start the run again`,
    );
  }
  const kind = which === 'best' ? 'best checkpoint' : 'checkpoint';
  throw new PupilError('not-found', `${folder}: no ${kind} there; give the folder of a run that saved one`);
}

/** What the last checkpoint of a folder says beside its tensors; undefined where there is none to be read. */
export async function lastMeta(folder: string): Promise<unknown> {
  for (const number of (await sequence(folder, 'json')).reverse()) {
    const description = await describe(folder, number).catch(() => undefined);
    if (description) return description.meta;
  }
  return undefined;
}

/** Whether a folder holds a checkpoint (which may still be damaged). */
export const hasCheckpoint = async (folder: string): Promise<boolean> => (await sequence(folder, 'json')).length > 0;
