import { mixes } from '../augment/mixing.js';
import { parseAugment, type AugmentPolicy } from '../augment/policy.js';
import { techniques, type TechniqueName } from '../techniques/index.js';
import type { DefaultValues } from '../techniques/technique.js';
import type { Precision } from '../engine/engine.js';
import { PupilError } from '../errors.js';
import type { LossMix } from '../train/losses.js';
import type { OptimizerName } from '../train/optimizers.js';
import type { ScheduleName } from '../train/schedules.js';
import { changesImages } from './augmentation.js';

export type Mode = 'scratch' | 'probe' | 'finetune';

/**
 * What `train` can be told. Everything but the data has a default, which depends on the mode (see
 * `resolveSettings`).
 */
export interface TrainOptions {
  /** Built-in name, ONNX file, run folder or `hf:owner/repo[/file]`. */
  readonly model?: string;
  /** Default finetune. */
  readonly mode?: Mode;
  /** The run folder to make; default the first free `runs/NAME-1`. */
  readonly out?: string;
  /** Continue this interrupted run with its own options. */
  readonly resume?: string;
  readonly seed?: number;
  readonly engine?: string;
  /**
   * What activations and gradients are computed in; `auto` (default): the engine's choice for the
   * machine.
   */
  readonly precision?: Precision;
  readonly threads?: number;

  readonly labelsPerClass?: number;
  readonly reportOn?: 'val' | 'test';
  readonly unlabelled?: readonly string[];
  /**
   * Folds that selection uses where labels are too few to hold any out (below 200); default 5; 0:
   * nothing is held out.
   */
  readonly folds?: number;
  /**
   * Runs on the folds of the same labels: what they said of the images that each left out
   * calibrates this training's model.
   */
  readonly calibrateOn?: readonly string[];

  readonly epochs?: number;
  readonly batchSize?: number | 'auto';
  /** Peak learning rate of the head, and of everything when training from scratch. */
  readonly lr?: number | 'auto';
  /** Peak learning rate of the pretrained part. */
  readonly backboneLr?: number;
  /** Factor of the learning rate from each block to the one before it. */
  readonly layerDecay?: number;
  readonly weightDecay?: number;
  readonly optimizer?: OptimizerName;
  readonly momentum?: number;
  readonly schedule?: ScheduleName;
  /** Epochs in which the learning rate rises. */
  readonly warmup?: number;
  /**
   * A preset (`none`, `light`, `basic`), a policy such as `randaugment:n=2,m=9`, a `.json` file
   * with one, or one as an object.
   */
  readonly augment?: string | AugmentPolicy;
  /** Mirror training images half of the time; default true. */
  readonly flip?: boolean;
  /** Alpha of CutMix; 0 or absent: off. */
  readonly cutmix?: number;
  /** Alpha of MixUp; 0 or absent: off. With CutMix: one of the two for each batch. */
  readonly mixup?: number;
  /** Share of batches that are mixed; default 1. */
  readonly mixProbability?: number;
  /** Probability that a part of a training image is erased. */
  readonly erase?: number;
  /**
   * Save a picture of the first batch, `preview.png`, before training; default true where there are
   * batches.
   */
  readonly preview?: boolean;
  readonly labelSmoothing?: number;
  /** Losses by name with their weights; default { 'cross-entropy': 1 }. */
  readonly losses?: LossMix;
  /** Decay of an exponential moving average of the weights, kept beside them. */
  readonly ema?: number;
  readonly clipNorm?: number;
  readonly accumulate?: number;
  readonly patience?: number;
  readonly minutes?: number;
  readonly balance?: boolean;

  /** Patterns of parameters that stay as they are. */
  readonly freeze?: readonly string[];
  readonly bn?: 'train' | 'frozen';
  /** How images without labels, and teachers, take part; default supervised: they do not. */
  readonly technique?: TechniqueName;
  /** distillation: the networks to learn from, in any form that `model` takes. */
  readonly teachers?: readonly string[];
  /** The input of foreign teachers, as `normalize` and `size`. */
  readonly teacherNormalize?: string;
  readonly teacherSize?: number;
  /** distillation: T of the softened outputs; default 4. */
  readonly temperature?: number;
  /** distillation: share of the teacher in the loss of labelled images; default 0.9. */
  readonly alpha?: number;
  /**
   * A file that `pupil pseudo-label` wrote: its accepted rows are learned from beside the labels.
   */
  readonly pseudoLabels?: string;
  /** Images without labels for each labelled one in a batch. */
  readonly unlabelledRatio?: number;
  /** Weight of the loss on images without labels. */
  readonly unlabelledWeight?: number;
  /** fixmatch, flexmatch: how sure a prediction must be to count; default 0.95. */
  readonly threshold?: number;
  /** fixmatch and its family: the policy of the strong views; default `strong`. */
  readonly strong?: string | AugmentPolicy;
  /** Rate of dropout before the classifier, or of the model's own Dropout nodes. */
  readonly dropout?: number;
  /**
   * Stochastic depth: rate at which the last residual block is left out, growing linearly from the
   * first.
   */
  readonly stochasticDepth?: number;

  /**
   * Epochs in which only the head trains; by default a pretrained model's new head is solved to its
   * optimum instead; 0: neither.
   */
  readonly headFirst?: number;
  /** Unfreeze one more stage, from the head down, every so many epochs. */
  readonly gradualUnfreeze?: number;

  /** The node that makes the logits of a foreign model. */
  readonly head?: string;
  readonly normalize?: string;
  readonly size?: number;

  /** Threads that decode and augment. */
  readonly workers?: number;
  /** Decoded images held in memory, MB. */
  readonly cacheMemory?: number;
  readonly signal?: AbortSignal;
}

/** Every choice made, as saved in `run.json`. */
export interface Settings
  extends
    Required<
      Pick<
        TrainOptions,
        | 'mode'
        | 'seed'
        | 'engine'
        | 'precision'
        | 'epochs'
        | 'batchSize'
        | 'lr'
        | 'weightDecay'
        | 'optimizer'
        | 'schedule'
        | 'warmup'
        | 'flip'
        | 'labelSmoothing'
        | 'accumulate'
        | 'balance'
        | 'freeze'
        | 'bn'
        | 'unlabelled'
        | 'technique'
        | 'teachers'
      >
    >,
    Pick<
      TrainOptions,
      | 'threads'
      | 'folds'
      | 'calibrateOn'
      | 'labelsPerClass'
      | 'reportOn'
      | 'backboneLr'
      | 'layerDecay'
      | 'momentum'
      | 'ema'
      | 'clipNorm'
      | 'patience'
      | 'minutes'
      | 'headFirst'
      | 'gradualUnfreeze'
      | 'head'
      | 'normalize'
      | 'size'
      | 'model'
      | 'losses'
      | 'cutmix'
      | 'mixup'
      | 'mixProbability'
      | 'erase'
      | 'preview'
      | 'teacherNormalize'
      | 'teacherSize'
      | 'temperature'
      | 'alpha'
      | 'pseudoLabels'
      | 'unlabelledRatio'
      | 'unlabelledWeight'
      | 'threshold'
      | 'dropout'
      | 'stochasticDepth'
    > {
  readonly augment: AugmentPolicy;
  readonly strong?: AugmentPolicy | undefined;
  /** The data set as given, when it came from a path. */
  readonly data: string | undefined;
}

/** What a mode changes in the defaults. */
const modeDefaults = {
  // The recipe of He et al. and of most small-image training since: SGD with Nesterov momentum on a
  // cosine.
  scratch: { epochs: 30, lr: 0.1, weightDecay: 5e-4, optimizer: 'sgd', augment: 'basic', labelSmoothing: 0, warmup: 1 },
  finetune: {
    epochs: 10,
    lr: 1e-3,
    weightDecay: 0.01,
    optimizer: 'adamw',
    augment: 'basic',
    labelSmoothing: 0.1,
    warmup: 1,
  },
  // Nothing but the head is fitted, to its optimum: the rest has no meaning here.
  probe: { epochs: 1, lr: 1, weightDecay: 0, optimizer: 'sgd', augment: 'none', labelSmoothing: 0, warmup: 0 },
} as const satisfies Record<Mode, object>;

/**
 * Factor from the head's learning rate to the pretrained part's; less where BatchNormalization was
 * folded into the weights. Folded MobileNetV2 on flowers (1,300 images) gains from four times as
 * much, on hymenoptera (199 images) it loses: see results/README.md.
 */
const backboneFactor = { normal: 0.1, folded: 0.05 };

/** The pretrained part's learning rate when none is given: a fraction of the head's. */
export const defaultBackboneRate = (lr: number, folded: boolean): number =>
  lr * (folded ? backboneFactor.folded : backboneFactor.normal);

/**
 * Fills in the defaults. `folded`: the model has convolutions but no BatchNormalization. Throws
 * `usage` for impossible values.
 */
export function resolveSettings(data: string | undefined, options: TrainOptions, folded = false): Settings {
  const mode = options.mode ?? 'finetune';
  const technique = options.technique ?? (options.pseudoLabels === undefined ? 'supervised' : 'pseudo-labels');
  const { defaults: row } = techniques[technique];
  const own: DefaultValues = { ...row.all, ...(mode !== 'probe' && row[mode]) };
  const defaults = { ...modeDefaults[mode], ...own };
  const lr = options.lr ?? defaults.lr;
  const range = (name: string, value: number | undefined, low: number, high: number): void => {
    if (value !== undefined && !(value >= low && value <= high)) {
      throw new PupilError('usage', `${name} ${value}: give a number from ${low} to ${high}`);
    }
  };
  range('--epochs', options.epochs, 1, 1e6);
  range('--folds', options.folds, 0, 20);
  range('--label-smoothing', options.labelSmoothing, 0, 0.999);
  range('--warmup', options.warmup, 0, 1e6);
  range('--ema', options.ema, 0, 0.999999);
  range('--head-first', options.headFirst, 0, 1e6);
  range('--mix-probability', options.mixProbability, 0, 1);
  range('--erase', options.erase, 0, 1);
  checkTechnique(technique, mode, options);
  range('--temperature', options.temperature, 0.01, 1000);
  range('--alpha', options.alpha, 0, 1);
  range('--unlabelled-ratio', options.unlabelledRatio, 1, 100);
  range('--unlabelled-weight', options.unlabelledWeight, 0, 1e6);
  range('--threshold', options.threshold, 0, 1);
  range('--dropout', options.dropout, 0, 0.99);
  range('--stochastic-depth', options.stochasticDepth, 0, 0.99);
  mixes({ cutmix: options.cutmix ?? 0, mixup: options.mixup ?? 0 });
  const given = options.augment ?? defaults.augment;
  const augment = typeof given === 'string' ? parseAugment(given) : given;
  const strong = options.strong ?? own.strong;
  if (mode === 'probe') refuseAugmentation(augment, options);
  if (mode === 'probe' && options.precision === 'bf16') {
    throw new PupilError(
      'usage',
      '--mode probe solves a head to its optimum, in float32: leave --precision bf16 out, or use --mode finetune',
    );
  }
  return {
    data,
    mode,
    model: options.model,
    technique,
    teachers: options.teachers ?? [],
    teacherNormalize: options.teacherNormalize,
    teacherSize: options.teacherSize,
    temperature: options.temperature ?? own.temperature,
    alpha: options.alpha ?? own.alpha,
    pseudoLabels: options.pseudoLabels,
    unlabelledRatio: options.unlabelledRatio ?? own.unlabelledRatio,
    unlabelledWeight: options.unlabelledWeight ?? own.unlabelledWeight,
    threshold: options.threshold ?? own.threshold,
    strong: typeof strong === 'string' ? parseAugment(strong) : strong,
    dropout: options.dropout,
    stochasticDepth: options.stochasticDepth,
    seed: options.seed ?? 0,
    engine: options.engine ?? 'auto',
    precision: options.precision ?? 'auto',
    threads: options.threads,
    labelsPerClass: options.labelsPerClass,
    reportOn: options.reportOn,
    unlabelled: options.unlabelled ?? [],
    folds: options.folds,
    calibrateOn: options.calibrateOn,
    epochs: options.epochs ?? defaults.epochs,
    batchSize: options.batchSize ?? own.batchSize ?? 32,
    lr,
    backboneLr:
      options.backboneLr ??
      (mode === 'finetune' && options.layerDecay === undefined && lr !== 'auto'
        ? defaultBackboneRate(lr, folded)
        : undefined),
    layerDecay: options.layerDecay,
    weightDecay: options.weightDecay ?? defaults.weightDecay,
    optimizer: options.optimizer ?? defaults.optimizer,
    momentum: options.momentum,
    schedule: options.schedule ?? own.schedule ?? 'cosine',
    warmup: options.warmup ?? defaults.warmup,
    augment,
    flip: options.flip ?? true,
    cutmix: options.cutmix,
    mixup: options.mixup,
    mixProbability: options.mixProbability,
    erase: options.erase,
    preview: options.preview ?? mode !== 'probe',
    labelSmoothing: options.labelSmoothing ?? defaults.labelSmoothing,
    losses: options.losses,
    ema: options.ema ?? own.ema,
    clipNorm: options.clipNorm,
    accumulate: options.accumulate ?? 1,
    patience: options.patience,
    minutes: options.minutes,
    balance: options.balance ?? false,
    freeze: options.freeze ?? [],
    bn: options.bn ?? 'train',
    headFirst: options.headFirst,
    gradualUnfreeze: options.gradualUnfreeze,
    head: options.head,
    normalize: options.normalize,
    size: options.size,
  };
}

/** Refuses what a technique cannot do, and options that only another one reads. */
function checkTechnique(technique: TechniqueName, mode: Mode, options: TrainOptions): void {
  const refuse = (message: string, option?: string): never => {
    throw new PupilError('usage', message, { option });
  };
  if (technique !== 'supervised' && mode === 'probe')
    refuse(`--mode probe solves a head on labelled images: ${technique} trains the network; use --mode finetune`);
  if (technique === 'distillation' && !options.teachers?.length)
    refuse('distillation needs a teacher: give --teacher MODEL');
  if (technique !== 'distillation' && options.teachers?.length)
    refuse(`--teacher: ${technique} has no teacher; use pupil distill`);
  if (technique === 'pseudo-labels' && options.pseudoLabels === undefined)
    refuse('pseudo-labels: give the file with --pseudo-labels FILE');
  if (technique !== 'pseudo-labels' && options.pseudoLabels !== undefined)
    refuse(`--pseudo-labels: ${technique} does not read them; leave one of the two out`);
  const onLabels = (Object.keys(techniques) as TechniqueName[]).filter((name) => name !== 'distillation');
  const readers: Readonly<Record<string, readonly TechniqueName[]>> = {
    temperature: ['distillation'],
    alpha: ['distillation'],
    threshold: ['fixmatch', 'flexmatch'],
    strong: ['fixmatch', 'flexmatch', 'softmatch'],
    unlabelledRatio: ['pseudo-labels', 'fixmatch', 'flexmatch', 'softmatch'],
    unlabelledWeight: ['pseudo-labels', 'fixmatch', 'flexmatch', 'softmatch'],
    losses: onLabels,
    labelSmoothing: onLabels,
  };
  for (const [name, known] of Object.entries(readers)) {
    if (options[name as keyof TrainOptions] !== undefined && !known.includes(technique)) {
      refuse(
        `\`${name}\`: ${technique} has no use for it (${known.join(', ')} ${known.length > 1 ? 'have' : 'has'})`,
        name,
      );
    }
  }
  if (
    technique !== 'supervised' &&
    technique !== 'distillation' &&
    technique !== 'pseudo-labels' &&
    (options.cutmix || options.mixup)
  ) {
    refuse(`--${options.cutmix ? 'cutmix' : 'mixup'}: the views of ${technique} are not mixed; leave it out`);
  }
  if (options.unlabelledRatio !== undefined && !Number.isInteger(options.unlabelledRatio))
    refuse(`--unlabelled-ratio ${options.unlabelledRatio}: give a whole number`);
}

/**
 * A probe looks at every image once, as it is evaluated: what would vary them is refused rather
 * than passed over.
 */
function refuseAugmentation(
  augment: AugmentPolicy,
  { cutmix = 0, mixup = 0, erase = 0, preview = false }: TrainOptions,
): void {
  const without = Object.entries({
    augment: changesImages({ augment }),
    cutmix: cutmix > 0,
    mixup: mixup > 0,
    erase: erase > 0,
    preview,
  }).flatMap(([name, on]) => (on ? [`--${name}`] : []));
  if (without.length === 0) return;
  throw new PupilError(
    'usage',
    `--mode probe computes the features of each image once: ${without.join(', ')} would change nothing there; ` +
      'leave it out, or use --mode finetune',
  );
}
