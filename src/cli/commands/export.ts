import { stat } from 'node:fs/promises';
import { exportModel } from '../../artifact/export.js';
import { writeFileAtomically } from '../../artifact/files.js';
import { PupilError } from '../../errors.js';
import { resolveModel } from '../../models/index.js';
import type { ExportOptions } from '../program.js';
import type { Terminal } from '../terminal.js';

/** `pupil export RUN --out FILE`. */
export async function exportRun(run: string, options: ExportOptions, terminal: Terminal): Promise<void> {
  const { out } = options;
  if (out === undefined) throw new PupilError('usage', 'export needs --out FILE, such as --out model.onnx');
  if (await stat(out).catch(() => undefined)) {
    throw new PupilError('exists', `--out ${out}: something is there already and is never overwritten; give another name`);
  }
  const model = await resolveModel(run, {});
  const bytes = exportModel(model, model.provenance ?? {}, { fp16: options.fp16 === true });
  await writeFileAtomically(out, bytes);
  const size = `${(bytes.length / 1e6).toPrecision(3)} MB`;
  terminal.out(options.json ? `${JSON.stringify({ path: out, bytes: bytes.length, fp16: options.fp16 === true })}\n` : `${out} (${size})\n`);
}
