import type { Image } from '../image/image.js';
import type { Location } from './batch.js';
import type { Pool } from './pool.js';

/** Shared memory for images, slab after slab, as long as the pool's limit allows. */
export interface Shelf {
  /** Copies the image there; undefined when the limit is reached. */
  put(image: Image): Location | undefined;
  /** Whether an image that did not fit would not fit now, either. */
  full(): boolean;
  /** Gives the memory back to the pool. */
  release(): void;
}

const slabSize = 32 * 2 ** 20;

export function createShelf({ memory }: Pick<Pool, 'memory'>): Shelf {
  let slab: SharedArrayBuffer | undefined;
  let position = 0,
    taken = 0;
  /** Bytes of the smallest image that did not fit. */
  let refused = Infinity;
  const left = (): number => Math.max(memory.limit - memory.used, slab === undefined ? 0 : slab.byteLength - position);
  return {
    put({ width, height, data }) {
      if (slab === undefined || position + data.length > slab.byteLength) {
        // The last slab before the limit is cut to what is left of it.
        const free = memory.limit - memory.used;
        const size = Math.max(data.length, Math.min(slabSize, free));
        if (size > free) {
          refused = Math.min(refused, data.length);
          return undefined;
        }
        slab = new SharedArrayBuffer(size);
        position = 0;
        memory.used += size;
        taken += size;
      }
      new Uint8Array(slab, position, data.length).set(data);
      const location: Location = { kind: 'memory', pixels: slab, offset: position, width, height };
      position += data.length;
      return location;
    },
    full: () => left() < refused && refused < Infinity,
    release() {
      memory.used -= taken;
      taken = 0;
    },
  };
}
