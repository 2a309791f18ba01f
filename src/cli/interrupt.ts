import { exitCodes } from './exit-codes.js';
import { freshLine } from './terminal.js';

/** Requests to stop: Ctrl-C, a scheduler that takes the machine back, a terminal that is closed. */
export const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

let interrupted = false;

/** The exit code once a request to stop has come, otherwise undefined. */
export const interruptedExitCode = (): number | undefined => (interrupted ? exitCodes.interrupted : undefined);

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
    if (interrupted) process.exit(exitCodes.interrupted);
    interrupted = true;
    onInterrupt();
    controller.abort();
  };
  for (const name of stopSignals) process.on(name, stop);
  try {
    return await work(controller.signal);
  } finally {
    for (const name of stopSignals) process.off(name, stop);
  }
}
