/** Processes that train one network together: what they exchange, and how they end together. */
import { invariant, PupilError, type ErrorCode } from '../errors.js';
import { float32, type Tensor } from '../tensor.js';
import { whole, type Communicator, type Slice } from './communicator.js';
import { inBuckets } from './buckets.js';

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
  /** Ends all ranks with this error; throws the one that all end with. */
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
  async fail(error) {
    await Promise.resolve();
    throw error;
  },
  end: () => Promise.resolve(),
};

export interface RanksOptions {
  /** Seconds between two pulses of a rank that is at work. Default 5. */
  readonly pulse?: number;
  /** Seconds without an answer after which another rank is taken for lost. Default 40. */
  readonly patience?: number;
  /** Seconds that a rank has left to say that another was lost, before all are ended. Default 5. */
  readonly grace?: number;
  /** Of this rank: stops all. */
  readonly signal?: AbortSignal | undefined;
  /** Told that another rank was lost, before all are ended. */
  readonly onLost?: ((error: PupilError) => void) | undefined;
}

/** Makes ranks of processes that are connected. */
export const createRanks = (communicator: Communicator, options: RanksOptions = {}): Ranks =>
  new Group(communicator, options);

/** What a rank that failed tells the others. */
interface Failure {
  readonly kind: 'mistake' | 'fault';
  readonly code: ErrorCode;
  readonly message: string;
  readonly option?: string | undefined;
}

class Group implements Ranks {
  readonly rank: number;
  readonly size: number;
  readonly leads: boolean;
  isStopped = false;
  readonly #communicator: Communicator;
  readonly #pulse: number;
  readonly #patience: number;
  readonly #grace: number;
  readonly #told: AbortSignal | undefined;
  readonly #onLost: RanksOptions['onLost'];
  readonly #abort = new AbortController();
  /** The exchange that this rank waits at. */
  #waiting: { readonly run: () => Promise<void>; readonly leave: () => void } | undefined;
  /** The error of this rank. */
  #error: unknown;
  /** The error that all end with. */
  #failure: { readonly error: unknown } | undefined;
  #isOver = false;
  #wake = (): void => undefined;
  readonly #ended: Promise<void>;

  constructor(communicator: Communicator, { pulse = 5, patience = 40, grace = 5, signal, onLost }: RanksOptions) {
    ({ rank: this.rank, size: this.size } = communicator);
    this.leads = this.rank === 0;
    this.#communicator = communicator;
    this.#pulse = pulse;
    this.#patience = patience;
    this.#grace = grace;
    this.#told = signal;
    this.#onLost = onLost;
    this.#ended = this.#beat();
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  sum(values: readonly Float32Array[]): Promise<void> {
    return this.#exchange(() => inBuckets(values, (bucket) => this.#allReduce(bucket)));
  }

  share<T>(value: T | undefined): Promise<T> {
    return this.#exchange(async () => {
      const told = new TextEncoder().encode(this.leads ? JSON.stringify(value ?? null) : '');
      return JSON.parse(new TextDecoder().decode(await this.#tell(told, 0))) as T;
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
        ({ buffer, byteOffset, byteLength }) => this.#broadcast(new Uint8Array(buffer, byteOffset, byteLength), 0),
      ),
    );
    return shared;
  }

  async fail(error: unknown): Promise<never> {
    this.#error = error;
    this.#wake();
    await this.#ended;
    const { error: common } = this.#failure ?? { error };
    // What all have found alike, such as a request to stop, is told in the words of the first.
    const isAlike = common instanceof PupilError && error instanceof PupilError && common.code === error.code;
    throw this.leads && isAlike ? error : common;
  }

  async end(): Promise<void> {
    await this.#exchange(() => {
      this.#isOver = true;
      return Promise.resolve();
    });
    await this.#ended;
  }

  /** Waits until all ranks are here, and makes the same exchange with them. */
  async #exchange<T>(collective: () => Promise<T>): Promise<T> {
    if (this.#failure) throw this.#failure.error;
    invariant(!this.#waiting, 'an exchange at a time');
    let outcome: Promise<T> | undefined;
    await new Promise<void>((leave) => {
      const run = async (): Promise<void> => {
        outcome = collective();
        leave();
        await outcome;
      };
      this.#waiting = { run, leave };
      this.#wake();
    });
    if (!outcome) throw this.#failure!.error;
    return outcome;
  }

  /**
   * Tells the others again and again whether this rank is still at work, waits at an exchange, or
   * has failed; when all wait, they make the exchange.
   */
  async #beat(): Promise<void> {
    try {
      for (;;) {
        await this.#due();
        const waiting = this.#waiting;
        const failed = this.#error !== undefined;
        const counts = Float32Array.of(
          Number(waiting !== undefined),
          Number(failed),
          Number(this.#told?.aborted === true),
        );
        await this.#allReduce(counts);
        const [arrived, failures = 0, stops = 0] = counts;
        if (failures > 0) return this.#end(await this.#failureOfAll());
        if (arrived !== this.size) continue;
        this.isStopped = stops > 0;
        this.#waiting = undefined;
        await waiting!.run();
        if (this.#isOver) return;
      }
    } catch (error) {
      this.#end(error);
      if (error instanceof PupilError) this.#onLost?.(error);
      setTimeout(() => this.#communicator.abort(1), this.#grace * 1000);
    }
  }

  /** When the others are to be told: at an exchange or a failure now, else after a while. */
  #due(): Promise<void> {
    if (this.#waiting || this.#error !== undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#pulse * 1000);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #end(error: unknown): void {
    this.#failure = { error };
    this.#waiting?.leave();
    this.#waiting = undefined;
    this.#abort.abort(error);
  }

  /** The error of the first rank that failed. */
  async #failureOfAll(): Promise<unknown> {
    const failed = new Float32Array(this.size);
    failed[this.rank] = Number(this.#error !== undefined);
    await this.#allReduce(failed);
    const first = failed.findIndex((value) => value > 0);
    const isMine = first === this.rank;
    const told = new TextEncoder().encode(isMine ? JSON.stringify(describe(this.#error, this.#communicator)) : '');
    const failure = JSON.parse(new TextDecoder().decode(await this.#tell(told, first))) as Failure;
    return isMine && this.leads ? this.#error : errorOf(failure);
  }

  /** The bytes of a rank, of which only that one knows how many there are. */
  async #tell(bytes: Uint8Array, root: number): Promise<Uint8Array> {
    const length = new Uint8Array(new Uint32Array([bytes.length]).buffer);
    await this.#broadcast(length, root);
    const all = root === this.rank ? bytes : new Uint8Array(new Uint32Array(length.buffer)[0]!);
    if (all.length > 0) await this.#broadcast(all, root);
    return all;
  }

  #allReduce(values: Float32Array): Promise<void> {
    return this.#limited(this.#communicator.allReduce(values));
  }

  #broadcast(bytes: Uint8Array, root: number): Promise<void> {
    return this.#limited(this.#communicator.broadcast(bytes, root));
  }

  /** Throws `crashed` when the others do not answer. */
  async #limited(exchange: Promise<void>): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const lost = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(this.#lost()), this.#patience * 1000);
    });
    try {
      await Promise.race([exchange, lost]);
    } finally {
      clearTimeout(timer);
    }
  }

  #lost(): PupilError {
    return new PupilError(
      'crashed',
      `the exchange between ${this.size} ranks timed out: for ${this.#patience} s another rank has not answered ` +
        `rank ${this.rank} (${this.#communicator.place}); it died, or a connection was cut`,
    );
  }
}

/** An error as the other ranks are told it. */
function describe(error: unknown, { rank, place }: Communicator): Failure {
  const message = error instanceof Error ? error.message : String(error);
  const where = rank === 0 ? '' : `rank ${rank} (${place}): `;
  return error instanceof PupilError
    ? { kind: 'mistake', code: error.code, message: where + message, option: error.option }
    : { kind: 'fault', code: 'crashed', message: where + message };
}

const errorOf = ({ kind, code, message, option }: Failure): Error =>
  kind === 'mistake' ? new PupilError(code, message, { option }) : new Error(message);
