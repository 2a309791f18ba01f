import type { Graph } from '../graph/graph.js';
import type { Tensor } from '../tensor.js';
import type { Preprocessing } from '../data/preprocessing.js';

/**
 * A network that can be run, trained and saved. `graph` maps `input` float32 [N, 3, H, W]
 * (normalised RGB) to `logits` float32 [N, classes], or of an encoder, which has no classifier yet,
 * to `features` float32 [N, features]; parameters and BatchNormalization statistics
 * are inputs of the graph, named as in timm or the file. BatchNormalization nodes are in inference
 * form and Dropout nodes, where the architecture has them, are kept: the training step puts them
 * into training form.
 */
export interface Model {
  readonly graph: Graph;
  /** Every parameter and statistic: each name is an input of `graph`. */
  readonly parameters: ReadonlyMap<string, Tensor>;
  /**
   * Names among `parameters` that are statistics (BatchNormalization means and variances): never
   * trained by gradient.
   */
  readonly statistics: ReadonlySet<string>;
  /** The classifier, when one was found. */
  readonly head: Head | undefined;
  readonly preprocessing: Preprocessing;
  /** Class names in index order, when known. */
  readonly labels: readonly string[] | undefined;
  /** timm's name of the architecture, or what the file says. */
  readonly architecture: string;
  /** Whether the weights were trained (a file, the hub) rather than initialised. */
  readonly pretrained: boolean;
  /** Calibration: `probabilities = softmax(logits / temperature)`. */
  readonly temperature: number;
  /** How images of none of the classes are recognised, where that was learned. */
  readonly rejection?: Rejection | undefined;
  /** The pretrained network that it comes from; undefined: none, or nothing is known of it. */
  readonly backbone?: BackboneSource | undefined;
  /** Other pretrained networks that it learned from: teachers, and what these come from; undefined: none. */
  readonly teachers?: readonly BackboneSource[] | undefined;
}

/** Where pretrained weights come from, and under which licence they were published. */
export interface BackboneSource {
  /** `owner/repo` of the hub, or a file's name. */
  readonly name: string | null;
  /** As its source states it, such as `apache-2.0`; null: unknown. */
  readonly licence: string | null;
}

/** An image is of none of the classes where 1 - max cosine(features, mean of a class) is above the threshold. */
export interface Rejection {
  /** Unit vectors, float32 [features, classes]. */
  readonly means: Tensor;
  /** 0 to 2. */
  readonly threshold: number;
}

export interface Head {
  /** The Gemm, MatMul or 1x1 Conv that makes the logits. */
  readonly node: string;
  /** Its input: pooled features [N, features] (or [N, features, 1, 1]). */
  readonly features: string;
  readonly featureCount: number;
  /** Parameter names. */
  readonly weight: string;
  readonly bias: string | undefined;
  readonly classes: number;
  /** Further classifiers of the same classes whose scores are added (DeiT distilled, LeViT). */
  readonly others?: readonly Head[] | undefined;
}

/** The one size of batches that a network takes, when its file has it built in. */
export const fixedBatch = ({ graph }: Pick<Model, 'graph'>): number | undefined => {
  const size = graph.inputs[0]?.shape[0];
  return typeof size === 'number' ? size : undefined;
};

/** Whether a network has no classifier: its graph ends in features. */
export const isEncoder = ({ graph }: Pick<Model, 'graph'>): boolean => graph.outputs[0] === 'features';

/**
 * Whether an export folded the normalisation into the convolutions: no normalisation is left to
 * train, and there are five convolutions or more, of which all but at most one have a bias. Of
 * fewer it cannot be known.
 */
export function isNormalisationFolded(graph: Graph): boolean {
  const has = (...ops: string[]): boolean => graph.nodes.some((node) => ops.includes(node.op));
  const convolutions = graph.nodes.filter((node) => node.op === 'Conv');
  const biased = convolutions.filter(({ inputs }) => (inputs[2] ?? '') !== '');
  const isFolded = convolutions.length >= 5 && biased.length >= convolutions.length - 1;
  return isFolded && !has('BatchNormalization', 'LayerNormalization', 'InstanceNormalization');
}
