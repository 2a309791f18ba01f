/**
 * Bytes that are used again. A photo of 224x224 takes 150 KB and passes through several kernels, so fresh arrays for each would
 * keep the garbage collector busy. One free list a thread.
 */
const free = new Map<number, Uint8Array[]>();
/** Arrays of one length that are kept at most. */
const kept = 4;
/** Lengths that are kept at most: photos come in few sizes after the first crop. */
const lengths = 16;

/** An array of `length` bytes with anything in it: whoever takes it writes every byte. */
export function allocate(length: number): Uint8Array<ArrayBuffer> {
  return (free.get(length)?.pop() as Uint8Array<ArrayBuffer> | undefined) ?? new Uint8Array(length);
}

/** Gives an array back. Only its owner may, and nobody may look at it afterwards; an array over part of a buffer is ignored. */
export function release(data: Uint8Array): void {
  if (!(data.buffer instanceof ArrayBuffer) || data.byteLength !== data.buffer.byteLength) return;
  let list = free.get(data.length);
  if (list === undefined) {
    if (free.size >= lengths) free.delete(free.keys().next().value!);
    free.set(data.length, list = []);
  }
  if (list.length < kept) list.push(data);
}
