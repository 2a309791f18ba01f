/// <reference lib="esnext.disposable" preserve="true" />
import { asyncDispose } from './dispose.js';
import { PupilError } from './errors.js';

/** The last event of every job. */
export interface ResultEvent<Result> {
  readonly type: 'result';
  readonly result: Result;
}

/** An event, and the promise of the one after it once somebody has asked for that. */
interface Link<Event, Result> {
  readonly event?: Event;
  readonly result?: ResultEvent<Result>;
  next?: Promise<Link<Event, Result>>;
}

/**
 * Work that is awaited for its result, or looped over for its events, or both: it begins at the
 * first of the two and runs once. The last event is the result.
 *
 * Leaving the loop early stops the work as Ctrl-C does, after its state was saved; so do `signal`
 * and the end of the block of an `await using`. Awaiting it then rejects with `interrupted`. An
 * error rejects the promise and is thrown in the loop.
 */
export class Job<Event, Result> implements AsyncIterable<Event | ResultEvent<Result>>, AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #start: (signal: AbortSignal) => AsyncGenerator<Event, Result, undefined>;
  #work: AsyncGenerator<Event, Result, undefined> | undefined;
  #latest: Link<Event, Result> = {};
  #ended: Promise<Result> | undefined;

  /** `options`: of whom the job is, with a `signal` that ends it; the work itself refuses others. */
  constructor(
    start: (signal: AbortSignal) => AsyncGenerator<Event, Result, undefined>,
    options?: { readonly signal?: AbortSignal | undefined } | null,
  ) {
    const signal = options?.signal;
    this.#start = start;
    this.#signal = signal instanceof AbortSignal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal;
  }

  /** The result, as a promise. */
  then<A = Result, B = never>(
    onResult?: ((result: Result) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return (this.#ended ??= this.#drive()).then(onResult, onError);
  }

  catch<B>(onError: (error: unknown) => B | PromiseLike<B>): Promise<Result | B> {
    return this.then(undefined, onError);
  }

  finally(onEnd: () => void): Promise<Result> {
    return this.then().finally(onEnd);
  }

  /** The events from now on. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Event | ResultEvent<Result>, void, undefined> {
    let link = this.#latest;
    try {
      while (!link.result) {
        link = await this.#after(link);
        if (!link.result) yield link.event!;
      }
      yield link.result;
    } finally {
      if (!link.result) await this[asyncDispose]();
    }
  }

  /** Stops the work and waits until its state is saved; work that has not begun never begins. */
  async [asyncDispose](): Promise<void> {
    this.#stop.abort();
    if (!this.#work) return;
    await this.then(undefined, () => undefined);
  }

  async #drive(): Promise<Result> {
    let link = this.#latest;
    while (!link.result) link = await this.#after(link);
    return link.result.result;
  }

  #after(link: Link<Event, Result>): Promise<Link<Event, Result>> {
    return (link.next ??= this.#pull());
  }

  async #pull(): Promise<Link<Event, Result>> {
    try {
      if (!this.#work) this.#signal.throwIfAborted();
      const { done, value } = await (this.#work ??= this.#start(this.#signal)).next();
      this.#latest = done ? { result: { type: 'result', result: value } } : { event: value };
      return this.#latest;
    } catch (error) {
      if (!this.#signal.aborted || error instanceof PupilError) throw error;
      throw new PupilError('interrupted', 'interrupted; what was saved before is kept', { cause: error });
    }
  }
}
