import { resolveModel } from '../models/index.js';
import type { Model } from '../models/model.js';

/** How a model is opened by its name. */
export type OpenModel = typeof resolveModel;

/**
 * Opens models as `resolveModel` does, those of `names` once for each way in which they are asked for: for
 * the trainings of a job, which use the same networks again and again. What is said of a model is said each
 * time.
 */
export function openOnce(names: readonly (string | undefined)[]): OpenModel {
  const opened = new Map<string, Promise<{ readonly model: Model; readonly notes: readonly string[] }>>();
  return async (spec, options = {}) => {
    if (!names.includes(spec)) return resolveModel(spec, options);
    const { warn, hub, ...asked } = options;
    const key = JSON.stringify([spec, asked]);
    const open = async (): Promise<{ model: Model; notes: string[] }> => {
      const notes: string[] = [];
      return { model: await resolveModel(spec, { ...asked, hub, warn: (note) => notes.push(note) }), notes };
    };
    const opening = opened.get(key) ?? open();
    opened.set(key, opening);
    try {
      const { model, notes } = await opening;
      for (const note of notes) warn?.(note);
      return model;
    } catch (error) {
      opened.delete(key); // what failed may succeed, such as a download
      throw error;
    }
  };
}
