/**
 * Features of images in a folder, so that a network runs over each image once. A file holds those
 * of some images in safetensors format: their hashes, uint8 [count, 16], and of every layer the
 * features, float32 [count, size]. It is called by its own SHA-256; one that does not match its name
 * is damaged and removed, and its images are computed again.
 */
import { createHash } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { markUsed, removeOldest } from '../data/disk-cache.js';
import { sweepDrafts } from '../drafts.js';
import { PupilError } from '../errors.js';
import { encodeSafetensors, readSafetensors, readTensor, type TensorFile } from '../safetensors.js';
import { float32, tensor, type Tensor } from '../tensor.js';
import { writeFileAtomically } from './files.js';

/** Rows of a layer by image, row-major [count, size]. */
export interface LayerRows {
  readonly name: string;
  readonly size: number;
  readonly features: Float32Array;
}

export interface FeatureStore {
  /**
   * Fills in the rows of the images `hashes` at `places` (default: all) that are known in all `layers`; the places of
   * the others are returned. One file at a time is in memory.
   */
  fill(hashes: readonly string[], layers: readonly LayerRows[], places?: readonly number[]): Promise<number[]>;
  /** Adds a file with the rows of these images. Throws `io`. */
  add(hashes: readonly string[], layers: readonly LayerRows[]): Promise<void>;
}

/** Of content hashes, 32 hexadecimal digits. */
const hashBytes = 16;
const hashesName = 'images';
const layerName = (name: string): string => `layer ${name}`;
const extension = '.safetensors';

/** Opens a folder of features of one network; it is made when something is added. */
export const openFeatureStore = (folder: string): FeatureStore => ({
  async fill(hashes, layers, wanted = [...hashes.keys()]) {
    const missing = new Set(wanted);
    const places = new Map<string, number[]>();
    for (const place of wanted) places.set(hashes[place]!, [...(places.get(hashes[place]!) ?? []), place]);
    await sweepDrafts(folder);
    for (const file of await filesIn(folder)) {
      if (missing.size === 0) break;
      const named = await hashesIn(file);
      if (named?.some((hash) => places.get(hash)?.some((place) => missing.has(place))) === false) continue;
      const tensors = await readWhole(file);
      const known = hashesOf(tensors?.get(hashesName));
      const sources = layers.map(({ name, size }) => rowsOf(tensors?.get(layerName(name)), size));
      if (known === undefined || !sources.every((source) => source !== undefined)) continue;
      await markUsed(file);
      for (const [row, hash] of known.entries()) {
        for (const place of places.get(hash) ?? []) {
          layers.forEach(({ size, features }, i) =>
            features.set(sources[i]!.subarray(row * size, (row + 1) * size), place * size),
          );
          missing.delete(place);
        }
      }
    }
    return [...missing];
  },
  async add(hashes, layers) {
    const count = hashes.length;
    if (count === 0) return;
    const bytes = encodeSafetensors(
      new Map<string, Tensor>([
        [hashesName, tensor('uint8', [count, hashBytes], new Uint8Array(Buffer.from(hashes.join(''), 'hex')))],
        ...layers.map(
          ({ name, size, features }) =>
            [layerName(name), float32([count, size], features.subarray(0, count * size))] as const,
        ),
      ]),
    );
    const name = createHash('sha256').update(bytes).digest('hex');
    await writeFileAtomically(join(folder, name + extension), bytes);
  },
});

/**
 * The features of one network that all commands share, in a folder below `root` that is called `key`. All networks
 * together take at most `limit` bytes: those used longest ago are removed first. A disk that does not take what is
 * added is no reason to stop.
 */
export function openFeatureCache(root: string, key: string, limit: number): FeatureStore {
  const store = openFeatureStore(join(root, key));
  return {
    ...store,
    async add(hashes, layers) {
      const bytes = hashes.length * layers.reduce((sum, { size }) => sum + 4 * size, hashBytes);
      if (bytes > limit) return;
      await removeOldest(root, limit - bytes, extension);
      await store.add(hashes, layers).catch((error: unknown) => {
        if (!(error instanceof PupilError)) throw error;
      });
    },
  };
}

const filesIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder).catch(() => []))
    .filter((name) => /^[0-9a-f]{64}\.safetensors$/.test(name))
    .sort()
    .map((name) => join(folder, name));

/** The images that a file is of, as far as it can be told without reading all of it. */
const hashesIn = async (path: string): Promise<string[] | undefined> =>
  hashesOf(await readTensor(path, hashesName).catch(() => undefined));

/** The tensors of a file that is as it was written; another is removed. */
async function readWhole(path: string): Promise<TensorFile['tensors'] | undefined> {
  try {
    const { tensors, sha256 } = await readSafetensors(path);
    if (path.endsWith(sha256 + extension)) return tensors;
  } catch (error) {
    if (!(error instanceof PupilError)) throw error;
    if (error.code !== 'bad-data') return undefined; // taken away meanwhile, or not to be read
  }
  await rm(path, { force: true }).catch(() => undefined);
  return undefined;
}

const hashesOf = (images: Tensor | undefined): string[] | undefined =>
  images?.data instanceof Uint8Array
    ? Array.from({ length: images.data.length / hashBytes }, (_, row) =>
        Buffer.from((images.data as Uint8Array).subarray(row * hashBytes, (row + 1) * hashBytes)).toString('hex'),
      )
    : undefined;

/** The numbers of a layer of that size. */
const rowsOf = (layer: Tensor | undefined, size: number): Float32Array | undefined =>
  layer?.data instanceof Float32Array && layer.dims[1] === size ? layer.data : undefined;
