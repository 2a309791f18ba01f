import { deploymentGraph } from '../artifact/export.js';
import { createEngine, type Purpose } from '../engine/index.js';
import type { Engine } from '../engine/engine.js';
import type { Graph } from '../graph/graph.js';
import { bindInputs, foldConstants, prune } from '../graph/passes.js';
import { resolveModel } from '../models/index.js';
import type { Model } from '../models/model.js';
import { tensor } from '../tensor.js';
import { makeClassifier, type Classifier } from './classifier.js';
import { calibrationImages, quantizeModel } from './quantize.js';

export interface LoadOptions {
  /** `auto` (default), `ort`... */
  readonly engine?: string;
  readonly threads?: number;
  /**
   * What is computed in: `f32` (default), or `bf16` on oneDNN and a processor that has it, for a
   * teacher of many images.
   */
  readonly precision?: 'f32' | 'bf16';
  /** What `auto` is chosen for: `prediction` (default) of a few images, or `evaluation` of many. */
  readonly purpose?: Exclude<Purpose, 'training'>;
  /** The input of a foreign file: imagenet, symmetric, unit or MEAN/STD. */
  readonly normalize?: string;
  /** The input size of a foreign file, pixels. */
  readonly size?: number;
  /**
   * Files or folders of images to calibrate on: the model then computes on 8-bit integers, a fast
   * teacher (docs/quantisation.md). Runs on `ort`.
   */
  readonly int8?: readonly string[];
}

/**
 * Loads a model to predict with: a run folder, its `model.onnx`, any ONNX classifier, timm's
 * `.safetensors` or `hf:owner/repo[/file]`. Throws `not-found`, `bad-model` or `unsupported`. Close
 * it when done: it holds a worker thread.
 *
 * @example
 * const model = await loadModel('runs/flowers/model.onnx');
 * const [prediction] = await predict(model, ['rose.jpg']);
 */
export async function loadModel(source: string, options: LoadOptions = {}): Promise<Classifier> {
  const model = await resolveModel(source, { normalize: options.normalize, size: options.size });
  const { engine: name = options.int8 ? 'ort' : 'auto', precision = 'f32', threads } = options;
  const { purpose = precision === 'bf16' ? 'evaluation' : 'prediction' } = options; // onnxruntime has no bfloat16
  const engine = await createEngine(name, { purpose, precision, threads, graphs: () => [deployedGraph(model)] });
  try {
    const graph =
      options.int8 && (await quantizeModel(model, calibrationImages(options.int8, model.preprocessing), { engine }));
    return await classifierOf(engine, model, {
      onClose: () => engine.close(),
      exact: precision === 'f32',
      ...(graph && { graph }),
    });
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/** The deployed form of a model, its weights in place as constants. */
export const deployedGraph = (model: Model): Graph =>
  prune(foldConstants(bindInputs(deploymentGraph(model), model.parameters)));

export interface ClassifierOptions {
  /** Runs after the program was freed. */
  readonly onClose?: () => Promise<void>;
  /** Another form of the deployed model, such as that of `quantizeModel`. */
  readonly graph?: Graph;
  /** In float32 whatever the engine's precision (default). */
  readonly exact?: boolean;
}

/** A classifier that runs `model` on `engine`. */
export async function classifierOf(
  engine: Engine,
  model: Model,
  { onClose, graph = deployedGraph(model), exact = true }: ClassifierOptions = {},
): Promise<Classifier> {
  const program = await engine.compile(graph, { inference: true, exact });
  const [height, width] = model.preprocessing.size;
  const classes = graph.values.get('logits')!.shape[1];
  const labels = model.labels ?? Array.from({ length: Number(classes) }, (_, i) => `class ${i}`);
  return makeClassifier(
    {
      async run(pixels, count) {
        const outputs = await program.run({ pixels: tensor('uint8', [count, height, width, 3], pixels) });
        return {
          logits: outputs['logits']!.data as Float32Array,
          probabilities: outputs['probabilities']!.data as Float32Array,
        };
      },
      async close() {
        await program.close();
        await onClose?.();
      },
    },
    labels,
    model.preprocessing,
  );
}
