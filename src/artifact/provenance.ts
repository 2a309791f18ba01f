import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readOnnx } from '../onnx/read.js';
import type { Provenance } from './export.js';
import { runFiles } from './run-files.js';

/** What the model of a run, or a file, says of how it was made, to be passed on. */
export async function readProvenance(run: string): Promise<Provenance> {
  const inside = join(run, runFiles.model.name);
  const path = await stat(inside).then(
    () => inside,
    () => run,
  );
  try {
    return JSON.parse((await readOnnx(path)).metadata.get('provenance') ?? '{}') as Provenance;
  } catch {
    return {}; // a model from elsewhere, or one of the hub
  }
}
