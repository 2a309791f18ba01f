/**
 * The hot loops, compiled to WebAssembly with 16-byte vectors (`npm run generate` writes src/image/generated/kernels.ts). They work on
 * addresses in one memory, which src/image/compiled.ts lays out and fills; nothing is allocated here.
 */
export { taps, horizontal, vertical } from './resize';
export { lookUp, lookUpChannels, countChannels, sumLuma, saturate, sharpen } from './colour';
export { mirror, nearest } from './geometry';

/** The first address that the caller may use, a multiple of 16. */
export function heapBase(): usize {
  return (__heap_base + 15) & ~15;
}
