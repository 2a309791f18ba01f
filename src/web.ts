/// <reference lib="dom" preserve="true" />
/**
 * `pupil/web`: the same `loadModel` in a browser, on onnxruntime-web.
 *
 * @module
 */
import * as ort from 'onnxruntime-web';
import { assertOptions, shown } from './arguments.js';
import { distinctLabels } from './data/labels.js';
import { checkPreprocessing } from './data/preprocessing.js';
import { PupilError } from './errors.js';
import { makeClassifier, type Classifier as AnyClassifier, type Runner } from './evaluate/classifier.js';
import type { Image } from './image/image.js';
import { readJpeg } from './image/jpeg-file.js';
import { decodeOnnx } from './onnx/decode.js';

export type { PredictOptions, Prediction } from './evaluate/classifier.js';
export { PupilError, type ErrorCode } from './errors.js';
export type { Image };

/**
 * What can be classified in a browser: the address of an image, its bytes (also as a `Blob` or
 * `File`), an element (`img`, `canvas`, `video`), whatever else `createImageBitmap` takes, or
 * decoded pixels.
 */
export type Picture = string | URL | Uint8Array | ArrayBuffer | ImageBitmapSource | Image;

/** A model ready to predict in a browser. */
export type Classifier = AnyClassifier<Picture>;

export interface WebOptions {
  /** `wasm` (default) or `webgpu`. */
  readonly provider?: 'wasm' | 'webgpu' | undefined;
  /** Where onnxruntime-web's .wasm files are served, when not beside the script. */
  readonly wasmPaths?: string | undefined;
}

/**
 * Loads a `model.onnx` that Pupil exported, from its address or its bytes. Throws `not-found` when
 * it cannot be fetched and `bad-model` when it is no such file.
 *
 * @example
 * const classifier = await loadModel('/model.onnx');
 * const { label, confidence } = await classifier.predict(document.querySelector('img')!);
 */
export async function loadModel(
  source: string | URL | ArrayBuffer | Uint8Array | Blob,
  options: WebOptions = {},
): Promise<Classifier> {
  assertOptions(options, ['provider', 'wasmPaths']);
  const { provider = 'wasm', wasmPaths } = options;
  if (provider !== 'wasm' && provider !== 'webgpu')
    throw new PupilError('usage', `\`provider\` takes wasm or webgpu, got ${shown(provider)}`, { option: 'provider' });
  if (wasmPaths !== undefined) ort.env.wasm.wasmPaths = wasmPaths;
  const isAddress = typeof source === 'string' || source instanceof URL;
  const name = isAddress ? String(source) : 'model.onnx';
  const bytes = isAddress ? await fetchBytes(name) : await bytesOf(source);
  const { metadata } = decodeOnnx(bytes, { name });
  const labels = JSON.parse(metadata.get('labels') ?? 'null') as unknown;
  const shape = metadata.get('preprocessing');
  if (!Array.isArray(labels) || shape === undefined) {
    throw new PupilError(
      'bad-model',
      `${name}: no labels and preprocessing in its metadata; give a model.onnx that pupil exported`,
    );
  }
  const preprocessing = checkPreprocessing(JSON.parse(shape), name);
  const session = await ort.InferenceSession.create(bytes, { executionProviders: [provider] });
  return makeClassifier({
    runner: runnerOf(session, preprocessing.size),
    labels: distinctLabels(labels.map(String)),
    preprocessing,
    read: pixelsOf,
  });
}

const runnerOf = (session: ort.InferenceSession, [height, width]: readonly [number, number]): Runner => ({
  async run(pixels, count) {
    const outputs = await session.run({ pixels: new ort.Tensor('uint8', pixels, [count, height, width, 3]) });
    return {
      logits: outputs['logits']!.data as Float32Array,
      probabilities: outputs['probabilities']!.data as Float32Array,
    };
  },
  close: () => session.release(),
});

async function fetchBytes(address: string): Promise<Uint8Array> {
  const response = await fetch(address);
  if (!response.ok)
    throw new PupilError('not-found', `${address}: ${response.status} ${response.statusText}; check the address`);
  return new Uint8Array(await response.arrayBuffer());
}

const bytesOf = async (source: ArrayBuffer | Uint8Array | Blob): Promise<Uint8Array> =>
  source instanceof Uint8Array ? source : new Uint8Array(source instanceof Blob ? await source.arrayBuffer() : source);

/** RGB pixels of a picture; transparency is laid over white, as in training. */
async function pixelsOf(picture: Picture): Promise<Image> {
  if (isDecoded(picture)) return picture;
  const rgba = picture instanceof ImageData ? picture : await draw(await drawable(picture));
  const data = new Uint8Array(rgba.width * rgba.height * 3);
  for (let from = 0, to = 0; to < data.length; from += 4, to += 3) {
    const alpha = rgba.data[from + 3]! / 255;
    for (let c = 0; c < 3; c++) data[to + c] = Math.round(255 + (rgba.data[from + c]! - 255) * alpha);
  }
  return { width: rgba.width, height: rgba.height, data };
}

const isDecoded = (picture: Picture): picture is Image =>
  typeof picture === 'object' && 'data' in picture && picture.data instanceof Uint8Array;

async function drawable(picture: Exclude<Picture, Image>): Promise<ImageBitmapSource> {
  if (typeof picture === 'string' || picture instanceof URL)
    return new Blob([(await fetchBytes(String(picture))) as Uint8Array<ArrayBuffer>]);
  if (picture instanceof Uint8Array || picture instanceof ArrayBuffer)
    return new Blob([picture as Uint8Array<ArrayBuffer> | ArrayBuffer]);
  return picture;
}

/** CMYK is converted without its profile, as in training; only of a file can be known that it is CMYK. */
async function bitmapOptions(picture: ImageBitmapSource): Promise<ImageBitmapOptions> {
  if (!(picture instanceof Blob)) return {};
  const start = new Uint8Array(await picture.slice(0, 3).arrayBuffer());
  if (start[0] !== 0xff || start[1] !== 0xd8) return {};
  const structure = readJpeg(new Uint8Array(await picture.arrayBuffer()));
  const isCmyk = structure.kind === 'common' && structure.file.components === 4;
  return isCmyk ? { colorSpaceConversion: 'none' } : {};
}

async function draw(picture: ImageBitmapSource): Promise<ImageData> {
  const bitmap = await createImageBitmap(picture, await bitmapOptions(picture)).catch((error: unknown) => {
    throw new PupilError('bad-data', `the image cannot be decoded: ${String(error)}`, { cause: error });
  });
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')!;
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}
