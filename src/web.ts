/// <reference lib="dom" preserve="true" />
/**
 * `pupil/web`: the same `loadModel` in a browser, on onnxruntime-web, and `train` for small sets of images.
 *
 * @module
 */
import { assertOptions } from './arguments.js';
import { distinctLabels } from './data/labels.js';
import { checkPreprocessing, type Preprocessing } from './data/preprocessing.js';
import type { Ort } from './engine/ort/sessions.js';
import { PupilError } from './errors.js';
import { makeClassifier, type Classifier as AnyClassifier, type Runner } from './evaluate/classifier.js';
import type { Image } from './image/image.js';
import { Job } from './job.js';
import { outlierThreshold } from './models/rejection.js';
import { decodeOnnx } from './onnx/decode.js';
import { messageOf } from './threads/protocol.js';
import { webOptions, type WebOptions } from './web/options.js';
import { pixelValues } from './web/planes.js';
import { modelBytes, pixelsOf, type ModelSource, type Picture } from './web/pictures.js';
import { runtimeOf } from './web/runtime.js';
import { serve, trainInWorker } from './web/worker.js';
import type { Example, WebTrained, WebTrainEvent, WebTrainOptions } from './web/train.js';

export type { PredictOptions, Prediction, RunOutputs } from './evaluate/classifier.js';
export { PupilError, type ErrorCode } from './errors.js';
export type { Image };
export type { Runtime, WebOptions } from './web/options.js';
export type { ModelSource, Picture } from './web/pictures.js';
export type { HeldOut, LearnEvent, WebMode } from './web/learn.js';
export type { Example, WebTrained, WebTrainEvent, WebTrainOptions } from './web/train.js';

/** A model ready to predict in a browser. */
export type Classifier = AnyClassifier<Picture>;

/**
 * Loads a `model.onnx` that Pupil exported (also `onnx/model.onnx` of `export --hub`), from its
 * address or its bytes. Throws `not-found` when there is none and `network` when it cannot be fetched,
 * `bad-model` when it is no such file, `unsupported` when the browser cannot run it.
 *
 * @example
 * const classifier = await loadModel('/model.onnx');
 * const { label, confidence } = await classifier.predict(document.querySelector('img')!);
 */
export async function loadModel(source: ModelSource, options: WebOptions = {}): Promise<Classifier> {
  assertOptions(options, webOptions);
  const { runtime, provider } = runtimeOf(options);
  const { name, bytes } = await modelBytes(source);
  const { metadata, graph } = decodeOnnx(bytes, { name });
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
    runner: runnerOf(session, runtime, preprocessing, graph.inputs[0]?.name === 'pixel_values'),
    labels: distinctLabels(labels.map(String)),
    preprocessing,
    outlierThreshold: outlierThreshold({ metadata }),
    read: pixelsOf,
  });
}

/**
 * Trains a classifier in the browser: the last layer of a pretrained network, or all of it, as `pupil
 * train` does; in the thread that calls it, or with `worker` in one of its own, so that the page stays
 * responsive. With `state` a training that ended early (the page was closed) goes on when it is called
 * again with the same examples. Its code is loaded when it is called. Throws `bad-data` for pictures that
 * cannot be decoded and for fewer than two classes, `bad-model` for a network that cannot be trained.
 *
 * @example
 * const examples = [
 *   { picture: '/cat.jpg', label: 'cat' },
 *   { picture: '/dog.jpg', label: 'dog' },
 * ];
 * const { model } = await train(examples, { model: '/backbone.onnx', normalize: 'symmetric' });
 * const classifier = await loadModel(model);
 */
export const train = (examples: readonly Example[], options: WebTrainOptions): Job<WebTrainEvent, WebTrained> =>
  new Job(async function* (signal) {
    if (typeof options?.worker === 'function') return yield* trainInWorker(examples, options, signal);
    return yield* (await import('./web/train.js')).trainExamples(examples, options, signal);
  }, options);

/**
 * Makes a worker's script one that `train` can work in: call it there at once. `runtime`: another build of
 * onnxruntime-web than `onnxruntime-web/wasm`, such as the one with WebGPU.
 *
 * @example
 * serveTraining(); // all of worker.js
 *
 * @example
 * const examples = [
 *   { picture: '/cat.jpg', label: 'cat' },
 *   { picture: '/dog.jpg', label: 'dog' },
 * ];
 * // Bundlers find the script by this form.
 * const worker = () => new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
 * const { model } = await train(examples, { model: '/backbone.onnx', worker });
 */
export function serveTraining({ runtime }: Pick<WebOptions, 'runtime'> = {}): void {
  serve((examples, options) => train(examples, { ...options, runtime }));
}

/** A value of JSON; undefined where it is none. */
function jsonOf(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

/** `isForHub`: it is a file of `export --hub`, whose input is normalised already. */
const runnerOf = (
  session: Awaited<ReturnType<Ort['InferenceSession']['create']>>,
  { Tensor }: Ort,
  preprocessing: Preprocessing,
  isForHub: boolean,
): Runner => ({
  async run(pixels, count) {
    const [height, width] = preprocessing.size;
    const outputs = isForHub
      ? await session.run({
          pixel_values: new Tensor('float32', pixelValues(pixels, preprocessing), [count, 3, height, width]),
        })
      : await session.run({ pixels: new Tensor('uint8', pixels, [count, height, width, 3]) });
    return {
      logits: outputs['logits']!.data as Float32Array,
      probabilities: outputs['probabilities']!.data as Float32Array,
      outlier: outputs['outlier']?.data as Float32Array | undefined,
    };
  },
  close: () => session.release(),
});
