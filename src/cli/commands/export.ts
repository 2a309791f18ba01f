import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { exportModel, type Provenance } from '../../artifact/export.js';
import { writeFileAtomically } from '../../artifact/files.js';
import { PupilError } from '../../errors.js';
import { createEngine } from '../../engine/index.js';
import { calibrationImages, quantizeModel } from '../../evaluate/quantize.js';
import type { Graph } from '../../graph/graph.js';
import type { Model } from '../../models/model.js';
import { resolveModel } from '../../models/index.js';
import { readOnnx } from '../../onnx/index.js';
import type { ExportOptions } from '../program.js';
import { conclude } from '../result.js';
import type { Terminal } from '../terminal.js';

/** `pupil export RUN --out FILE`. */
export async function exportRun(
  run: string,
  { out, fp16 = false, int8: calibration, threads, json }: ExportOptions,
  terminal: Terminal,
): Promise<void> {
  if (out === undefined) throw new PupilError('usage', 'export needs --out FILE, such as --out model.onnx');
  if (await stat(out).catch(() => undefined)) {
    throw new PupilError(
      'exists',
      `--out ${out}: something is there already and is never overwritten; give another name`,
    );
  }
  if (fp16 && calibration !== undefined) throw new PupilError('usage', 'export takes --fp16 or --int8, not both');
  const model = await resolveModel(run);
  const int8 = calibration === undefined ? undefined : await quantizedOn(model, calibration, threads);
  const bytes = exportModel(model, await provenanceOf(run), { fp16, ...(int8 && { int8 }) });
  await writeFileAtomically(out, bytes);
  const result = { path: out, bytes: bytes.length, fp16, int8: int8 !== undefined };
  conclude(result, `${out} (${(bytes.length / 1e6).toPrecision(3)} MB)\n`, json, terminal);
}

async function quantizedOn(model: Model, images: string, threads: number | undefined): Promise<Graph> {
  const engine = await createEngine('ort', { threads });
  try {
    return await quantizeModel(model, calibrationImages([images], model.preprocessing), { engine });
  } finally {
    await engine.close();
  }
}

/** What the model of a run says of how it was made, to be passed on. */
async function provenanceOf(run: string): Promise<Provenance> {
  const inside = join(run, 'model.onnx');
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
