import { freshLine } from './terminal.js';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

let interrupted = false;

/** 130 once Ctrl-C was pressed, otherwise undefined. */
export const interruptedExitCode = (): number | undefined => (interrupted ? 130 : undefined);

/**
 * Runs `work` with a signal that Ctrl-C (a request to terminate, a terminal that is closed) aborts, so
 * that it can save its state and end. A second Ctrl-C ends the process at once.
 */
export async function interruptible<T>(
  work: (signal: AbortSignal) => Promise<T>,
  onInterrupt: () => void = () => undefined,
): Promise<T> {
  const controller = new AbortController();
  const stop = (): void => {
    freshLine();
    if (interrupted) process.exit(130);
    interrupted = true;
    onInterrupt();
    controller.abort();
  };
  for (const name of signals) process.on(name, stop);
  try {
    return await work(controller.signal);
  } finally {
    for (const name of signals) process.off(name, stop);
  }
}
