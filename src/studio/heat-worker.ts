/** A thread that draws which parts of an image spoke for a class, by the model of a run. */
import { readFile } from 'node:fs/promises';
import { PupilError } from '../errors.js';
import { explain } from '../evaluate/activation.js';
import { loadModel } from '../evaluate/load.js';
import { openImage } from '../image/decode.js';
import { encodeJpeg } from '../image/thumbnail.js';
import { resolveModel } from '../models/index.js';
import type { Model } from '../models/model.js';
import { answer } from '../threads/answer.js';

export interface HeatRequest {
  /** Its folder. */
  readonly run: string;
  /** Of its model. */
  readonly version: string;
  /** The file. */
  readonly image: string;
  readonly name: string;
  /** Undefined: the most likely class. */
  readonly label: string | undefined;
}

/** Pixels of the long side. */
const side = 512;
let last: { readonly key: string; readonly model: Promise<Model> } | undefined;

answer<HeatRequest>(async ({ run, version, image: file, name, label }, transfer) => {
  const key = `${version} ${run}`;
  if (last?.key !== key) last = { key, model: resolveModel(run) };
  const model = await last.model;
  const bytes = await readFile(file);
  const wanted = label ?? (await mostLikely(run, bytes));
  const index = model.labels?.indexOf(wanted) ?? -1;
  if (index < 0) throw new PupilError('not-found', 'the model has no such class');
  const image = await (await openImage(bytes, name)).decode();
  const [drawn] = (await explain(model, [{ image, label: index }])) ?? [];
  if (drawn === undefined) throw new PupilError('unsupported', 'this network has no maps of features to draw');
  const jpeg = Uint8Array.from(await encodeJpeg(drawn, side));
  transfer.push(jpeg.buffer);
  return jpeg;
});

async function mostLikely(run: string, bytes: Uint8Array): Promise<string> {
  const classifier = await loadModel(run);
  try {
    const { probabilities } = await classifier.predict(bytes);
    return Object.entries(probabilities).reduce((best, one) => (one[1] > best[1] ? one : best))[0];
  } finally {
    await classifier.close();
  }
}
