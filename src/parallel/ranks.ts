/** Processes that train one network together: what they exchange, and how they end together. */
import { invariant } from '../errors.js';
import { float32, type Tensor } from '../tensor.js';
import { whole, type Communicator, type Slice } from './communicator.js';
import { inBuckets } from './buckets.js';
import { createMeeting, type Meeting, type MeetingOptions } from './meeting.js';

/**
 * The ranks of a training. All go through the same exchanges in the same order. Between them each
 * works at its own pace; a pulse tells that all are alive, so that none waits for one that died.
 */
export interface Ranks extends Slice {
  /** Whether this is rank 0, which alone writes files and reports. */
  readonly leads: boolean;
  /** Whether any rank had been told to stop by the last exchange: all find the same. */
  readonly isStopped: boolean;
  /** Aborted when a rank failed or was lost. */
  readonly signal: AbortSignal;
  /** Replaces values, a list of arrays of the same lengths everywhere, by their sums over all ranks. */
  sum(values: readonly Float32Array[]): Promise<void>;
  /** Rank 0's value, JSON. */
  share<T>(value: T | undefined): Promise<T>;
  /** Rank 0's tensors, float32; those of the others have the same names and shapes. */
  shareTensors(tensors: ReadonlyMap<string, Tensor>): Promise<ReadonlyMap<string, Tensor>>;
  /**
   * The same ranks for a part of the work, which every rank begins at the same place: an error in it ends
   * the part on all of them, not the whole.
   */
  part(): Ranks;
  /** Ends all ranks (of a part: the part) with this error; throws the one that all end with. */
  fail(error: unknown): Promise<never>;
  /** Waits for all. */
  end(): Promise<void>;
}

/** A process that works alone: nothing is exchanged. */
export const alone: Ranks = {
  ...whole,
  leads: true,
  isStopped: false,
  signal: new AbortController().signal,
  sum: () => Promise.resolve(),
  share: (value) => Promise.resolve(value!),
  shareTensors: (tensors) => Promise.resolve(tensors),
  part: () => alone,
  async fail(error) {
    await Promise.resolve();
    throw error;
  },
  end: () => Promise.resolve(),
};

export type RanksOptions = MeetingOptions;

/** Makes ranks of processes that are connected. */
export function createRanks(communicator: Communicator, options: RanksOptions = {}): Ranks {
  const meeting = createMeeting(communicator, options);
  return new Group(meeting, {
    fail: (error) => meeting.fail(error),
    end: () => meeting.end(),
  });
}

/** How all work of the ranks ends, or a part of it. */
interface Ends {
  fail(error: unknown): Promise<never>;
  end(): Promise<void>;
}

class Group implements Ranks {
  readonly rank: number;
  readonly size: number;
  readonly leads: boolean;
  readonly #meeting: Meeting;
  readonly #ends: Ends | undefined;
  /** The error that all have left this part with. */
  #left: { readonly error: unknown } | undefined;

  /** Without `ends`: a part. */
  constructor(meeting: Meeting, ends?: Ends) {
    ({ rank: this.rank, size: this.size } = meeting);
    this.leads = this.rank === 0;
    this.#meeting = meeting;
    this.#ends = ends;
  }

  get isStopped(): boolean {
    return this.#meeting.isStopped;
  }

  get signal(): AbortSignal {
    return this.#meeting.signal;
  }

  sum(values: readonly Float32Array[]): Promise<void> {
    return this.#exchange(() => inBuckets(values, (bucket) => this.#meeting.allReduce(bucket)));
  }

  share<T>(value: T | undefined): Promise<T> {
    return this.#exchange(async () => {
      const told = new TextEncoder().encode(this.leads ? JSON.stringify(value ?? null) : '');
      return JSON.parse(new TextDecoder().decode(await this.#meeting.tell(told, 0))) as T;
    });
  }

  async shareTensors(tensors: ReadonlyMap<string, Tensor>): Promise<ReadonlyMap<string, Tensor>> {
    const shared = new Map(
      [...tensors].map(([name, { dims, data }]) => {
        invariant(data instanceof Float32Array, `${name}: only float32 is shared`);
        return [name, float32(dims, data.slice())];
      }),
    );
    await this.#exchange(() =>
      inBuckets(
        [...shared.values()].map(({ data }) => data),
        ({ buffer, byteOffset, byteLength }) =>
          this.#meeting.broadcast(new Uint8Array(buffer, byteOffset, byteLength), 0),
      ),
    );
    return shared;
  }

  part(): Ranks {
    return new Group(this.#meeting);
  }

  async fail(error: unknown): Promise<never> {
    if (this.#ends) return this.#ends.fail(error);
    if (this.#left) throw this.#left.error;
    return this.#exchange(() => Promise.reject(new Error('a rank that leaves exchanges nothing')), { error });
  }

  end(): Promise<void> {
    return this.#ends ? this.#ends.end() : this.#exchange(() => Promise.resolve());
  }

  async #exchange<T>(collective: () => Promise<T>, leaving?: { readonly error: unknown }): Promise<T> {
    if (this.#left) throw this.#left.error;
    const met = await this.#meeting.meet(collective, leaving);
    if ('value' in met) return met.value;
    this.#left = met;
    throw met.error;
  }
}
