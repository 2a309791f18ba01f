/** One process of several that work together, by its number from 0. */
export interface Slice {
  readonly rank: number;
  readonly size: number;
}

/** A process that works alone. */
export const whole: Slice = { rank: 0, size: 1 };

/**
 * What processes that train one network together need of their connection: MPI, or memory in tests.
 * Every rank makes the same calls in the same order.
 */
export interface Communicator extends Slice {
  /** The process in words: its machine and its number there. */
  readonly place: string;
  /** Replaces the values by their sums over all ranks. */
  allReduce(values: Float32Array): Promise<void>;
  /** Replaces the bytes by those of the rank `root`. */
  broadcast(bytes: Uint8Array, root: number): Promise<void>;
  /** Parts from the others, when all are done. */
  close(): Promise<void>;
  /** Ends all ranks at once, of which one is lost. */
  abort(exitCode: number): void;
}

/** The rows of a rank among `count` that are cut in equal parts. */
export function rowsOf({ rank, size }: Slice, count: number): { readonly from: number; readonly count: number } {
  const own = count / size;
  return { from: rank * own, count: own };
}
