/**
 * The compiled kernels of assembly/: one instance a thread, with one memory that every call lays
 * out anew.
 */
import { allocate } from './buffers.js';
import { binary } from './generated/kernels.js';

/** What assembly/index.ts exports; numbers are addresses, sizes in pixels, or flags. */
export interface Kernels {
  readonly memory: WebAssembly.Memory;
  heapBase(): number;
  taps(
    sourceSize: number,
    start: number,
    length: number,
    outputSize: number,
    cubic: number,
    pairs: number,
    target: number,
    weights: number,
    row: number,
  ): void;
  horizontal(
    source: number,
    width: number,
    rows: number,
    target: number,
    outputWidth: number,
    taps: number,
    weights: number,
    pairs: number,
  ): void;
  vertical(
    source: number,
    line: number,
    top: number,
    height: number,
    target: number,
    outputHeight: number,
    taps: number,
    weights: number,
    pairs: number,
  ): void;
  lookUp(source: number, target: number, length: number, table: number): void;
  lookUpChannels(source: number, target: number, length: number, table: number): void;
  countChannels(source: number, pixels: number, bins: number): void;
  sumLuma(source: number, pixels: number): number;
  saturate(source: number, target: number, pixels: number, factor: number): void;
  sharpen(source: number, target: number, width: number, height: number, factor: number): void;
  mirror(source: number, target: number, width: number, height: number): void;
  nearest(
    source: number,
    target: number,
    width: number,
    height: number,
    startX: number,
    startY: number,
    stepX: number,
    stepY: number,
    downX: number,
    downY: number,
    fill: number,
  ): void;
}

/**
 * Bytes of memory that are kept between calls; what a call needs beyond that is given back before
 * the next.
 */
const keptBytes = 64 * 2 ** 20;
/** Bytes that a call may take at most. */
const mostBytes = 512 * 2 ** 20;

let compiled: WebAssembly.Module | null | undefined;
let instance: Kernels | undefined;
let start = 0;

function load(): Kernels | undefined {
  if (compiled === undefined) {
    try {
      const off =
        (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env.PUPIL_KERNELS ===
        'plain';
      compiled = off
        ? null
        : new WebAssembly.Module(Uint8Array.from(atob(binary), (character) => character.charCodeAt(0)));
    } catch {
      compiled = null; // no WebAssembly here, or none with vectors
    }
  }
  if (compiled === null) return undefined;
  if (instance === undefined || instance.memory.buffer.byteLength > keptBytes) {
    instance = new WebAssembly.Instance(compiled).exports as unknown as Kernels;
    start = instance.heapBase();
  }
  return instance;
}

/**
 * Turns the compiled kernels off, or on again, in this thread; what uses them has another way.
 * `PUPIL_KERNELS=plain` does it for a process.
 */
export function useCompiledKernels(on: boolean): void {
  compiled = on ? undefined : null;
  instance = undefined;
}

/**
 * The kernels with room for areas of these sizes (bytes), and where those begin; undefined where
 * there are no kernels or not that much room.
 */
export function reserve(
  ...sizes: readonly number[]
): { readonly kernels: Kernels; readonly addresses: number[] } | undefined {
  const kernels = load();
  if (kernels === undefined) return undefined;
  const addresses: number[] = [];
  let end = start;
  for (const size of sizes) {
    addresses.push(end);
    // Kernels read and write whole vectors, past the end of an area.
    end = (end + size + 79) & ~15;
    if (end > mostBytes) return undefined;
  }
  const missing = end - kernels.memory.buffer.byteLength;
  try {
    if (missing > 0) kernels.memory.grow(Math.ceil(missing / 65536));
  } catch {
    return undefined;
  }
  return { kernels, addresses };
}

/**
 * Bytes made of as many bytes by a kernel, which is given the addresses of both and of `extra`
 * bytes more; undefined where there are no kernels. The result is from `allocate`.
 */
export function transformed(
  data: Uint8Array,
  extra: number,
  work: (kernels: Kernels, source: number, target: number, more: number, memory: Uint8Array) => void,
): Uint8Array<ArrayBuffer> | undefined {
  const room = reserve(data.length, data.length, extra);
  if (room === undefined) return undefined;
  const { kernels, addresses } = room;
  const source = addresses[0]!,
    target = addresses[1]!;
  const memory = new Uint8Array(kernels.memory.buffer);
  memory.set(data, source);
  work(kernels, source, target, addresses[2]!, memory);
  const result = allocate(data.length);
  result.set(memory.subarray(target, target + data.length));
  return result;
}
