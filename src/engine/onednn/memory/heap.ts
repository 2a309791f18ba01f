import { invariant } from '../../../errors.js';

/** A piece of memory that stays where it is until it is released. */
export interface Block {
  readonly bytes: number;
  /**
   * Position in the heap's WebAssembly memory; undefined for a block of its own, which such code
   * cannot reach.
   */
  readonly offset: number | undefined;
  /** The bytes; ask again after every allocation. */
  view(): Uint8Array;
  release(): void;
}

/**
 * Memory for tensors in one WebAssembly memory, so that oneDNN, TypeScript and our small generated
 * loops work on the same bytes, and other threads may. What does not fit its 4 GB lies in buffers of its own.
 */
export interface Heap {
  readonly memory: WebAssembly.Memory;
  /** Changes when views have to be made anew. */
  readonly version: number;
  /** Zeros at first, or whatever was there: write before reading. Starts at a multiple of 64. */
  allocate(bytes: number): Block;
}

const page = 65536,
  pages = 65535,
  alignment = 64;
const aligned = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;

/** Memory that grows from `initial` pages of 64 KiB and that threads share. */
export const createMemory = (initial = 1): WebAssembly.Memory =>
  new WebAssembly.Memory({ initial, maximum: pages, shared: true });

/** An empty heap; it grows as needed. `addressOf` finds where a buffer starts. */
export function createHeap(addressOf: (buffer: ArrayBuffer) => number): Heap {
  const memory = createMemory();
  let free: { offset: number; bytes: number }[] = [{ offset: 0, bytes: page }];
  let version = 0;

  const merge = (): void => {
    free.sort((a, b) => a.offset - b.offset);
    const joined: typeof free = [];
    for (const gap of free) {
      const last = joined.at(-1);
      if (last && last.offset + last.bytes === gap.offset) last.bytes += gap.bytes;
      else joined.push(gap);
    }
    free = joined;
  };
  const grow = (bytes: number): boolean => {
    const size = memory.buffer.byteLength,
      end = free.at(-1),
      open = end && end.offset + end.bytes === size ? end.bytes : 0;
    try {
      memory.grow(Math.ceil((bytes - open) / page));
    } catch {
      return false;
    }
    version++;
    free.push({ offset: size, bytes: memory.buffer.byteLength - size });
    merge();
    return true;
  };
  const take = (bytes: number): number | undefined => {
    const gap = free.filter((candidate) => candidate.bytes >= bytes).sort((a, b) => a.bytes - b.bytes)[0];
    if (!gap) return grow(bytes) ? take(bytes) : undefined;
    const { offset } = gap;
    gap.offset += bytes;
    gap.bytes -= bytes;
    free = free.filter((other) => other.bytes > 0);
    return offset;
  };
  const ownBlock = (bytes: number): Block => {
    const buffer = new ArrayBuffer(bytes + alignment);
    const view = new Uint8Array(buffer, (alignment - (addressOf(buffer) % alignment)) % alignment, bytes);
    return { bytes, offset: undefined, view: () => view, release: () => {} };
  };

  return {
    memory,
    get version() {
      return version;
    },
    allocate(wanted) {
      const bytes = aligned(Math.max(1, wanted));
      const offset = take(bytes);
      if (offset === undefined) return ownBlock(bytes);
      let held = true;
      return {
        bytes,
        offset,
        view: () => new Uint8Array(memory.buffer, offset, bytes),
        release() {
          invariant(held, 'a block was released twice');
          held = false;
          free.push({ offset, bytes });
          merge();
        },
      };
    },
  };
}
