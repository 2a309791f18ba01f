import { freshLine } from './terminal.js';

let interrupted = false;

/** 130 once Ctrl-C was pressed, otherwise undefined. */
export const interruptedExitCode = (): number | undefined => (interrupted ? 130 : undefined);

/**
 * Runs `work` with a signal that Ctrl-C (or a request to terminate) aborts, so that it can save its
 * state and end. A second Ctrl-C ends the process at once.
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
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  try {
    return await work(controller.signal);
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}
