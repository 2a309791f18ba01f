import type { Provenance } from '../../artifact/export.js';
import { hubConfig, hubPreprocessor } from '../../models/hub-folder.js';
import type { Model } from '../../models/model.js';
import { hubCard, measuredIn, measuredLine, type HubCardContents } from '../../report/hub-card.js';
import { modelCard, type CardPart } from '../../report/model-card.js';
import { cardOfRun } from '../../report/report.js';
import type { Files } from './zip.js';

/** What a folder for the hub is made of. */
export interface HubContents {
  /** The run that the model is from, or another place of a model. */
  readonly run: string;
  readonly model: Model;
  readonly provenance: Provenance;
  /** `onnx/model.onnx`, which takes `pixel_values`. */
  readonly whole: Uint8Array;
  /** The same in fewer bytes, by transformers.js's name of its type. */
  readonly smaller: { readonly type: 'q8' | 'fp16'; readonly bytes: Uint8Array } | undefined;
}

/** The names that transformers.js has for files by their type. */
const smallerName = { q8: 'model_quantized.onnx', fp16: 'model_fp16.onnx' } as const;

/** A folder that transformers.js, transformers and Optimum open, and Pupil as any other of the hub. */
export async function hubFiles(title: string, contents: HubContents): Promise<Files> {
  const { model, whole, smaller } = contents;
  const labels = model.labels ?? classNames(model);
  const text = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;
  return new Map<string, Uint8Array | string>([
    ['config.json', text(hubConfig(model.architecture, labels))],
    ['preprocessor_config.json', text(hubPreprocessor(model.preprocessing))],
    ['onnx/model.onnx', whole],
    ...(smaller ? [[`onnx/${smallerName[smaller.type]}`, smaller.bytes] as const] : []),
    ['README.md', hubCard(await cardContents(title, contents))],
  ]);
}

/** As they are called where nothing names them. */
const classNames = ({ head }: Model): string[] => Array.from({ length: head?.classes ?? 0 }, (_, i) => `class ${i}`);

async function cardContents(
  title: string,
  { run, model, provenance, whole, smaller }: HubContents,
): Promise<HubCardContents> {
  const { backbone, teachers } = model;
  const own = await cardOfRun(run, { backbone, teachers, modelBytes: whole.length });
  const shared = { title, backbone, teachers, smaller: smaller?.type };
  if (own) {
    const { top1, count, split = 'held out of train' } = own.evaluation ?? {};
    const measured = top1 === undefined || count === undefined ? undefined : { top1, count, split };
    return { ...shared, parts: own.parts, measured };
  }
  const measured = measuredIn(provenance);
  return { ...shared, measured, parts: partsOf(title, model, { provenance, measured, modelBytes: whole.length }) };
}

/** Of a model file without its run folder: what its provenance tells. */
function partsOf(
  title: string,
  { architecture, labels, backbone, teachers }: Model,
  {
    provenance,
    measured,
    modelBytes,
  }: Pick<HubContents, 'provenance'> & Pick<HubCardContents, 'measured'> & { readonly modelBytes: number },
): CardPart[] {
  const { mode, technique, versions } = provenance;
  const config = { architecture, classes: labels, backbone, teachers, settings: { mode, technique }, versions };
  const parts = modelCard({
    ...{ title, config, modelBytes, input: 'pixel_values' },
    evaluation: undefined,
    learned: undefined,
  });
  const lines = measured === undefined ? ['Its file does not say what was measured.'] : [measuredLine(measured)];
  return parts.map((part) => (part.title === 'Evaluation' ? { ...part, lines } : part));
}
