import type { Engine } from '../../engine/engine.js';
import type { Model } from '../../models/model.js';
import { openRunEngine, type RanBefore, type RunEngine } from '../../runs/engine.js';
import { graphsOf } from '../../runs/phases.js';
import type { Settings } from '../../runs/resolve.js';

/**
 * The engine of a search, made when it is first needed; after a training that diverged a new one
 * like it, since the old one holds its state.
 */
export function createEngines(settings: Settings, model: Model, resumed: RanBefore | undefined): Engines {
  const { engine, precision, threads } = settings;
  let current: Promise<RunEngine> | undefined,
    before = resumed;
  const open = (): Promise<RunEngine> =>
    (current ??= openRunEngine({ engine, precision, threads, before, graphs: () => graphsOf(model, settings) }));
  return {
    open,
    current: async () => (await open()).engine,
    async close() {
      const old = current && (await current.catch(() => undefined));
      current = undefined;
      if (!old) return;
      const {
        engine: { description, choices },
        ranOn,
      } = old;
      before = { path: resumed?.path ?? 'this search', engine: description, ranOn, choices: { ...choices } };
      await old.engine.close();
    },
  };
}

export interface Engines {
  /** The engine, with what is said of it. */
  open(): Promise<RunEngine>;
  current(): Promise<Engine>;
  close(): Promise<void>;
}
