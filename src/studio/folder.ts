/** The images of a folder: found and looked at in the background, each decoded once for a thumbnail. */
import { appendFile, readFile, readdir, rm } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { makeFolder } from '../artifact/files.js';
import { findAlike } from '../data/alike.js';
import type { Sample } from '../data/sample.js';
import { inParallel, isBelow, lanes } from '../data/scan.js';
import { PupilError } from '../errors.js';
import { loadCodec } from '../image/decode.js';
import type { Bus } from './bus.js';
import { studioFolder } from './labels.js';
import type { Look } from './look-worker.js';
import { createLookers } from './lookers.js';
import type { Folder, Progress, StudioImage } from './protocol.js';
import { createScanner, inPieces, rowsAtOnce, type Row } from './scan.js';

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
  /** Images that cannot be used: their files are gone, or cannot be decoded. */
  readonly absent: ReadonlySet<number>;
  /** Looks for files that came, went or changed since; ids stay. Says whether there are any. */
  rescan(): Promise<boolean>;
  readonly progress: ReadonlyMap<Progress['task'], Progress>;
  /** Says how far a task is; undefined: it is over. */
  report(task: Progress['task'], done?: number, total?: number): void;
  /** While this is under way no thumbnail is begun that nobody waits to see. */
  yieldTo<T>(work: Promise<T>): Promise<T>;
  /** A JPEG, made now if need be. Throws `not-found`, `bad-data`. */
  thumbnail(id: number): Promise<Uint8Array>;
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

/**
 * Opens a folder; undefined: there are no images, only runs to look at. `onAbsent` hears of images that were found
 * to be unusable since the folder was scanned.
 */
export const openImages = (
  folder: string | undefined,
  name: string,
  { bus, onAbsent }: { readonly bus: Bus; readonly onAbsent: () => void },
): Images => new FolderImages(folder === undefined ? undefined : resolve(folder), name, bus, onAbsent);

class FolderImages implements Images {
  samples: readonly Sample[] = [];
  paths: readonly string[] = [];
  layout: ReadonlyMap<string, string> = new Map();
  note: string | null = null;
  readonly absent = new Set<number>();
  /** Images whose files are gone. */
  #missing: ReadonlySet<number> = new Set();
  /** Files that are no images, by path, and contents that cannot be decoded, by hash: why. */
  #broken = new Map<string, string>();
  readonly #corrupt = new Map<string, string>();
  #pairs: Folder['alike'] = [];
  readonly progress = new Map<Progress['task'], Progress>();
  readonly name: string;
  readonly found: Promise<void>;
  readonly seen: Promise<void>;
  readonly #root: string;
  readonly #bus: Bus;
  readonly #onAbsent: () => void;
  /** The folder of thumbnails, and what was seen when they were made. */
  readonly #cache: string;
  readonly #index: string;
  readonly #looks = new Map<string, Look>();
  readonly #making = new Map<string, Promise<string>>();
  readonly #told = new Map<string, number>();
  readonly #lookers = createLookers();
  readonly #scanner = createScanner();
  #telling: NodeJS.Timeout | undefined;
  #rescanning: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(root: string | undefined, name: string, bus: Bus, onAbsent: () => void) {
    this.name = root === undefined ? name : basename(root);
    this.#root = root ?? '';
    this.#bus = bus;
    this.#onAbsent = onAbsent;
    this.#cache = join(this.#root, studioFolder, 'thumbnails');
    this.#index = join(this.#cache, 'looks.jsonl');
    this.found = root === undefined ? Promise.resolve() : this.#find();
    this.seen = root === undefined ? Promise.resolve() : this.#seeAll();
    this.seen.catch(() => undefined);
  }

  get unreadable(): Folder['unreadable'] {
    const corrupt = [...this.absent].flatMap((id) => {
      const reason = this.#missing.has(id) ? undefined : this.#corrupt.get(this.samples[id]!.hash);
      return reason === undefined ? [] : [[this.paths[id]!, reason] as const];
    });
    return [...new Map([...this.#broken, ...corrupt])].map(([path, reason]) => ({ path, reason }));
  }

  get alike(): Folder['alike'] {
    return this.#pairs.filter(({ ids }) => ids.every((id) => !this.absent.has(id)));
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
      return this.absent.has(id) ? { ...image, absent: true } : image;
    });
  }

  async thumbnail(id: number): Promise<Uint8Array> {
    const kept = await readFile(await this.#thumbnailOf(id, true)).catch(() => undefined);
    if (kept !== undefined && isWholeJpeg(kept)) return kept;
    // Somebody removed it, or the power failed while it was written.
    this.#looks.delete(this.#sampleOf(id).hash);
    return readFile(await this.#thumbnailOf(id, true));
  }

  async picture(id: number): Promise<{ readonly bytes: Uint8Array; readonly type: string }> {
    const sample = this.#sampleOf(id),
      path = await this.#fileOf(sample),
      type = shownAsTheyAre[sample.format];
    if (type !== undefined) return { bytes: await readFile(path), type };
    const bytes = await this.#lookers.look<Uint8Array>(
      { path, name: this.paths[id]! },
      {
        key: `picture ${id}`,
        isUrgent: true,
      },
    );
    return { bytes, type: 'image/jpeg' };
  }

  yieldTo<T>(work: Promise<T>): Promise<T> {
    return this.#lookers.yieldTo(work);
  }

  fileOf(id: number): Promise<string> {
    return this.#fileOf(this.#sampleOf(id));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#scanner.close();
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
    const known = new Map(this.paths.map((path, id) => [path, id]));
    const samples = [...this.samples],
      paths = [...this.paths],
      missing = new Set(known.values()),
      broken = new Map<string, string>(),
      layout = new Map<string, string>();
    let isNew = false;
    const take = ({ name, className, image }: Row): void => {
      if ('problem' in image) return void broken.set(name, image.problem);
      const id = known.get(name) ?? paths.length;
      isNew ||= samples[id]?.hash !== image.hash || this.#missing.has(id);
      missing.delete(id);
      if (samples[id]?.hash !== image.hash) samples[id] = image;
      paths[id] = name;
      if (className !== undefined) layout.set(name, className);
    };
    const { note } = await this.#scanner.scan(this.#root, {
      report: (done, total) => this.report('scan', done, total),
      take: (rows) => rows.forEach(take),
    });
    this.report('scan');
    isNew ||= [...missing].some((id) => !this.#missing.has(id));
    [this.samples, this.paths, this.layout, this.note, this.#broken] = [samples, paths, layout, note, broken];
    this.#missing = missing;
    this.absent.clear();
    for (const [id, { hash }] of samples.entries()) if (missing.has(id) || this.#corrupt.has(hash)) this.absent.add(id);
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
    // A few at a time: to begin with thousands of them at once takes seconds in which nobody is answered.
    await inParallel([...samples.keys()], lanes, async (id) => {
      if (this.#isClosed || this.absent.has(id)) return;
      await this.#thumbnailOf(id, false).catch((error: unknown) => {
        // One that cannot be decoded is absent by now.
        if (!this.#isClosed && !this.absent.has(id))
          this.#broken.set(this.paths[id]!, reasonIn(error, this.paths[id]!));
      });
      this.report('thumbnails', ++done, samples.length);
      // Those that were made before take no time at all.
      if (done % rowsAtOnce === 0) await setImmediate();
    });
    if (this.#isClosed) return;
    this.#tellAbsent();
    const place = new Map(samples.map((sample, id) => [sample, id]));
    const pairs = await findAlike(samples, (hash) => this.#looks.get(hash));
    this.#pairs = [
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
    const made = this.#making.get(sample.hash) ?? this.#look(sample, file, id, isUrgent);
    this.#making.set(sample.hash, made);
    if (isUrgent) this.#lookers.hurry(sample.hash);
    return made;
  }

  /** From now on images of this content are none. */
  #leaveOut(hash: string, reason: string): void {
    this.#corrupt.set(hash, reason);
    for (const [id, sample] of this.samples.entries()) if (sample.hash === hash) this.absent.add(id);
    // Where there are many, they are told together.
    this.#telling ??= setTimeout(() => this.#tellAbsent(), 300).unref();
  }

  #tellAbsent(): void {
    if (this.#telling === undefined || this.#isClosed) return;
    clearTimeout(this.#telling);
    this.#telling = undefined;
    this.#onAbsent();
    this.#bus.send({ type: 'folder' });
  }

  async #look(sample: Sample, file: string, id: number, isUrgent: boolean): Promise<string> {
    const path = await this.#fileOf(sample);
    const request = { path, name: this.paths[id]!, to: file };
    const look = await this.#lookers.look<Look>(request, { key: sample.hash, isUrgent }).catch((error: unknown) => {
      if (error instanceof PupilError && error.code === 'bad-data')
        this.#leaveOut(sample.hash, reasonIn(error, request.name));
      throw error;
    });
    this.#looks.set(sample.hash, look);
    this.#making.delete(sample.hash);
    await appendFile(this.#index, `${JSON.stringify({ hash: sample.hash, ...look })}\n`);
    return file;
  }
}

/** What ends a JPEG. */
const endOfImage = [0xff, 0xd9];
const isWholeJpeg = (bytes: Uint8Array): boolean => endOfImage.every((byte, i) => bytes.at(i - 2) === byte);

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
  const text = await readFile(index, 'utf8').catch(() => '');
  for await (const line of inPieces(text.split('\n'))) {
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

/** Why, without the name of the file, which stands beside it. */
const reasonIn = (error: unknown, name: string): string => {
  const message = error instanceof Error ? error.message : String(error);
  return message.startsWith(`${name}: `) ? message.slice(name.length + 2) : message;
};
