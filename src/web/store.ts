/// <reference lib="dom" preserve="true" />
/** What a training keeps in the browser's own files (the origin private file system), to go on after a reload. */
import { shown } from '../arguments.js';
import { PupilError } from '../errors.js';
import { decodeSafetensors, encodeSafetensors } from '../safetensors-format.js';
import type { Tensor } from '../tensor.js';
import { messageOf } from '../threads/protocol.js';

/** Tensors, and what else is known at that moment, as JSON. */
export interface Kept<Facts> {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly facts: Facts;
}

export interface TrainingStore {
  /** What was kept of the same training; undefined where there is none. */
  read<Facts>(name: string): Promise<Kept<Facts> | undefined>;
  /** At every moment the old one or the new one is there, whole. */
  write(name: string, kept: Kept<unknown>): Promise<void>;
  /** Forgets everything: the training is finished. */
  clear(): Promise<void>;
  /** Lets other pages of the site train under this name. */
  close(): void;
}

/** Milliseconds that another page of the site may take to end its training. */
const patience = 10_000;

/**
 * Opens the store of that name; what is kept there of a training with another `key` counts as nothing. Throws
 * `unsupported` where a browser keeps no files, `busy` while another page trains under the name.
 */
export async function openStore(name: string, key: string): Promise<TrainingStore> {
  if (!/^[\w-][\w .-]{0,99}$/.test(name))
    throw new PupilError('usage', `\`state\` takes a name of letters, digits, - and _, got ${shown(name)}`, {
      option: 'state',
    });
  const { storage, locks } = navigator as Partial<Navigator>;
  if (typeof storage?.getDirectory !== 'function' || locks === undefined)
    throw new PupilError('unsupported', 'this page can keep no state: it takes https:// or localhost', {
      option: 'state',
    });
  const close = await lock(locks, name);
  try {
    const all = await (await storage.getDirectory()).getDirectoryHandle('pupil', { create: true });
    return storeIn(all, { name, key, close });
  } catch (error) {
    close();
    throw unwritable(error);
  }
}

async function storeIn(
  all: FileSystemDirectoryHandle,
  { name, key, close }: { readonly name: string; readonly key: string; close(): void },
): Promise<TrainingStore> {
  const folder = await all.getDirectoryHandle(name, { create: true });
  return {
    close,
    async read<Facts>(file: string) {
      const handle = await folder.getFileHandle(file).catch(() => undefined);
      if (handle === undefined) return undefined;
      try {
        const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
        const { tensors, metadata } = decodeSafetensors(bytes, file);
        if (metadata['key'] !== key) return undefined;
        return { tensors, facts: JSON.parse(metadata['facts'] ?? '') as Facts };
      } catch {
        return undefined; // of another version, or damaged: the training begins again
      }
    },
    async write(file, { tensors, facts }) {
      try {
        const handle = await folder.getFileHandle(file, { create: true });
        const stream = await handle.createWritable();
        await stream.write(
          encodeSafetensors(tensors, { key, facts: JSON.stringify(facts) }) as Uint8Array<ArrayBuffer>,
        );
        await stream.close();
      } catch (error) {
        throw unwritable(error);
      }
    },
    clear: () => all.removeEntry(name, { recursive: true }).catch(() => undefined),
  };
}

const unwritable = (error: unknown): PupilError =>
  new PupilError(
    'io',
    `the browser keeps no more files of this site: ${messageOf(error)}; free space, or leave \`state\` out`,
    {
      cause: error,
      option: 'state',
    },
  );

/** Holds a lock until the returned function is called, or the page ends. */
function lock(locks: LockManager, name: string): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const isHeld = new Promise<void>((release) => {
      locks
        .request(`pupil/${name}`, { signal: AbortSignal.timeout(patience) }, () => {
          resolve(() => release());
          return isHeld;
        })
        .catch(() =>
          reject(
            new PupilError('busy', `another page trains under the name ${name}; close it, or give another \`state\``, {
              option: 'state',
            }),
          ),
        );
    });
  });
}

/** A key that only the same training has: SHA-256 of everything that it is made of. */
export async function keyOf(parts: readonly (string | Uint8Array)[]): Promise<string> {
  const digests: string[] = [];
  const hex = (buffer: ArrayBuffer): string =>
    Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, '0')).join('');
  const { subtle } = globalThis.crypto as Partial<Crypto>;
  if (subtle === undefined) return ''; // no secure context: there is no store, either
  for (const part of parts) {
    const bytes = typeof part === 'string' ? new TextEncoder().encode(part) : (part as Uint8Array<ArrayBuffer>);
    digests.push(hex(await subtle.digest('SHA-256', bytes)));
  }
  return hex(await subtle.digest('SHA-256', new TextEncoder().encode(digests.join())));
}
