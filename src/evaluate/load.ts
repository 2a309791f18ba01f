import { readFile, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { deploymentGraph } from '../artifact/export.js';
import { runFiles } from '../artifact/run-files.js';
import { createEngine } from '../engine/index.js';
import type { Engine } from '../engine/engine.js';
import { forNetworkOf } from '../engine/foreign.js';
import { codeOfSystemError, PupilError } from '../errors.js';
import type { Graph } from '../graph/graph.js';
import { decode } from '../image/decode.js';
import type { Image } from '../image/image.js';
import { foreignOf, resolveModel } from '../models/index.js';
import { fixedBatch, type Model } from '../models/model.js';
import { weightsInPlace } from '../models/weights-in-place.js';
import { checkOptions, type Asked, type Given } from '../options/option.js';
import { loadOptions } from '../options/tools.js';
import { tensor } from '../tensor.js';
import { inBatchesOf, makeClassifier, type Classifier } from './classifier.js';
import { calibrationImages, quantizeModel } from './quantize.js';

/**
 * What can be classified in Node: the path of a file, its bytes (also as a `Blob` or `File`), or
 * decoded pixels.
 */
export type Picture = string | URL | Uint8Array | ArrayBuffer | { arrayBuffer(): Promise<ArrayBuffer> } | Image;

/** What `loadModel` can be told. */
export interface LoadOptions extends Asked<Given<typeof loadOptions>> {}

/**
 * Loads a model to predict with: a run folder, its `model.onnx`, any ONNX classifier, timm's
 * `.safetensors` or `hf:owner/repo[/file]`. Throws `not-found`, `bad-model` or `unsupported`. It
 * holds a worker thread until it is closed.
 *
 * @example
 * await using classifier = await loadModel('runs/flowers');
 * const { label, confidence } = await classifier.predict('rose.jpg');
 * console.log(label, confidence);
 */
export const loadModel = async (source: string, told: LoadOptions = {}): Promise<Classifier<Picture>> =>
  (await loadNetwork(source, told)).classifier;

/** `loadModel`, and the network that the classifier runs. */
export async function loadNetwork(
  source: string,
  told: LoadOptions = {},
): Promise<{ readonly classifier: Classifier<Picture>; readonly model: Model; readonly engine: string }> {
  const options = checkOptions(loadOptions, told);
  const model = await resolveModel(source, { ...foreignOf(options), warn: options.onWarning });
  const { engine: name = options.int8 ? 'ort' : 'auto', threads } = options;
  const precision = options.precision === 'bf16' ? 'bf16' : 'f32'; // in prediction, auto is exact
  const { purpose = precision === 'bf16' ? 'evaluation' : 'prediction' } = options; // onnxruntime has no bfloat16
  const engine = await createEngine(name, { purpose, precision, threads, graphs: () => [deployedGraph(model)] });
  try {
    const graph =
      options.int8 && (await quantizeModel(model, calibrationImages(options.int8, model.preprocessing), { engine }));
    const classifier = await classifierOf(engine, model, {
      onClose: () => engine.close(),
      exact: precision === 'f32',
      graph,
      learned: await learnedBy(source, options.purpose === 'evaluation' ? options.onWarning : undefined),
    });
    return { classifier, model, engine: engine.name };
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/**
 * Hashes of the images that the model of a run learned from, of their bytes and of their pixels; `warn` is told where
 * its run no longer knows.
 */
async function learnedBy(source: string, warn?: (message: string) => void): Promise<ReadonlySet<string> | undefined> {
  const folder = basename(source) === runFiles.model.name ? dirname(source) : source;
  if (!(await stat(folder).catch(() => undefined))?.isDirectory()) return undefined;
  const file = await runFiles.learned.read(folder);
  if (file === undefined && (await runFiles.config.exists(folder)))
    warn?.(
      `${folder} has no ${runFiles.learned.name}: whether its model learned from these images cannot be told, and on ` +
        'those it did accuracy is higher than on new ones',
    );
  return file && new Set([...file.labelled, ...file.unlabelled, ...(file.pixels ?? [])]);
}

/** The deployed form of a model, its weights in place as constants. */
export const deployedGraph = (model: Model): Graph => weightsInPlace(deploymentGraph(model), model);

export interface ClassifierOptions {
  /** Runs after the program was freed. */
  readonly onClose?: () => Promise<void>;
  /** Another form of the deployed model, such as that of `quantizeModel`. */
  readonly graph?: Graph;
  readonly learned?: ReadonlySet<string> | undefined;
  /** In float32 whatever the engine's precision (default). */
  readonly exact?: boolean;
}

/** A classifier that runs `model` on `engine`. */
export async function classifierOf(
  engine: Engine,
  model: Model,
  { onClose, graph = deployedGraph(model), learned, exact = true }: ClassifierOptions = {},
): Promise<Classifier<Picture>> {
  const runs = model.pretrained ? forNetworkOf(model.architecture, engine) : engine;
  const program = await runs.compile(graph, { inference: true, exact });
  const [height, width] = model.preprocessing.size;
  const classes = graph.values.get('logits')!.shape[1];
  const labels = model.labels ?? Array.from({ length: Number(classes) }, (_, i) => `class ${i}`);
  return makeClassifier({
    runner: {
      run: inBatchesOf(fixedBatch(model), async (pixels, count) => {
        const outputs = await program.run({ pixels: tensor('uint8', [count, height, width, 3], pixels) });
        return {
          logits: outputs['logits']!.data as Float32Array,
          probabilities: outputs['probabilities']!.data as Float32Array,
          outlier: outputs['outlier']?.data as Float32Array | undefined,
        };
      }),
      async close() {
        await program.close();
        await onClose?.();
      },
    },
    labels,
    preprocessing: model.preprocessing,
    learned,
    outlierThreshold: model.rejection?.threshold,
    read: readPicture,
  });
}

/** The pixels of what can be classified in Node. Throws `not-found` or `bad-data`. */
async function readPicture(picture: Picture): Promise<Image> {
  if (typeof picture === 'string' || picture instanceof URL) return decodeFile(picture);
  if ('arrayBuffer' in picture && typeof picture.arrayBuffer === 'function')
    return decode(new Uint8Array(await picture.arrayBuffer()), 'the image');
  if (picture instanceof Uint8Array || picture instanceof ArrayBuffer)
    return decode(picture instanceof Uint8Array ? picture : new Uint8Array(picture), 'the image');
  return picture as Image; // what else there is has width, height and data, or is refused
}

async function decodeFile(path: string | URL): Promise<Image> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    const { code } = error;
    throw new PupilError(
      code === 'ENOENT' ? 'not-found' : codeOfSystemError(code),
      `${String(path)}: cannot be read (${code})`,
      {
        cause: error,
      },
    );
  });
  return decode(bytes, String(path));
}
