import type { Value } from '../graph/graph.js';
import type { GraphMath } from '../graph/math.js';
import { float32, type DataType, type Tensor } from '../tensor.js';
import { correctCount, mixedLoss, smoothTargets, type LossMix } from './losses.js';
import type { ScalarRule } from './transforms.js';

/** What an objective builds its loss from. */
export interface ObjectiveContext {
  /** What the loss is written in. */
  readonly math: GraphMath;
  /** Labelled images in a (micro-)batch. */
  readonly batchSize: number;
  readonly classes: number;
  /** Height and width of the images, pixels. */
  readonly size: readonly [number, number];
  /** Declares an input that holds data, fed by the loader. */
  input(name: string, dtype: DataType, dims: readonly number[]): Value;
  /** Declares a scalar input computed from the position (a ramp, a temperature). */
  scalar(name: string, rule: ScalarRule): Value;
  /** Declares an input of numbers uniform in [0, 1), drawn from the seed and the position. */
  uniform(name: string, dims: readonly number[]): Value;
  /** The model in training form: pixels uint8 [B, H, W, 3] -> logits [B, classes]; any B. */
  forward(pixels: Value, pass?: PassOptions): Value;
  /** Lets no gradient through: the value counts as a constant. Returns it. */
  detach(value: Value): Value;
  /**
   * A number or more that a technique remembers between steps: its value before the step. It is
   * part of every checkpoint.
   */
  memory(name: string, initial: Tensor): Value;
  /** Sets what `memory` gives in the next step. */
  remember(name: string, value: Value): void;
  /** Processes that train together, each on `batchSize` images of the batch. */
  readonly ranks: number;
  /** The mean of a value over all ranks: what is found in a part of the batch, of the whole batch. */
  meanOverRanks(value: Value): Value;
}

/** How the model is run on a batch. */
export interface PassOptions {
  /**
   * `averaged`: with the running average of the weights as it stands before the step. No gradient
   * goes through it. As in training, BatchNormalization takes the statistics of its own batch and
   * dropout is drawn (anew); the running statistics stay as they are. Default `current`.
   */
  readonly weights?: 'current' | 'averaged';
  /** Whether BatchNormalization's running statistics follow this pass. Default true. */
  readonly updateStatistics?: boolean;
  /** Rows of the parts that `pixels` is joined of; default one part. */
  readonly blocks?: readonly number[];
}

/** The loss of a step (a scalar) and what is reported beside it. */
export interface ObjectiveResult {
  readonly loss: Value;
  /** Scalars, summed over the micro-batches of a step. */
  readonly metrics?: Readonly<Record<string, Value>>;
  /** Values of any shape for the batch source's observer, after each (micro-)batch. */
  readonly observed?: Readonly<Record<string, Value>>;
}

/**
 * Builds the loss of a technique: declares its inputs, runs the model on them and returns a scalar.
 */
export type Objective = (context: ObjectiveContext) => ObjectiveResult;

/** How labels are learned. */
export interface LabelOptions {
  /** Default 0. */
  readonly labelSmoothing?: number | undefined;
  /** Default { 'cross-entropy': 1 }. */
  readonly losses?: LossMix | undefined;
}

/** The mean over a batch of the loss against (soft) labels [B, classes]. */
export const labelLoss = (
  m: GraphMath,
  logits: Value,
  targets: Value,
  { labelSmoothing = 0, losses = { 'cross-entropy': 1 } }: LabelOptions,
): Value => m.meanBatch(mixedLoss(m, logits, smoothTargets(m, targets, labelSmoothing), losses));

/**
 * Plain supervised training: inputs `pixels` uint8 [B, H, W, 3] and `targets` float32 [B, classes];
 * metric `correct`, a count.
 */
export const supervised =
  (options: LabelOptions = {}): Objective =>
  ({ math: m, batchSize, classes, size, input, forward }) => {
    const pixels = input('pixels', 'uint8', [batchSize, ...size, 3]);
    const targets = input('targets', 'float32', [batchSize, classes]);
    const logits = forward(pixels);
    return m.scope('loss', () => ({
      loss: labelLoss(m, logits, targets, options),
      metrics: { correct: correctCount(m, logits, targets) },
    }));
  };

/**
 * A batch's tensors for `supervised`: `pixels` uint8 [count, height, width, 3] and `targets`
 * float32 [count, classes].
 */
export function supervisedFeeds(batch: {
  readonly pixels: Uint8Array;
  readonly targets: Float32Array;
  readonly count: number;
  readonly height: number;
  readonly width: number;
}): Record<string, Tensor> {
  const { pixels, targets, count, height, width } = batch;
  return {
    pixels: { dtype: 'uint8', dims: [count, height, width, 3], data: pixels },
    targets: float32([count, targets.length / count], targets),
  };
}
