/** What happens in the studio, told to every window. */
import type { StudioEvent } from './protocol.js';

export interface Bus {
  send(event: StudioEvent): void;
  /** Returns the function that ends it. */
  listen(hear: (event: StudioEvent) => void): () => void;
}

export function createBus(): Bus {
  const listeners = new Set<(event: StudioEvent) => void>();
  return {
    send(event) {
      for (const hear of listeners) hear(event);
    },
    listen(hear) {
      listeners.add(hear);
      return () => listeners.delete(hear);
    },
  };
}
