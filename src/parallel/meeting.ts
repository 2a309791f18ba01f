/** How processes come together: for an exchange, to leave a part of the work, to end. */
import { invariant, PupilError, type ErrorCode } from '../errors.js';
import type { Communicator } from './communicator.js';

export interface MeetingOptions {
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

/** An error, which may be any value. */
export interface Fault {
  readonly error: unknown;
}

/** What an exchange gave, or the error that a rank left with, which all find in its place. */
export type Met<T> = { readonly value: T } | Fault;

/** The connection of a process with the others, which all meet in the same order. */
export type Meeting = Pick<
  Assembly,
  'rank' | 'size' | 'isStopped' | 'signal' | 'meet' | 'fail' | 'end' | 'tell' | 'allReduce' | 'broadcast'
>;

export const createMeeting = (communicator: Communicator, options: MeetingOptions = {}): Meeting =>
  new Assembly(communicator, options);

/** What a rank that failed tells the others. */
interface Failure {
  readonly kind: 'mistake' | 'fault';
  readonly code: ErrorCode;
  readonly message: string;
  readonly option?: string | undefined;
}

/** A rank that has come to an exchange. */
interface Arrival {
  /** What it will not exchange, but leave with. */
  readonly leaving: Fault | undefined;
  /** Makes the exchange. */
  run(): Promise<void>;
  /** Finds this in place of the exchange. */
  cut(fault: Fault): void;
  /** Waits no longer. */
  leave(): void;
}

class Assembly {
  readonly rank: number;
  readonly size: number;
  /** Whether any rank had been told to stop when all last met. */
  isStopped = false;
  readonly #communicator: Communicator;
  readonly #pulse: number;
  readonly #patience: number;
  readonly #grace: number;
  readonly #told: AbortSignal | undefined;
  readonly #onLost: MeetingOptions['onLost'];
  readonly #abort = new AbortController();
  /** This rank, where it waits for the others. */
  #arrival: Arrival | undefined;
  /** The error of this rank. */
  #error: Fault | undefined;
  /** The error that all end with. */
  #failure: Fault | undefined;
  #isOver = false;
  #wake = (): void => undefined;
  readonly #ended: Promise<void>;

  constructor(communicator: Communicator, { pulse = 5, patience = 40, grace = 5, signal, onLost }: MeetingOptions) {
    ({ rank: this.rank, size: this.size } = communicator);
    this.#communicator = communicator;
    this.#pulse = pulse;
    this.#patience = patience;
    this.#grace = grace;
    this.#told = signal;
    this.#onLost = onLost;
    this.#ended = this.#beat();
  }

  /** Aborted when a rank failed or was lost. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /**
   * Waits until all ranks are here. They make the same exchange, unless one has come to leave: then all find
   * the error of the first that does.
   */
  async meet<T>(collective: () => Promise<T>, leaving?: Fault): Promise<Met<T>> {
    if (this.#failure) throw this.#failure.error;
    invariant(!this.#arrival, 'an exchange at a time');
    let met: Promise<Met<T>> | undefined;
    await new Promise<void>((leave) => {
      const run = async (): Promise<void> => {
        met = collective().then((value) => ({ value }));
        leave();
        await met;
      };
      const cut = (fault: Fault): void => {
        met = Promise.resolve(fault);
        leave();
      };
      this.#arrival = { leaving, run, cut, leave };
      this.#wake();
    });
    if (!met) throw this.#failure!.error;
    return met;
  }

  /** Ends all ranks with this error; throws the one that all end with. */
  async fail(error: unknown): Promise<never> {
    this.#error = { error };
    this.#wake();
    await this.#ended;
    const { error: common } = this.#failure ?? { error };
    // What all have found alike, such as a request to stop, is told in the words of the first.
    const isAlike = common instanceof PupilError && error instanceof PupilError && common.code === error.code;
    throw this.rank === 0 && isAlike ? error : common;
  }

  /** Waits for all; nothing is exchanged afterwards. */
  async end(): Promise<void> {
    await this.meet(() => {
      this.#isOver = true;
      return Promise.resolve();
    });
    await this.#ended;
  }

  /**
   * Tells the others again and again whether this rank is still at work, waits at an exchange, or
   * has failed; when all wait, they make the exchange.
   */
  async #beat(): Promise<void> {
    try {
      for (;;) {
        await this.#due();
        const arrival = this.#arrival;
        const failed = this.#error;
        const counts = Float32Array.of(
          Number(arrival !== undefined),
          Number(failed !== undefined),
          Number(this.#told?.aborted === true),
          Number(arrival?.leaving !== undefined),
        );
        await this.allReduce(counts);
        const [arrived, failures = 0, stops = 0, leavers = 0] = counts;
        if (failures > 0) return this.#end(await this.#faultOfAll(failed));
        if (arrived !== this.size) continue;
        this.isStopped = stops > 0;
        const fault = leavers > 0 ? await this.#faultOfAll(arrival!.leaving) : undefined;
        this.#arrival = undefined;
        if (fault) arrival!.cut(fault);
        else await arrival!.run();
        if (this.#isOver) return;
      }
    } catch (error) {
      this.#end({ error });
      if (error instanceof PupilError) this.#onLost?.(error);
      setTimeout(() => this.#communicator.abort(1), this.#grace * 1000);
    }
  }

  /** When the others are to be told: at an exchange or a failure now, else after a while. */
  #due(): Promise<void> {
    if (this.#arrival || this.#error) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#pulse * 1000);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #end(failure: Fault): void {
    this.#failure = failure;
    this.#arrival?.leave();
    this.#arrival = undefined;
    this.#abort.abort(failure.error);
  }

  /** The error of the first rank that has one; `own`: of this. */
  async #faultOfAll(own: Fault | undefined): Promise<Fault> {
    const failed = new Float32Array(this.size);
    failed[this.rank] = Number(own !== undefined);
    await this.allReduce(failed);
    const first = failed.findIndex((value) => value > 0);
    const isMine = first === this.rank;
    const told = new TextEncoder().encode(isMine ? JSON.stringify(describe(own!.error, this.#communicator)) : '');
    const failure = JSON.parse(new TextDecoder().decode(await this.tell(told, first))) as Failure;
    return isMine && this.rank === 0 ? own! : { error: errorOf(failure) };
  }

  /** The bytes of a rank, of which only that one knows how many there are. */
  async tell(bytes: Uint8Array, root: number): Promise<Uint8Array> {
    const length = new Uint8Array(new Uint32Array([bytes.length]).buffer);
    await this.broadcast(length, root);
    const all = root === this.rank ? bytes : new Uint8Array(new Uint32Array(length.buffer)[0]!);
    if (all.length > 0) await this.broadcast(all, root);
    return all;
  }

  allReduce(values: Float32Array): Promise<void> {
    return this.#limited(this.#communicator.allReduce(values));
  }

  broadcast(bytes: Uint8Array, root: number): Promise<void> {
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
