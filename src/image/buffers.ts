/**
 * Bytes that are used again. A photo of 224x224 takes 150 KB and passes through several kernels, so
 * fresh arrays for each would keep the garbage collector busy. Photos come in many sizes, so memory
 * is handed out in steps of an eighth of a power of two. One free list a thread.
 */
const free = new Map<number, ArrayBuffer[]>();
/** What was made here: an array over anything else is not taken back. */
const made = new WeakSet<ArrayBuffer>();
/** Buffers of one size that are kept at most. */
const kept = 4;
/** Bytes that are kept at most. */
const keptBytes = 32 * 2 ** 20;
let freeBytes = 0;

/** `length` rounded up to a multiple of an eighth of its power of two, at least 64. */
function roomFor(length: number): number {
  if (length <= 512) return Math.max(64, (length + 63) & ~63);
  const step = 2 ** (28 - Math.clz32(length - 1));
  return Math.ceil(length / step) * step;
}

/** An array of `length` bytes with anything in it: whoever takes it writes every byte. */
export function allocate(length: number): Uint8Array<ArrayBuffer> {
  const room = roomFor(length);
  let buffer = free.get(room)?.pop();
  if (buffer === undefined) {
    buffer = new ArrayBuffer(room);
    made.add(buffer);
  } else freeBytes -= room;
  return new Uint8Array(buffer, 0, length);
}

/**
 * Gives an array of `allocate` back; any other is ignored. Only its owner may, once, and nobody may
 * look at it afterwards.
 */
export function release(data: Uint8Array): void {
  const { buffer } = data;
  if (!(buffer instanceof ArrayBuffer) || !made.has(buffer)) return;
  const room = buffer.byteLength;
  let list = free.get(room);
  if (list === undefined) free.set(room, (list = []));
  if (room === 0 || list.length >= kept || freeBytes + room > keptBytes || list.includes(buffer)) return;
  list.push(buffer);
  freeBytes += room;
}
