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
  /** What `auto` is chosen for: `prediction` (default) of a few images, or `evaluation` of many. */
  readonly purpose?: Exclude<Purpose, 'training'>;
  /** The input of a foreign file: imagenet, symmetric, unit or MEAN/STD. */
  readonly normalize?: string;
  /** The input size of a foreign file, pixels. */
  readonly size?: number;
  /**
   * Files or folders of images to calibrate on: the model then computes on 8-bit integers, a fast teacher (docs/quantisation.md). Runs on `ort`.
   */
  readonly int8?: readonly string[];
}

/**
 * Loads a model to predict with: a run folder, its `model.onnx`, any ONNX classifier or `hf:owner/repo[/file]`. Throws
 * `not-found`, `bad-model` or `unsupported`. Close it when done: it holds a worker thread.
 *
 * @example
 * const model = await loadModel('runs/flowers/model.onnx');
 * const [prediction] = await predict(model, ['rose.jpg']);
 */
export async function loadModel(source: string, options: LoadOptions = {}): Promise<Classifier> {
  const model = await resolveModel(source, { normalize: options.normalize, size: options.size });
  const { engine: name = options.int8 ? 'ort' : 'auto', purpose = 'prediction', threads } = options;
  const engine = await createEngine(name, { purpose, precision: 'f32', threads, graphs: () => [deployedGraph(model)] });
  try {
    const graph = options.int8 && await quantizeModel(model, calibrationImages(options.int8, model.preprocessing), { engine });
    return await classifierOf(engine, model, () => engine.close(), graph);
  } catch (error) {
    await engine.close();
    throw error;
  }
}

const deployedGraph = (model: Model): Graph => prune(foldConstants(bindInputs(deploymentGraph(model), model.parameters)));

/**
 * A classifier that runs `model` on `engine`; `onClose` runs after the program was freed. `graph` is another form of the deployed model,
 * such as that of `quantizeModel`.
 */
export async function classifierOf(engine: Engine, model: Model, onClose?: () => Promise<void>, graph: Graph = deployedGraph(model)): Promise<Classifier> {
  const program = await engine.compile(graph, { inference: true });
  const [height, width] = model.preprocessing.size;
  const classes = graph.values.get('logits')!.shape[1];
  const labels = model.labels ?? Array.from({ length: Number(classes) }, (_, i) => `class ${i}`);
  return makeClassifier({
    async run(pixels, count) {
      const outputs = await program.run({ pixels: tensor('uint8', [count, height, width, 3], pixels) });
      return { logits: outputs['logits']!.data as Float32Array, probabilities: outputs['probabilities']!.data as Float32Array };
    },
    async close() {
      await program.close();
      await onClose?.();
    },
  }, labels, model.preprocessing);
}
