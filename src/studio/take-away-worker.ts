/** A thread that makes what a model is taken away as. */
import { exportModel } from '../artifact/export.js';
import { readProvenance } from '../artifact/provenance.js';
import { hubFiles, originsOf, quantizedOn, webFiles, zipped } from '../jobs/deploy/index.js';
import { resolveModel } from '../models/index.js';
import { answer } from '../threads/answer.js';
import type { TakeAwayForm } from './protocol.js';
import { shareProgress } from './shared-progress.js';

export interface TakeAwayRequest {
  /** Its folder. */
  readonly run: string;
  readonly name: string;
  readonly form: TakeAwayForm;
  /** Files that numbers of 8 bits are scaled by. */
  readonly images: readonly string[];
  readonly progress: Int32Array;
}

answer<TakeAwayRequest>(async ({ run, name, form, images, progress }, transfer) => {
  const model = await resolveModel(run),
    provenance = await readProvenance(run);
  const whole = (input: 'pixels' | 'pixel_values'): Uint8Array => exportModel(model, provenance, { input });
  const make = async (): Promise<Uint8Array> => {
    if (form === 'web') return zipped(`${name}-web`, await webFiles(whole('pixels'), { origins: originsOf(model) }));
    if (form === 'hub') {
      const contents = { run, model, provenance, whole: whole('pixel_values'), smaller: undefined };
      return zipped(name, await hubFiles(name, contents));
    }
    const report = (done: number): void => shareProgress(progress, done, images.length);
    return exportModel(model, provenance, { int8: await quantizedOn(model, images, { report }) });
  };
  const bytes = Uint8Array.from(await make());
  transfer.push(bytes.buffer);
  return bytes;
});
