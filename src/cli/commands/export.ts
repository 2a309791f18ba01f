import { basename, resolve } from 'node:path';
import type { ExportOptions } from '../../artifact/export.js';
import { refuseExistingFolder } from '../../artifact/free.js';
import { PupilError } from '../../errors.js';
import type { Model } from '../../models/model.js';
import { exportOptions } from '../../options/tools.js';
import { command } from '../command.js';
import { conclude, freeFile, warningsTo } from '../result.js';
import { percent } from '../table.js';
import { writeNewFolder } from '../new-folder.js';

export const exporting = command(
  'export',
  'Write the model of a run as one ONNX file for any onnxruntime, a web page with it, or a folder for the hub.',
  {
    arguments: { '<run>': 'a run folder, or a model in any other form' },
    options: exportOptions,
    examples: [
      'pupil export runs/photos --out photos.onnx',
      'pupil export runs/photos --fp16 --out photos-half.onnx',
      'pupil export runs/photos --web page',
      'pupil export runs/photos --hub photos',
    ],
    async run(
      { run },
      { json, out, web, hub, licence, fp16 = false, int8: calibration, threads, ...options },
      terminal,
    ) {
      const place = await placeFor({ out, web, hub });
      if (fp16 && calibration !== undefined)
        throw new PupilError('usage', 'export takes `fp16` or `int8`, not both', { option: 'int8' });
      const [{ exportModel }, { readProvenance }, { foreignOf, resolveModel }, deploy] = await Promise.all([
        import('../../artifact/export.js'),
        import('../../artifact/provenance.js'),
        import('../../models/index.js'),
        import('../../jobs/deploy/index.js'),
      ]);
      const warn = warningsTo(terminal);
      const model = licensed(await resolveModel(run, { ...foreignOf(options), warn }), licence);
      if (place.form !== 'out') for (const line of unlicensed(model)) warn(line);
      const int8 = calibration === undefined ? undefined : await deploy.quantizedOn(model, [calibration], { threads });
      const provenance = { ...(await readProvenance(run)), ...(licence === undefined ? {} : { licence }) };
      const bytesOf = (form: ExportOptions): Uint8Array =>
        exportModel(model, provenance, { ...form, input: place.form === 'hub' ? 'pixel_values' : 'pixels' });
      const asked = bytesOf({ fp16, int8 });
      const difference = int8 ? undefined : await differenceOf(model, { bytes: asked, name: place.path });
      let bytes = asked.length,
        size = megabytes(bytes);
      if (place.form === 'hub') {
        const isWhole = !fp16 && !int8;
        const whole = isWhole ? asked : bytesOf({});
        bytes = whole.length + (isWhole ? 0 : asked.length);
        size = megabytes(bytes);
        const smaller = isWhole ? undefined : ({ type: int8 ? 'q8' : 'fp16', bytes: asked } as const);
        const title = basename(resolve(place.path));
        await writeNewFolder(place.path, await deploy.hubFiles(title, { run, model, provenance, whole, smaller }));
      } else if (place.form === 'web') {
        const files = await deploy.webFiles(asked, { origins: deploy.originsOf(model) });
        await writeNewFolder(place.path, files);
        size = `model ${size}, with the page and its runtime ${megabytes(bytesIn(files))}`;
      } else await (await import('../../artifact/files.js')).writeFileAtomically(place.path, asked);
      const result = { path: place.path, bytes, fp16, int8: int8 !== undefined, difference };
      const compared = difference === undefined ? '' : `, probabilities within ${percent(difference)} of the model's`;
      conclude(result, `${place.path} (${size}${compared})\n${place.next}`, json, terminal);
    },
  },
);

const megabytes = (bytes: number): string => `${(bytes / 1e6).toPrecision(3)} MB`;

const bytesIn = (files: ReadonlyMap<string, Uint8Array | string>): number =>
  [...files.values()].reduce((sum, file) => sum + Buffer.byteLength(file), 0);

/** What is written, where, and what to do with it. */
interface Place {
  readonly form: 'out' | 'web' | 'hub';
  readonly path: string;
  readonly next: string;
}

/** Throws `usage` unless one of them is given, `exists` where something has that name. */
async function placeFor({ out, web, hub }: Readonly<Record<Place['form'], string | undefined>>): Promise<Place> {
  const given = Object.entries({ out, web, hub }).filter(([, path]) => path !== undefined);
  if (given.length > 1)
    throw new PupilError(
      'usage',
      `export takes one of \`out\`, \`web\` and \`hub\`, got ${given.map(([name]) => `\`${name}\``).join(' and ')}`,
      { option: given.at(-1)![0] },
    );
  if (web !== undefined) {
    await refuseExistingFolder('web', web);
    const next = `put the folder on any web host; to look at it here: npx serve ${JSON.stringify(web)}\n`;
    return { form: 'web', path: web, next };
  }
  if (hub !== undefined) {
    await refuseExistingFolder('hub', hub);
    const next = `read its README.md; to publish it: hf upload OWNER/NAME ${JSON.stringify(hub)}\n`;
    return { form: 'hub', path: hub, next };
  }
  return { form: 'out', path: await freeFile('export', out, 'model.onnx'), next: '' };
}

/** What its networks leave open: whoever passes the model on has to know it. */
const unlicensed = ({ backbone, teachers = [] }: Model): string[] => [
  ...(backbone && backbone.licence === null
    ? [`the licence of ${backbone.name ?? 'the pretrained network'} is unknown; state it with --licence`]
    : []),
  ...teachers.flatMap(({ name, licence }) =>
    licence === null
      ? [`the licence of ${name ?? 'a network'}, which it learned from, is unknown; ask before passing it on`]
      : [],
  ),
];

/** The model with the licence that was stated. Throws `usage` where its source states another. */
function licensed(model: Model, licence: string | undefined): Model {
  if (licence === undefined) return model;
  const { name = null, licence: stated = null } = model.backbone ?? {};
  if (stated !== null && stated !== licence)
    throw new PupilError(
      'usage',
      `the source of ${name ?? 'the model'} states the licence ${stated}; leave \`licence\` out`,
      {
        option: 'licence',
      },
    );
  return { ...model, backbone: { name, licence } };
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
