/**
 * Features of images in a folder, so that a network runs over each image once. A file holds those
 * of some images in safetensors format: their hashes, uint8 [count, 16], and of every layer the
 * features, float32 [count, size]. It is called by its own SHA-256; one that does not match its name
 * is damaged and removed, and its images are computed again.
 */
import { createHash } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sweepDrafts } from '../drafts.js';
import { PupilError } from '../errors.js';
import { encodeSafetensors, readSafetensors, type TensorFile } from '../safetensors.js';
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
   * Fills in the rows of the images `hashes` that are known in all `layers`; the places of the others
   * among them are returned. One file at a time is in memory.
   */
  fill(hashes: readonly string[], layers: readonly LayerRows[]): Promise<number[]>;
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
  async fill(hashes, layers) {
    const missing = new Set(hashes.keys());
    const places = new Map<string, number[]>();
    hashes.forEach((hash, place) => places.set(hash, [...(places.get(hash) ?? []), place]));
    await sweepDrafts(folder);
    for (const file of await filesIn(folder)) {
      if (missing.size === 0) break;
      const tensors = await readWhole(file);
      const stored = tensors?.get(hashesName)?.data;
      const sources = layers.map(({ name, size }) => rowsOf(tensors?.get(layerName(name)), size));
      if (!(stored instanceof Uint8Array) || !sources.every((source) => source !== undefined)) continue;
      for (let row = 0; row < stored.length / hashBytes; row++) {
        const hash = Buffer.from(stored.subarray(row * hashBytes, (row + 1) * hashBytes)).toString('hex');
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

const filesIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder).catch(() => []))
    .filter((name) => /^[0-9a-f]{64}\.safetensors$/.test(name))
    .sort()
    .map((name) => join(folder, name));

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

/** The numbers of a layer of that size. */
const rowsOf = (layer: Tensor | undefined, size: number): Float32Array | undefined =>
  layer?.data instanceof Float32Array && layer.dims[1] === size ? layer.data : undefined;
