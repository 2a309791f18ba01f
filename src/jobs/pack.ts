/** A data set as numbered archives in the layout of WebDataset: many small files as few large ones. */
import { createHash } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { pack, type Pack } from 'tar-stream';
import { replaceFile, writeError, writeFileAtomically } from '../artifact/files.js';
import { refuseExistingFolder } from '../artifact/free.js';
import { openDataset, openImages } from '../data/dataset.js';
import { readSource } from '../data/read-source.js';
import { assertSkippable } from '../data/skipping.js';
import type { Dataset, Sample, Split, Unreadable } from '../data/sample.js';
import { abandonedDrafts, draftOf } from '../drafts.js';
import { PupilError } from '../errors.js';
import { decodeSample, reasonFor } from '../evaluate/readers.js';
import { resizeShort } from '../image/resize.js';
import { encodePhoto } from '../image/thumbnail.js';
import { Job } from '../job.js';
import { checkOptions, withSignal } from '../options/option.js';
import { packOptions, type PackOptions, type PackRequest } from '../options/shards.js';
import { Random } from '../random.js';
import type { RunEvent } from '../runs/events.js';
import { reporting } from '../runs/relay.js';
import { skippedOf, warnUnreadable } from './images.js';

/** One archive. */
export interface PackedShard {
  readonly file: string;
  readonly images: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** What `shards --json` prints, and `shards.json` beside the archives holds. */
export interface PackResult {
  readonly folder: string;
  readonly shards: readonly PackedShard[];
  readonly images: number;
  readonly classes: readonly string[];
  /** Files that cannot be read or decoded. */
  readonly skipped: readonly Unreadable[];
  readonly seconds: number;
}

/**
 * Packs a data set (a folder of classes, archives, a manifest) into archives SPLIT-000000.tar and on of
 * `perShard` images, which `openDataset` reads as the folder, and WebDataset, too: of each image
 * CLASS/0000001.jpg, .cls (the number of its class) and .json (label, split, and its path before). Images
 * that cannot be read are named and skipped. The folder appears whole or not at all. Throws PupilErrors: `usage`,
 * `exists`, `bad-data`, `io`...
 *
 * @example
 * const { shards, images } = await packShards('photos', { out: 'packed', resize: 256 });
 * console.log(images, 'images in', shards.length, 'archives');
 */
export function packShards(source: string, options: PackRequest): Job<RunEvent, PackResult> {
  return new Job(async function* (signal) {
    return yield* packAll(source, checkOptions(packOptions, withSignal(options, signal)));
  }, options);
}

const splits: readonly Split[] = ['train', 'val', 'test', 'unlabelled'];

async function* packAll(source: string, options: PackOptions): AsyncGenerator<RunEvent, PackResult, undefined> {
  const started = performance.now();
  const { out: folder, labels = true, shuffle = false, seed, skip, signal } = options;
  if (seed !== undefined && !shuffle)
    throw new PupilError('usage', '`seed` has no use without `shuffle`; leave it out', { option: 'seed' });
  if (folder === undefined)
    throw new PupilError('usage', 'shards needs a new folder to write into: `out: FOLDER`', { option: 'out' });
  await refuseExistingFolder('out', folder);
  const opening = { hashes: false, signal, skip };
  const dataset = labels ? await openDataset(source, opening) : await openImages([source], opening);
  for (const message of dataset.notes) yield { type: 'note', message };
  const unreadable: Unreadable[] = [];
  const note = (found: readonly Unreadable[]): void => {
    unreadable.push(...found);
    assertSkippable(unreadable, { skip });
  };
  note(dataset.unreadable);
  // Archives of an interrupted command would be read as a whole data set.
  for (const left of await abandonedDrafts(folder)) await rm(left, { recursive: true, force: true });
  const draft = draftOf(folder);
  try {
    const shards = yield* writeShards(draft, { dataset, options, note });
    if (shards.length === 0) throw new PupilError('bad-data', `${source}: no images to pack`);
    yield* warnUnreadable(unreadable);
    const result: PackResult = {
      folder,
      shards: shards.map(({ file, ...others }) => ({ file: join(folder, file), ...others })),
      images: shards.reduce((sum, { images }) => sum + images, 0),
      classes: dataset.classes,
      skipped: skippedOf(unreadable),
      seconds: (performance.now() - started) / 1000,
    };
    const { seconds: _, folder: __, ...index } = result;
    await writeFileAtomically(join(draft, 'shards.json'), `${JSON.stringify(index, null, 2)}\n`);
    await rename(draft, folder).catch((error: unknown) => {
      throw writeError(folder, error);
    });
    return result;
  } catch (error) {
    if (!(error instanceof PupilError)) throw error;
    throw new PupilError(error.code, error.message.replaceAll(draft, folder), error);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

interface PackWork {
  readonly dataset: Dataset;
  readonly options: PackOptions;
  /** Is told what cannot be read. */
  readonly note: (found: readonly Unreadable[]) => void;
}

/** Writes all archives into a folder; `file` of each is its name there. */
async function* writeShards(folder: string, work: PackWork): AsyncGenerator<RunEvent, PackedShard[], undefined> {
  const { dataset, options } = work;
  const { perShard = 10_000, shuffle = false, seed } = options;
  return yield* reporting('packing', 'images', async (report) => {
    const all: PackedShard[] = [];
    let done = 0;
    for (const split of splits) {
      const listed = dataset.samples.filter((sample) => sample.split === split);
      const samples = shuffle ? new Random(seed ?? 0, 'pack', split).shuffle(listed) : listed;
      for (let start = 0; start < samples.length; start += perShard) {
        const name = `${split}-${String(start / perShard).padStart(6, '0')}.tar`;
        const some = samples.slice(start, start + perShard);
        const onImage = (): void => report(++done, dataset.samples.length);
        const written = await writeShard(join(folder, name), some, start, { ...work, onImage });
        all.push({ file: name, ...written });
      }
    }
    return all;
  });
}

interface ShardContext extends PackWork {
  readonly onImage: () => void;
}

/** Writes one archive whole or not at all. `first`: the number of its first image. */
async function writeShard(
  path: string,
  samples: readonly Sample[],
  first: number,
  { dataset, options, note, onImage }: ShardContext,
): Promise<Omit<PackedShard, 'file'>> {
  const hash = createHash('sha256');
  let bytes = 0,
    images = 0;
  await replaceFile(path, async (handle) => {
    const archive = pack();
    /** Why the disk does not take it; the archive only says that it was closed. */
    let refused: unknown;
    const put = async (chunk: Uint8Array): Promise<void> => {
      for (let done = 0; done < chunk.length;) done += (await handle.write(chunk, done)).bytesWritten;
    };
    const write = async (): Promise<void> => {
      for await (const chunk of archive as AsyncIterable<Uint8Array>) {
        hash.update(chunk);
        bytes += chunk.length;
        await put(chunk).catch((error: unknown) => {
          throw (refused = error);
        });
      }
    };
    const written = write();
    written.catch(() => undefined); // reported when it is awaited
    try {
      for (const [i, sample] of samples.entries()) {
        options.signal?.throwIfAborted();
        const content = await contentOf(sample, options.resize).catch((error: unknown) => {
          note([{ path: sample.path, reason: reasonFor(sample, error) }]);
        });
        if (content !== undefined) {
          await addImage(archive, sample, content, first + i, dataset.classes);
          images++;
        }
        onImage();
      }
      archive.finalize();
    } catch (error) {
      archive.destroy();
      await written.catch(() => undefined);
      throw refused ?? error;
    }
    await written;
  });
  return { images, bytes, sha256: hash.digest('hex') };
}

interface Content {
  readonly bytes: Uint8Array;
  readonly extension: string;
}

const extensions: Readonly<Record<string, string>> = { JPEG: 'jpg' };

/** An image's file, or a smaller one of it. */
async function contentOf(sample: Sample, short: number | undefined): Promise<Content> {
  const { source, path, format } = sample;
  if (source.kind === 'pixels') throw new PupilError('bad-data', `${path}: no file`);
  if (short !== undefined) {
    const image = await decodeSample(sample);
    if (Math.min(image.width, image.height) > short)
      return { bytes: await encodePhoto(resizeShort(image, short, 'bicubic')), extension: 'jpg' };
  }
  return { bytes: await readSource(source, path), extension: extensions[format] ?? format.toLowerCase() };
}

/** Adds an image and what is known of it. */
async function addImage(
  archive: Pack,
  { label, split, path }: Sample,
  { bytes, extension }: Content,
  place: number,
  classes: readonly string[],
): Promise<void> {
  const name = label < 0 ? undefined : classes[label]!;
  const key = `${name === undefined ? '' : `${name}/`}${String(place).padStart(9, '0')}`;
  const add = (end: string, content: Uint8Array | string): Promise<void> =>
    new Promise((resolve, reject) => {
      // The same images give the same bytes.
      const header = { name: `${key}.${end}`, mtime: new Date(0) };
      archive.entry(header, Buffer.from(content), (error) => (error ? reject(error) : resolve()));
    });
  await add(extension, bytes);
  if (name !== undefined) await add('cls', String(label));
  await add('json', JSON.stringify({ label: name, split, path }));
}
