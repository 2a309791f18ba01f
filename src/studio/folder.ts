/** The images of a folder: found and looked at in the background, each decoded once for a thumbnail. */
import { appendFile, readFile, readdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { makeFolder } from '../artifact/files.js';
import { findAlike } from '../data/alike.js';
import { isManifest } from '../data/manifest.js';
import type { Sample } from '../data/sample.js';
import { isBelow, scanFolder, type Entry } from '../data/scan.js';
import { PupilError } from '../errors.js';
import { loadCodec } from '../image/decode.js';
import { startThread, type Thread } from '../threads/thread.js';
import type { Bus } from './bus.js';
import { classFolders } from './class-folders.js';
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
  /** What a person should know of that. */
  readonly note: string | null;
  /** Images whose files are gone. */
  readonly missing: ReadonlySet<number>;
  /** Looks for files that came, went or changed since; ids stay. Says whether there are any. */
  rescan(): Promise<boolean>;
  readonly progress: ReadonlyMap<Progress['task'], Progress>;
  /** Says how far a task is; undefined: it is over. */
  report(task: Progress['task'], done?: number, total?: number): void;
  /** The file of an image's thumbnail, made now if need be. Throws `not-found`, `bad-data`. */
  thumbnail(id: number): Promise<string>;
  /** Its file, where no link has taken its place. Throws `not-found`. */
  fileOf(id: number): Promise<string>;
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
export const openImages = (folder: string | undefined, name: string, bus: Bus): Images =>
  new FolderImages(folder === undefined ? undefined : resolve(folder), name, bus);

class FolderImages implements Images {
  samples: readonly Sample[] = [];
  paths: readonly string[] = [];
  alike: Folder['alike'] = [];
  layout: ReadonlyMap<string, string> = new Map();
  note: string | null = null;
  readonly missing = new Set<number>();
  readonly #broken = new Map<string, string>();
  readonly progress = new Map<Progress['task'], Progress>();
  readonly name: string;
  readonly found: Promise<void>;
  readonly seen: Promise<void>;
  readonly #root: string;
  readonly #bus: Bus;
  /** The folder of thumbnails, and what was seen when they were made. */
  readonly #cache: string;
  readonly #index: string;
  readonly #looks = new Map<string, Look>();
  readonly #making = new Map<string, Promise<string>>();
  readonly #told = new Map<string, number>();
  readonly #lookers = createLookers();
  #rescanning: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(root: string | undefined, name: string, bus: Bus) {
    this.name = root === undefined ? name : basename(root);
    this.#root = root ?? '';
    this.#bus = bus;
    this.#cache = join(this.#root, studioFolder, 'thumbnails');
    this.#index = join(this.#cache, 'looks.jsonl');
    this.found = root === undefined ? Promise.resolve() : this.#find();
    this.seen = root === undefined ? Promise.resolve() : this.#seeAll();
    this.seen.catch(() => undefined);
  }

  get unreadable(): Folder['unreadable'] {
    return [...this.#broken].map(([path, reason]) => ({ path, reason }));
  }

  report(task: Progress['task'], done = 1, total = 1): void {
    if (done >= total) this.progress.delete(task);
    else this.progress.set(task, { task, done, total });
    if (done < total && performance.now() - (this.#told.get(task) ?? 0) < 250) return;
    this.#told.set(task, performance.now());
    this.#bus.send({ type: 'progress', progress: { task, done, total } });
  }

  list(): StudioImage[] {
    return this.samples.map(({ hash }, id) => {
      const { width = 0, height = 0 } = this.#looks.get(hash) ?? {};
      const image = { id, path: this.paths[id]!, width, height };
      return this.missing.has(id) ? { ...image, missing: true } : image;
    });
  }

  thumbnail(id: number): Promise<string> {
    return this.#thumbnailOf(id, true);
  }

  async picture(id: number): Promise<{ readonly bytes: Uint8Array; readonly type: string }> {
    const sample = this.#sampleOf(id),
      path = await this.#fileOf(sample),
      type = shownAsTheyAre[sample.format];
    if (type !== undefined) return { bytes: await readFile(path), type };
    const bytes = await this.#lookers.look<Uint8Array>({ path, name: this.paths[id]! }, `picture ${id}`);
    return { bytes, type: 'image/jpeg' };
  }

  fileOf(id: number): Promise<string> {
    return this.#fileOf(this.#sampleOf(id));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#lookers.close();
  }

  rescan(): Promise<boolean> {
    const before = this.#rescanning;
    const scanned = before.then(async () => {
      await this.found;
      const isNew = await this.#take();
      if (isNew) this.#seeAll().catch(() => undefined);
      return isNew;
    });
    this.#rescanning = scanned.catch(() => undefined);
    return scanned;
  }

  async #find(): Promise<void> {
    await this.#take();
  }

  /** Takes on what is in the folder now: images that are known keep their ids. True where anything is new. */
  async #take(): Promise<boolean> {
    const onProgress = (done: number, total: number): void => this.report('scan', done, total);
    const scan = await scanFolder(this.#root, { inside: true, onProgress });
    this.report('scan');
    const known = new Map(this.paths.map((path, id) => [path, id]));
    const samples = [...this.samples],
      paths = [...this.paths],
      missing = new Set(known.values());
    let isNew = false;
    for (const entry of scan.entries.filter(({ problem }) => problem === undefined)) {
      const id = known.get(entry.name) ?? paths.length;
      isNew ||= samples[id]?.hash !== entry.hash || this.missing.has(id);
      missing.delete(id);
      if (samples[id]?.hash !== entry.hash) samples[id] = sampleFrom(entry);
      paths[id] = entry.name;
    }
    isNew ||= [...missing].some((id) => !this.missing.has(id));
    this.missing.clear();
    for (const id of missing) this.missing.add(id);
    [this.samples, this.paths] = [samples, paths];
    const { labels, note } = classFolders(scan);
    [this.layout, this.note] = [labels, note];
    this.#broken.clear();
    for (const { path, reason } of brokenIn(scan.entries)) this.#broken.set(path, reason);
    this.#bus.send({ type: 'folder' });
    return isNew;
  }

  async #seeAll(): Promise<void> {
    await this.found;
    const { samples } = this;
    await loadCodec(); // before any thread
    await makeFolder(this.#cache);
    await readLooks(this.#index, this.#cache, new Set(samples.map(({ hash }) => hash)), this.#looks);
    let done = 0;
    await Promise.all(
      samples.map(async (_, id) => {
        if (this.#isClosed || this.missing.has(id)) return;
        await this.#thumbnailOf(id, false).catch((error: unknown) => {
          if (!this.#isClosed) this.#broken.set(this.paths[id]!, reasonIn(error));
        });
        this.report('thumbnails', ++done, samples.length);
      }),
    );
    if (this.#isClosed) return;
    const place = new Map(samples.map((sample, id) => [sample, id]));
    const pairs = await findAlike(samples, (hash) => this.#looks.get(hash));
    this.alike = [
      ...sameContents(samples),
      ...pairs.map(({ first, second, samePixels }) => ({
        ids: [place.get(first)!, place.get(second)!] as const,
        kind: samePixels ? ('same' as const) : ('near' as const),
      })),
    ];
    this.#bus.send({ type: 'folder' });
  }

  #sampleOf(id: number): Sample {
    const sample = this.samples[id];
    if (sample === undefined) throw new PupilError('not-found', 'there is no such image');
    return sample;
  }

  /** The path of a file that is still where it was found: no link has taken its place. */
  async #fileOf(sample: Sample): Promise<string> {
    const { path } = sample.source as { readonly path: string };
    if (!(await isBelow(this.#root, path))) throw new PupilError('not-found', 'the image is no longer in the folder');
    return path;
  }

  async #thumbnailOf(id: number, isUrgent: boolean): Promise<string> {
    const sample = this.#sampleOf(id);
    const file = join(this.#cache, `${sample.hash}.jpg`);
    if (this.#looks.has(sample.hash)) return file;
    const made = this.#making.get(sample.hash) ?? this.#look(sample, file, id);
    this.#making.set(sample.hash, made);
    if (isUrgent) this.#lookers.hurry(sample.hash);
    return made;
  }

  async #look(sample: Sample, file: string, id: number): Promise<string> {
    const path = await this.#fileOf(sample);
    const look = await this.#lookers.look<Look>({ path, name: this.paths[id]!, to: file }, sample.hash);
    this.#looks.set(sample.hash, look);
    this.#making.delete(sample.hash);
    await appendFile(this.#index, `${JSON.stringify({ hash: sample.hash, ...look })}\n`);
    return file;
  }
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
      const { hash, ...look } = JSON.parse(line) as Look & {
        readonly hash: string;
      };
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
        const thread = startThread<LookRequest>({
          url: new URL('./look-worker.js', import.meta.url),
          name: 'looker',
        });
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
        queue.push({
          key,
          refuse: reject,
          run: (thread) => thread.call<T>(request).then(resolve, reject),
        });
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
