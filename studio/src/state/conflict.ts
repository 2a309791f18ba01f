/** What another window was first with. */
import { signal } from '@preact/signals';
import type { Change, Mark } from './marks.ts';

export interface Conflict {
  /** What this window wanted. */
  readonly changes: readonly Change[];
  /** What is there, by image. */
  readonly now: ReadonlyMap<number, Mark>;
}

/** null: there is none to be decided. */
export const conflict = signal<Conflict | null>(null);

/** Adds to what is to be decided; of one image the last change counts. */
export function dispute(fresh: readonly Change[], now: ReadonlyMap<number, Mark>): void {
  if (fresh.length === 0) return;
  const ids = new Set(fresh.map(({ id }) => id));
  const others = (conflict.value?.changes ?? []).filter(({ id }) => !ids.has(id));
  conflict.value = { changes: [...others, ...fresh], now: new Map([...(conflict.value?.now ?? []), ...now]) };
}
