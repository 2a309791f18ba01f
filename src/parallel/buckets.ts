/** Sizes of exchanges, in values. */
interface BucketSizes {
  /** Of one exchange at most: long enough to use the network well. */
  readonly most: number;
  /** Arrays from this length on are exchanged where they lie; shorter ones are put together, for fewer exchanges. */
  readonly large: number;
}

const usual: BucketSizes = { most: 4 * 2 ** 20, large: 2 ** 20 };

/** Has arrays changed in place by `change`, many small ones together and large ones in pieces. */
export async function inBuckets(
  arrays: readonly Float32Array[],
  change: (bucket: Float32Array) => Promise<void>,
  { most, large }: BucketSizes = usual,
): Promise<void> {
  for (const array of arrays)
    if (array.length >= large)
      for (let from = 0; from < array.length; from += most) await change(array.subarray(from, from + most));
  const small = arrays.filter(({ length }) => length < large);
  const room = new Float32Array(
    Math.min(
      small.reduce((sum, { length }) => sum + length, 0),
      Math.max(most, large),
    ),
  );
  for (let first = 0, next = 0; next < small.length; first = next) {
    let used = 0;
    for (; next < small.length && used + small[next]!.length <= room.length; next++) {
      room.set(small[next]!, used);
      used += small[next]!.length;
    }
    if (used === 0) continue;
    await change(room.subarray(0, used));
    let from = 0;
    for (const array of small.slice(first, next)) {
      array.set(room.subarray(from, from + array.length));
      from += array.length;
    }
  }
}
