/** Values of one exchange at most: long enough to use the network well, short enough to need little room. */
const most = 4 * 2 ** 20;

/** Has arrays changed in place by `change`, many small ones together and large ones in pieces. */
export async function inBuckets(
  arrays: readonly Float32Array[],
  change: (bucket: Float32Array) => Promise<void>,
  length = most,
): Promise<void> {
  const total = arrays.reduce((sum, array) => sum + array.length, 0);
  const room = new Float32Array(Math.min(total, length));
  let pieces: Float32Array[] = [],
    used = 0;
  const flush = async (): Promise<void> => {
    if (used === 0) return;
    await change(room.subarray(0, used));
    let from = 0;
    for (const piece of pieces) {
      piece.set(room.subarray(from, from + piece.length));
      from += piece.length;
    }
    pieces = [];
    used = 0;
  };
  for (const array of arrays)
    for (let from = 0; from < array.length;) {
      const piece = array.subarray(from, from + room.length - used);
      room.set(piece, used);
      pieces.push(piece);
      used += piece.length;
      from += piece.length;
      if (used === room.length) await flush();
    }
  await flush();
}
