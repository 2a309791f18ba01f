import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Provenance } from '../../artifact/export.js';
import { refuseExistingFolder } from '../../artifact/free.js';
import { PupilError } from '../../errors.js';
import type { Graph } from '../../graph/graph.js';
import type { Model } from '../../models/model.js';
import { exportOptions } from '../../options/tools.js';
import { command } from '../command.js';
import { conclude, freeFile, warningsTo } from '../result.js';
import { percent } from '../table.js';
import { writeWebPage } from '../web-page.js';

export const exporting = command(
  'export',
  'Write the model of a run as one ONNX file for any onnxruntime, or a web page with it.',
  {
    arguments: { '<run>': 'a run folder, or a model in any other form' },
    options: exportOptions,
    examples: [
      'pupil export runs/photos --out photos.onnx',
      'pupil export runs/photos --fp16 --out photos-half.onnx',
      'pupil export runs/photos --web page',
    ],
    async run({ run }, { json, out, web, fp16 = false, int8: calibration, threads, ...options }, terminal) {
      if (web !== undefined && out !== undefined)
        throw new PupilError('usage', 'export takes `out` or `web`, not both', { option: 'web' });
      if (web !== undefined) await refuseExistingFolder('web', web);
      const file = web ?? (await freeFile('export', out, 'model.onnx'));
      if (fp16 && calibration !== undefined)
        throw new PupilError('usage', 'export takes `fp16` or `int8`, not both', { option: 'int8' });
      if (threads !== undefined && calibration === undefined)
        throw new PupilError('usage', '`threads`: nothing is computed without `int8`; leave it out', {
          option: 'threads',
        });
      const [{ exportModel }, { writeFileAtomically }, { foreignOf, resolveModel }] = await Promise.all([
        import('../../artifact/export.js'),
        import('../../artifact/files.js'),
        import('../../models/index.js'),
      ]);
      const model = await resolveModel(run, { ...foreignOf(options), warn: warningsTo(terminal) });
      const int8 = calibration === undefined ? undefined : await quantizedOn(model, calibration, threads);
      const provenance = await provenanceOf(run);
      const bytes = exportModel(model, provenance, { fp16, int8 });
      const difference = int8 ? undefined : await differenceOf(model, { bytes, name: file });
      if (web === undefined) await writeFileAtomically(file, bytes);
      else await writeWebPage(web, bytes, { licence: licenceIn(provenance) });
      const result = { path: file, bytes: bytes.length, fp16, int8: int8 !== undefined, difference };
      const compared = difference === undefined ? '' : `, probabilities within ${percent(difference)} of the model's`;
      const next =
        web === undefined
          ? ''
          : `put the folder on any web host; to look at it here: npx serve ${JSON.stringify(web)}\n`;
      conclude(result, `${file} (${(bytes.length / 1e6).toPrecision(3)} MB${compared})\n${next}`, json, terminal);
    },
  },
);

/** The licence of the pretrained network, where its source stated one. */
const licenceIn = ({ licence }: Provenance): string | null => (typeof licence === 'string' ? licence : null);

async function quantizedOn(model: Model, images: string, threads: number | undefined): Promise<Graph> {
  const [{ createEngine }, { calibrationImages, quantizeModel }] = await Promise.all([
    import('../../engine/index.js'),
    import('../../evaluate/quantize.js'),
  ]);
  const engine = await createEngine('ort', { threads });
  try {
    return await quantizeModel(model, calibrationImages([images], model.preprocessing), { engine });
  } finally {
    await engine.close();
  }
}

/** How far the file's answers are from the model's, tried before it is written. */
async function differenceOf(model: Model, file: { bytes: Uint8Array; name: string }): Promise<number> {
  const [{ createEngine }, { differenceOfExport }] = await Promise.all([
    import('../../engine/index.js'),
    import('../../evaluate/check-export.js'),
  ]);
  const engine = await createEngine('ort');
  try {
    return await differenceOfExport(engine, model, file);
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
  const { readOnnx } = await import('../../onnx/read.js');
  try {
    return JSON.parse((await readOnnx(path)).metadata.get('provenance') ?? '{}') as Provenance;
  } catch {
    return {}; // a model from elsewhere, or one of the hub
  }
}
