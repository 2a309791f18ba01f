/** What the page keeps in the browser's own files (the origin private file system): it is there after a reload. */
import type { HeldOut } from '../../dist/web.js';

/** What the page holds, photos by the names of their files. */
export interface Session {
  readonly classes: readonly { readonly name: string; readonly photos: readonly string[] }[];
  /** Photos without a label. */
  readonly others: readonly string[];
  /** Of the pretrained network. */
  readonly address: string;
  /** Whether a training was under way. */
  readonly isTraining: boolean;
  /** What is known of the model in `model.onnx`; null: there is none. */
  readonly model: Outcome | null;
}

export interface Outcome {
  /** On labels that it was not told; undefined: none could be held out. */
  readonly heldOut?: HeldOut | undefined;
  readonly seconds: number;
}

export interface Keeper {
  /** As it was left; undefined: there is nothing. */
  readonly session: Session | undefined;
  /** Throws where there is no such file. */
  read(name: string): Promise<File>;
  /** One after the other, in this order; what cannot be kept is told to `onFailure` once. */
  write(name: string, content: Blob | Uint8Array | Session): void;
  remove(name: string): void;
  clear(): Promise<void>;
}

export const sessionFile = 'session.json',
  modelFile = 'model.onnx';

const folderName = 'pupil demo';

/** What is told of the writing. */
export interface Told {
  onFailure(error: unknown): void;
  /** How many changes are not in the browser's files yet. */
  onWaiting(count: number): void;
}

/** Undefined where the browser keeps no files (http:// of another machine), or another window keeps its own. */
export async function openKeeper(told: Told): Promise<Keeper | undefined> {
  const { storage, locks } = navigator as Partial<Navigator>;
  if (storage?.getDirectory === undefined || locks === undefined || !(await hold(locks))) return undefined;
  try {
    const root = await storage.getDirectory();
    const folder = await root.getDirectoryHandle(folderName, { create: true });
    return await keeperIn(root, folder, told);
  } catch {
    return undefined; // a private window
  }
}

/** Holds the one lock until the page ends; false where another window has it. */
const hold = (locks: LockManager): Promise<boolean> =>
  new Promise((resolve) => {
    void locks.request(folderName, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      return lock === null ? undefined : new Promise(() => undefined);
    });
  });

async function keeperIn(
  root: FileSystemDirectoryHandle,
  first: FileSystemDirectoryHandle,
  { onFailure, onWaiting }: Told,
): Promise<Keeper> {
  let folder = first,
    last: Promise<unknown> = Promise.resolve(),
    waiting = 0,
    hasFailed = false;
  const queue = (work: () => Promise<unknown>): Promise<unknown> => {
    onWaiting(++waiting);
    last = last
      .then(work)
      .catch((error: unknown) => {
        if (!hasFailed) onFailure(error);
        hasFailed = true;
      })
      .finally(() => onWaiting(--waiting));
    return last;
  };
  const read = async (name: string): Promise<File> => (await folder.getFileHandle(name)).getFile();
  return {
    session: await read(sessionFile).then(
      async (file) => sessionIn(await file.text()),
      () => undefined,
    ),
    read,
    write: (name, content) =>
      void queue(async () => {
        const stream = await (await folder.getFileHandle(name, { create: true })).createWritable();
        const isFile = content instanceof Blob || content instanceof Uint8Array;
        await stream.write(isFile ? (content as Blob) : JSON.stringify(content));
        await stream.close(); // from here on it is there, whole
      }),
    remove: (name) => void queue(() => folder.removeEntry(name)),
    async clear() {
      await queue(async () => {
        await root.removeEntry(folderName, { recursive: true });
        folder = await root.getDirectoryHandle(folderName, { create: true });
      });
    },
  };
}

/** Undefined for what another version of the page wrote. */
function sessionIn(text: string): Session | undefined {
  try {
    const { classes, others, address, isTraining, model } = JSON.parse(text) as Session;
    const isWhole = Array.isArray(classes) && Array.isArray(others) && typeof address === 'string';
    return isWhole ? { classes, others, address, isTraining, model } : undefined;
  } catch {
    return undefined;
  }
}
