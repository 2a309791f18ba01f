/** What happens in the studio, as server-sent events. */
import type { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import type { Bus } from './bus.js';
import type { StudioEvent } from './protocol.js';
import { failure } from './safety.js';

/** Windows that listen at once. */
const mostListeners = 32;

export function addEvents(api: Hono, bus: Bus): void {
  let listeners = 0;
  api.get('/api/events', (context) => {
    if (listeners >= mostListeners) return context.json(failure('busy', 'too many windows are open'), 429);
    listeners++;
    return streamSSE(context, async (stream) => {
      let queue: StudioEvent[] = [],
        wake = (): void => undefined;
      const stop = bus.listen((event) => {
        // Of progress only the latest counts; a window that does not read gets no endless queue.
        if (event.type === 'progress')
          queue = queue.filter((one) => one.type !== 'progress' || one.progress.task !== event.progress.task);
        if (queue.length < 1000) queue.push(event);
        wake();
      });
      stream.onAbort(() => wake());
      try {
        await stream.write(': open\n\n');
        while (!stream.aborted && !stream.closed) {
          const event = queue.shift();
          if (event !== undefined) await stream.writeSSE({ data: JSON.stringify(event) });
          else if (await isQuiet((call) => (wake = call))) await stream.write(': still here\n\n');
        }
      } finally {
        stop();
        listeners--;
      }
    });
  });
}

/** Waits for the next event, 15 seconds at most; true where none came. */
const isQuiet = (onWake: (call: () => void) => void): Promise<boolean> =>
  new Promise((resolve) => {
    const timer = setTimeout(() => resolve(true), 15_000);
    onWake(() => {
      clearTimeout(timer);
      resolve(false);
    });
  });
