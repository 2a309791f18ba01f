import type { Communicator } from './communicator.js';

/**
 * Ranks within one process, for tests: each call waits until all have made it. A rank that
 * `abort`s, or is left out of a call, leaves the others waiting as a lost process does.
 */
export function ranksInMemory(size: number): Communicator[] {
  let waiting: { readonly values: Float32Array | Uint8Array; readonly done: () => void }[] = [];
  const meet = (
    values: Float32Array | Uint8Array,
    rank: number,
    meeting: (all: readonly (Float32Array | Uint8Array)[]) => void,
  ): Promise<void> =>
    new Promise((done) => {
      waiting[rank] = { values, done };
      if (waiting.filter(Boolean).length < size) return;
      const all = waiting;
      waiting = [];
      meeting(all.map((one) => one.values));
      for (const one of all) one.done();
    });
  return Array.from({ length: size }, (_, rank) => ({
    rank,
    size,
    place: `process ${rank}`,
    allReduce: (values) =>
      meet(values, rank, (all) => {
        const sums = new Float32Array(values.length);
        for (const one of all) for (let i = 0; i < sums.length; i++) sums[i] = sums[i]! + one[i]!;
        for (const one of all) one.set(sums);
      }),
    broadcast: (bytes, root) =>
      meet(bytes, rank, (all) => {
        for (const one of all) if (one !== all[root]) one.set(all[root]!);
      }),
    close: () => Promise.resolve(),
    abort: () => undefined,
  }));
}
