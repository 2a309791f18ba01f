/** How far a thread is: it writes that into shared memory, which is looked at now and then. */

/** Milliseconds from one look to the next. */
const every = 300;

export interface SharedProgress {
  /** Goes to the thread: items done, and of how many. */
  readonly memory: Int32Array;
  stop(): void;
}

/** Looks until it is stopped; `report` hears nothing before the thread has said of how many. */
export function watchProgress(report: (done: number, total: number) => void): SharedProgress {
  const memory = new Int32Array(new SharedArrayBuffer(8));
  const timer = setInterval(() => {
    const total = Atomics.load(memory, 1);
    if (total > 0) report(Atomics.load(memory, 0), total);
  }, every);
  timer.unref();
  return { memory, stop: () => clearInterval(timer) };
}

/** Said by the thread. */
export function shareProgress(memory: Int32Array, done: number, total: number): void {
  Atomics.store(memory, 0, done);
  Atomics.store(memory, 1, total);
}
