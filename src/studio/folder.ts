/** The images of a folder: found and looked at in the background, each decoded once for a thumbnail. */
import { appendFile, readFile, readdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { makeFolder } from '../artifact/files.js';
import { findAlike } from '../data/alike.js';
import { layOut } from '../data/layout.js';
import { isManifest } from '../data/manifest.js';
import type { Sample } from '../data/sample.js';
import { isBelow, scanFolder, type Entry, type Scan } from '../data/scan.js';
import { PupilError } from '../errors.js';
import { loadCodec } from '../image/decode.js';
import { startThread, type Thread } from '../threads/thread.js';
import type { Bus } from './bus.js';
import { studioFolder } from './labels.js';
import type { Look, LookRequest } from './look-worker.js';
import type { Folder, Progress, StudioImage } from './protocol.js';

export interface Images {
  readonly name: string;
  /** Of each image, by id. */
  readonly samples: readonly Sample[];
  /** Relative to the folder, by id. */
  readonly paths: readonly string[];
  list(): StudioImage[];
  readonly unreadable: Folder['unreadable'];
  readonly alike: Folder['alike'];
  /** Classes of images by their path, where the folder has one subfolder for each. */
  readonly layout: ReadonlyMap<string, string>;
  readonly progress: ReadonlyMap<Progress['task'], Progress>;
  /** Says how far a task is; undefined: it is over. */
  report(task: Progress['task'], done?: number, total?: number): void;
  /** The file of an image's thumbnail, made now if need be. Throws `not-found`, `bad-data`. */
  thumbnail(id: number): Promise<string>;
  /** The image as a browser can show it. */
  picture(id: number): Promise<{ readonly bytes: Uint8Array; readonly type: string }>;
  /** Settles when all was found, then when all was looked at. */
  readonly found: Promise<void>;
  readonly seen: Promise<void>;
  close(): Promise<void>;
}

/** What browsers show, by the format that a file's signature says. */
const shownAsTheyAre: Readonly<Record<string, string>> = {
  JPEG: 'image/jpeg',
  PNG: 'image/png',
  GIF: 'image/gif',
  WebP: 'image/webp',
  AVIF: 'image/avif',
  BMP: 'image/bmp',
};

/** Opens a folder; undefined: there are no images, only runs to look at. */
export function openImages(folder: string | undefined, name: string, bus: Bus): Images {
  const root = folder === undefined ? '' : resolve(folder);
  const cache = join(root, studioFolder, 'thumbnails'),
    index = join(cache, 'looks.jsonl');
  const looks = new Map<string, Look>(),
    making = new Map<string, Promise<string>>();
  const progress = new Map<Progress['task'], Progress>();
  const unreadable: Folder['unreadable'][number][] = [];
  let samples: readonly Sample[] = [],
    paths: readonly string[] = [],
    alike: Folder['alike'] = [],
    layout: ReadonlyMap<string, string> = new Map(),
    isClosed = false;
  const lookers = createLookers();

  const told = new Map<string, number>();
  const report = (task: Progress['task'], done = 1, total = 1): void => {
    if (done >= total) progress.delete(task);
    else progress.set(task, { task, done, total });
    if (done < total && performance.now() - (told.get(task) ?? 0) < 250) return;
    told.set(task, performance.now());
    bus.send({ type: 'progress', progress: { task, done, total } });
  };
  const sampleOf = (id: number): Sample => {
    const sample = Number.isSafeInteger(id) ? samples[id] : undefined;
    if (sample === undefined) throw new PupilError('not-found', 'there is no such image');
    return sample;
  };
  /** The path of a file that is still where it was found: no link has taken its place. */
  const fileOf = async (sample: Sample): Promise<string> => {
    const path = (sample.source as { readonly path: string }).path;
    if (!(await isBelow(root, path))) throw new PupilError('not-found', 'the image is no longer in the folder');
    return path;
  };
  const thumbnailOf = (id: number, isUrgent: boolean): Promise<string> => {
    const sample = sampleOf(id);
    const file = join(cache, `${sample.hash}.jpg`);
    if (looks.has(sample.hash)) return Promise.resolve(file);
    const known = making.get(sample.hash);
    if (known !== undefined && !isUrgent) return known;
    const made = known ?? lookOnce(sample, file, id);
    making.set(sample.hash, made);
    if (isUrgent) lookers.hurry(sample.hash);
    return made;
  };
  const lookOnce = async (sample: Sample, file: string, id: number): Promise<string> => {
    const path = await fileOf(sample);
    const look = await lookers.look<Look>({ path, name: paths[id]!, to: file }, sample.hash);
    looks.set(sample.hash, look);
    making.delete(sample.hash);
    await appendFile(index, `${JSON.stringify({ hash: sample.hash, ...look })}\n`);
    return file;
  };

  const find = async (): Promise<void> => {
    if (folder === undefined) return;
    const scan = await scanFolder(root, { inside: true, onProgress: (done, total) => report('scan', done, total) });
    const images = scan.entries.filter(({ problem }) => problem === undefined);
    samples = images.map(sampleFrom);
    paths = images.map(({ name }) => name);
    layout = layoutOf(scan);
    unreadable.push(...brokenIn(scan.entries));
    report('scan');
    bus.send({ type: 'folder' });
  };
  const found = find();

  const seeAll = async (): Promise<void> => {
    await found;
    if (folder === undefined) return;
    await loadCodec(); // before any thread
    await makeFolder(cache);
    await readLooks(index, cache, new Set(samples.map(({ hash }) => hash)), looks);
    let done = 0;
    await Promise.all(
      samples.map(async (_, id) => {
        if (isClosed) return;
        await thumbnailOf(id, false).catch((error: unknown) => {
          if (!isClosed) unreadable.push({ path: paths[id]!, reason: reasonIn(error) });
        });
        report('thumbnails', ++done, samples.length);
      }),
    );
    if (isClosed) return;
    const place = new Map(samples.map((sample, id) => [sample, id]));
    const pairs = await findAlike(samples, (hash) => looks.get(hash));
    alike = [
      ...sameContents(samples),
      ...pairs.map(({ first, second, samePixels }) => ({
        ids: [place.get(first)!, place.get(second)!] as const,
        kind: samePixels ? ('same' as const) : ('near' as const),
      })),
    ];
    bus.send({ type: 'folder' });
  };
  const seen = seeAll();
  seen.catch(() => undefined);

  return {
    name: folder === undefined ? name : basename(root),
    get samples() {
      return samples;
    },
    get paths() {
      return paths;
    },
    get alike() {
      return alike;
    },
    get layout() {
      return layout;
    },
    unreadable,
    progress,
    report,
    list: () =>
      samples.map(({ hash }, id) => {
        const { width = 0, height = 0 } = looks.get(hash) ?? {};
        return { id, path: paths[id]!, width, height };
      }),
    thumbnail: (id) => thumbnailOf(id, true),
    async picture(id) {
      const sample = sampleOf(id),
        path = await fileOf(sample),
        type = shownAsTheyAre[sample.format];
      if (type !== undefined) return { bytes: await readFile(path), type };
      const bytes = await lookers.look<Uint8Array>({ path, name: paths[id]! }, `picture ${id}`);
      return { bytes, type: 'image/jpeg' };
    },
    found,
    seen,
    async close() {
      isClosed = true;
      await lookers.close();
    },
  };
}

const sampleFrom = ({ path, source, hash, format, bytes }: Entry): Sample => ({
  ...{ path, source, hash, format, bytes },
  label: -1,
  split: 'unlabelled',
});

/** Files that mean to be images and cannot be read; texts and lists beside images are none of them. */
const brokenIn = (entries: readonly Entry[]): Folder['unreadable'] =>
  entries
    .filter(
      ({ name, problem }) => problem !== undefined && /\.(jpe?g|png|gif|webp|tiff?|avif|bmp|hei[cf])$/i.test(name),
    )
    .filter(({ name }) => !isManifest(name))
    .map(({ name, problem }) => ({ path: name, reason: problem! }));

/** Labels from a folder of at least two classes. */
function layoutOf(scan: Scan): ReadonlyMap<string, string> {
  const { placed, doubt } = layOut(scan);
  const labelled = placed.filter(({ entry, className }) => entry.problem === undefined && className !== undefined);
  if (doubt !== undefined || new Set(labelled.map(({ className }) => className)).size < 2) return new Map();
  const names = new Map(scan.entries.map(({ path, name }) => [path, name]));
  return new Map(labelled.map(({ entry, className }) => [names.get(entry.path)!, className!]));
}

function sameContents(samples: readonly Sample[]): Folder['alike'] {
  const first = new Map<string, number>();
  return samples.flatMap(({ hash }, id) => {
    const before = first.get(hash);
    if (before === undefined) first.set(hash, id);
    return before === undefined ? [] : [{ ids: [before, id] as const, kind: 'same' as const }];
  });
}

/** What was seen before; thumbnails of images that are gone are removed. */
async function readLooks(
  index: string,
  cache: string,
  hashes: ReadonlySet<string>,
  looks: Map<string, Look>,
): Promise<void> {
  const files = new Set(await readdir(cache));
  for (const line of (await readFile(index, 'utf8').catch(() => '')).split('\n')) {
    try {
      const { hash, ...look } = JSON.parse(line) as Look & { readonly hash: string };
      if (hashes.has(hash) && files.has(`${hash}.jpg`)) looks.set(hash, look);
    } catch {
      // a line that was not finished: looked at again
    }
  }
  for (const file of files) {
    const hash = /^([0-9a-f]{32})\.jpg$/.exec(file)?.[1];
    if (hash !== undefined && !hashes.has(hash)) await rm(join(cache, file), { force: true });
  }
}

const reasonIn = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Threads that decode, the urgent first. */
function createLookers() {
  const threads: Thread<LookRequest>[] = [];
  const idle: Thread<LookRequest>[] = [];
  interface Wanted {
    readonly key: string;
    readonly run: (thread: Thread<LookRequest>) => Promise<void>;
    readonly refuse: (error: Error) => void;
  }
  let queue: Wanted[] = [];
  const most = Math.max(1, Math.min(4, availableParallelism() - 1));
  const pump = (): void => {
    while (queue.length > 0) {
      if (idle.length === 0 && threads.length < most) {
        const thread = startThread<LookRequest>({ url: new URL('./look-worker.js', import.meta.url), name: 'looker' });
        threads.push(thread);
        idle.push(thread);
      }
      const thread = idle.pop();
      if (thread === undefined) return;
      void queue
        .shift()!
        .run(thread)
        .finally(() => {
          idle.push(thread);
          pump();
        });
    }
  };
  return {
    look: <T>(request: LookRequest, key: string): Promise<T> =>
      new Promise<T>((resolve, reject) => {
        queue.push({ key, refuse: reject, run: (thread) => thread.call<T>(request).then(resolve, reject) });
        pump();
      }),
    hurry(key: string): void {
      const at = queue.findIndex((wanted) => wanted.key === key);
      if (at > 0) queue.unshift(...queue.splice(at, 1));
    },
    async close(): Promise<void> {
      for (const { refuse } of queue) refuse(new Error('the studio was closed'));
      queue = [];
      await Promise.all(threads.map((thread) => thread.end()));
    },
  };
}
