/** `pupil/web`: the same `loadModel` in a browser, on onnxruntime-web. */
import * as ort from 'onnxruntime-web';
import { checkPreprocessing } from './data/preprocessing.js';
import { PupilError } from './errors.js';
import { makeClassifier, type Classifier as Core, type Prediction } from './evaluate/classifier.js';
import type { Image } from './image/image.js';
import { decodeOnnx } from './onnx/decode.js';

export type { Image, Prediction };

/** What the browser can draw, or decoded RGB pixels. */
export type Picture = Blob | ImageData | HTMLImageElement | HTMLCanvasElement | ImageBitmap | Image;

export interface Classifier extends Core {
  /** Classifies one picture. */
  predict(picture: Picture): Promise<Prediction>;
}

export interface WebOptions {
  /** `wasm` (default) or `webgpu`. */
  readonly provider?: 'wasm' | 'webgpu';
  /** Where onnxruntime-web's .wasm files are served, when not beside the script. */
  readonly wasmPaths?: string;
}

/**
 * Loads a `model.onnx` that Pupil exported, from its address or its bytes. Throws `not-found` when
 * it cannot be fetched and `bad-model` when it is no such file.
 *
 * @example
 * const model = await loadModel('/model.onnx');
 * const { label, confidence } = await model.predict(document.querySelector('img'));
 */
export async function loadModel(
  source: string | ArrayBuffer | Uint8Array,
  options: WebOptions = {},
): Promise<Classifier> {
  if (options.wasmPaths !== undefined) ort.env.wasm.wasmPaths = options.wasmPaths;
  const where = typeof source === 'string' ? source : 'model.onnx';
  const bytes = typeof source === 'string' ? await fetchBytes(source) : new Uint8Array(source);
  const { metadata } = decodeOnnx(bytes, { name: where });
  const labels = JSON.parse(metadata.get('labels') ?? 'null') as unknown;
  const preprocessing = metadata.get('preprocessing');
  if (!Array.isArray(labels) || preprocessing === undefined) {
    throw new PupilError(
      'bad-model',
      `${where}: no labels and preprocessing in its metadata; give a model.onnx that pupil exported`,
    );
  }
  const shape = checkPreprocessing(JSON.parse(preprocessing), where);
  const session = await ort.InferenceSession.create(bytes, { executionProviders: [options.provider ?? 'wasm'] });
  const [height, width] = shape.size;
  const core = makeClassifier(
    {
      async run(pixels, count) {
        const outputs = await session.run({ pixels: new ort.Tensor('uint8', pixels, [count, height, width, 3]) });
        return {
          logits: outputs['logits']!.data as Float32Array,
          probabilities: outputs['probabilities']!.data as Float32Array,
        };
      },
      close: () => session.release(),
    },
    labels.map(String),
    shape,
  );
  return { ...core, predict: async (picture) => (await core.classify([await toImage(picture)]))[0]! };
}

async function fetchBytes(address: string): Promise<Uint8Array> {
  const response = await fetch(address);
  if (!response.ok)
    throw new PupilError('not-found', `${address}: ${response.status} ${response.statusText}; check the address`);
  return new Uint8Array(await response.arrayBuffer());
}

/** RGB pixels of a picture; transparency is laid over white, as in training. */
async function toImage(picture: Picture): Promise<Image> {
  if ('data' in picture && picture.data.length === picture.width * picture.height * 3) return picture as Image;
  const rgba = picture instanceof ImageData ? picture : await draw(picture as Exclude<Picture, Image | ImageData>);
  const data = new Uint8Array(rgba.width * rgba.height * 3);
  for (let from = 0, to = 0; to < data.length; from += 4, to += 3) {
    const alpha = rgba.data[from + 3]! / 255;
    for (let c = 0; c < 3; c++) data[to + c] = Math.round(255 + (rgba.data[from + c]! - 255) * alpha);
  }
  return { width: rgba.width, height: rgba.height, data };
}

async function draw(picture: Blob | HTMLImageElement | HTMLCanvasElement | ImageBitmap): Promise<ImageData> {
  const bitmap = await createImageBitmap(picture);
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')!;
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}
