/// <reference lib="dom" preserve="true" />
/**
 * `pupil/web`: the same `loadModel` in a browser, on onnxruntime-web.
 *
 * @module
 */
import * as wasm from 'onnxruntime-web/wasm';
import { assertOptions, shown } from './arguments.js';
import { distinctLabels } from './data/labels.js';
import { checkPreprocessing } from './data/preprocessing.js';
import { PupilError } from './errors.js';
import { makeClassifier, type Classifier as AnyClassifier, type Runner } from './evaluate/classifier.js';
import type { Image } from './image/image.js';
import { readJpeg } from './image/jpeg-file.js';
import { outlierThreshold } from './models/rejection.js';
import { decodeOnnx } from './onnx/decode.js';

export type { PredictOptions, Prediction, RunOutputs } from './evaluate/classifier.js';
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

/**
 * A build of onnxruntime-web, as `import * as runtime` gives it. Its own types are not named, so that
 * programs without it compile.
 */
export interface Runtime {
  readonly InferenceSession: object;
  readonly Tensor: object;
  readonly env: object;
}

export interface WebOptions {
  /** `wasm` (default), or `webgpu` with a `runtime` that has it. */
  readonly provider?: 'wasm' | 'webgpu' | undefined;
  /**
   * Another build of onnxruntime-web than `onnxruntime-web/wasm`, which is the smallest: for `webgpu`
   * `import * as runtime from 'onnxruntime-web/webgpu'`.
   */
  readonly runtime?: Runtime | undefined;
  /** Where onnxruntime-web's .wasm files are served, when not beside the script. */
  readonly wasmPaths?: string | undefined;
}

/**
 * Loads a `model.onnx` that Pupil exported, from its address or its bytes. Throws `not-found` when
 * there is none and `network` when it cannot be fetched, `bad-model` when it is no such file, `unsupported`
 * when the browser cannot run it.
 *
 * @example
 * const classifier = await loadModel('/model.onnx');
 * const { label, confidence } = await classifier.predict(document.querySelector('img')!);
 */
export async function loadModel(
  source: string | URL | ArrayBuffer | Uint8Array | Blob,
  options: WebOptions = {},
): Promise<Classifier> {
  assertOptions(options, ['provider', 'runtime', 'wasmPaths']);
  const { provider = 'wasm', wasmPaths } = options;
  const runtime = (options.runtime ?? wasm) as typeof wasm;
  if (provider !== 'wasm' && provider !== 'webgpu')
    throw new PupilError('usage', `\`provider\` takes wasm or webgpu, got ${shown(provider)}`, { option: 'provider' });
  if (provider === 'webgpu' && runtime === wasm)
    throw new PupilError(
      'usage',
      "`provider: webgpu` needs a build that has it: import * as runtime from 'onnxruntime-web/webgpu', and give " +
        '`runtime`',
      { option: 'runtime' },
    );
  if (wasmPaths !== undefined) runtime.env.wasm.wasmPaths = wasmPaths;
  const isAddress = typeof source === 'string' || source instanceof URL;
  const name = isAddress ? String(source) : 'model.onnx';
  const bytes = isAddress ? await fetchBytes(name) : await bytesOf(source);
  const { metadata } = decodeOnnx(bytes, { name });
  const labels = jsonOf(metadata.get('labels')),
    shape = jsonOf(metadata.get('preprocessing'));
  if (!Array.isArray(labels) || shape === undefined) {
    throw new PupilError(
      'bad-model',
      `${name}: no labels and preprocessing in its metadata; give a model.onnx that pupil exported`,
    );
  }
  const preprocessing = checkPreprocessing(shape, name);
  const session = await runtime.InferenceSession.create(bytes, { executionProviders: [provider] }).catch(
    (error: unknown) => {
      throw new PupilError(
        'unsupported',
        `${name}: onnxruntime-web cannot run it on ${provider}: ${messageOf(error)}`,
        {
          cause: error,
        },
      );
    },
  );
  return makeClassifier({
    runner: runnerOf(session, runtime, preprocessing.size),
    labels: distinctLabels(labels.map(String)),
    preprocessing,
    outlierThreshold: outlierThreshold({ metadata }),
    read: pixelsOf,
  });
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A value of JSON; undefined where it is none. */
function jsonOf(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

const runnerOf = (
  session: wasm.InferenceSession,
  { Tensor }: typeof wasm,
  [height, width]: readonly [number, number],
): Runner => ({
  async run(pixels, count) {
    const outputs = await session.run({ pixels: new Tensor('uint8', pixels, [count, height, width, 3]) });
    return {
      logits: outputs['logits']!.data as Float32Array,
      probabilities: outputs['probabilities']!.data as Float32Array,
      outlier: outputs['outlier']?.data as Float32Array | undefined,
    };
  },
  close: () => session.release(),
});

async function fetchBytes(address: string): Promise<Uint8Array> {
  try {
    const response = await fetch(address);
    if (!response.ok)
      throw new PupilError('not-found', `${address}: ${response.status} ${response.statusText}; check the address`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    if (error instanceof PupilError) throw error;
    // A browser does not tell a script more: no such host, offline, no address, or another site that forbids it.
    throw new PupilError(
      'network',
      `${address}: cannot be fetched (${messageOf(error)}); check the address, and that its server allows this page ` +
        '(CORS)',
      { cause: error },
    );
  }
}

async function bytesOf(source: ArrayBuffer | Uint8Array | Blob): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  throw new PupilError('usage', `loadModel takes the address of a model.onnx or its bytes, got ${shown(source)}`);
}

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
    throw new PupilError('bad-data', `the image cannot be decoded: ${messageOf(error)}`, { cause: error });
  });
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')!;
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}
