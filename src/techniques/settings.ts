import { mixes } from '../augment/mixing.js';
import { parseAugment, type AugmentPolicy } from '../augment/policy.js';
import type { Precision } from '../engine/engine.js';
import { PupilError } from '../errors.js';
import type { LossMix } from '../train/losses.js';
import type { OptimizerName } from '../train/optimizers.js';
import type { ScheduleName } from '../train/schedules.js';
import { changesImages } from './augmentation.js';

export type Mode = 'scratch' | 'probe' | 'finetune';

/** What `train` can be told. Everything but the data has a default, which depends on the mode (see `resolveSettings`). */
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
  /** What activations and gradients are computed in; `auto` (default): the engine's choice for the machine. */
  readonly precision?: Precision;
  readonly threads?: number;

  readonly labelsPerClass?: number;
  readonly reportOn?: 'val' | 'test';
  readonly unlabelled?: readonly string[];

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
  /** A preset (`none`, `light`, `basic`), a policy such as `randaugment:n=2,m=9`, a `.json` file with one, or one as an object. */
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
  /** Save a picture of the first batch, `preview.png`, before training. */
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
  /** Epochs in which only the head trains; by default a pretrained model's new head is solved to its optimum instead; 0: neither. */
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
export interface Settings extends Required<Pick<TrainOptions,
  'mode' | 'seed' | 'engine' | 'precision' | 'epochs' | 'batchSize' | 'lr' | 'weightDecay' | 'optimizer' | 'schedule' | 'warmup' | 'flip' |
  'labelSmoothing' | 'accumulate' | 'balance' | 'freeze' | 'bn' | 'unlabelled'>>,
  Pick<TrainOptions,
  'threads' | 'labelsPerClass' | 'reportOn' | 'backboneLr' | 'layerDecay' | 'momentum' | 'ema' | 'clipNorm' | 'patience' |
  'minutes' | 'headFirst' | 'gradualUnfreeze' | 'head' | 'normalize' | 'size' | 'model' | 'losses' | 'cutmix' | 'mixup' | 'mixProbability' | 'erase' | 'preview'> {
  readonly augment: AugmentPolicy;
  /** The data set as given, when it came from a path. */
  readonly data: string | undefined;
}

/** What a mode changes in the defaults. */
const modeDefaults = {
  // The recipe of He et al. and of most small-image training since: SGD with Nesterov momentum on a cosine.
  scratch: { epochs: 30, lr: 0.1, weightDecay: 5e-4, optimizer: 'sgd', augment: 'basic', labelSmoothing: 0, warmup: 1 },
  finetune: { epochs: 10, lr: 1e-3, weightDecay: 0.01, optimizer: 'adamw', augment: 'basic', labelSmoothing: 0.1, warmup: 1 },
  // Nothing but the head is fitted, to its optimum: the rest has no meaning here.
  probe: { epochs: 1, lr: 1, weightDecay: 0, optimizer: 'sgd', augment: 'none', labelSmoothing: 0, warmup: 0 },
} as const satisfies Record<Mode, object>;

/**
 * Factor from the head's learning rate to the pretrained part's; less where BatchNormalization was folded into the weights. Folded MobileNetV2
 * on flowers (1,300 images) gains from four times as much, on hymenoptera (199 images) it loses: see results/README.md.
 */
const backboneFactor = { normal: 0.1, folded: 0.05 };

/** The pretrained part's learning rate when none is given: a fraction of the head's. */
export const defaultBackboneRate = (lr: number, folded: boolean): number => lr * (folded ? backboneFactor.folded : backboneFactor.normal);

/** Fills in the defaults. `folded`: the model has convolutions but no BatchNormalization. Throws `usage` for impossible values. */
export function resolveSettings(data: string | undefined, options: TrainOptions, folded = false): Settings {
  const mode = options.mode ?? 'finetune';
  const defaults = modeDefaults[mode];
  const lr = options.lr ?? defaults.lr;
  const range = (name: string, value: number | undefined, low: number, high: number): void => {
    if (value !== undefined && !(value >= low && value <= high)) {
      throw new PupilError('usage', `${name} ${value}: give a number from ${low} to ${high}`);
    }
  };
  range('--epochs', options.epochs, 1, 1e6);
  range('--label-smoothing', options.labelSmoothing, 0, 0.999);
  range('--warmup', options.warmup, 0, 1e6);
  range('--ema', options.ema, 0, 0.999999);
  range('--head-first', options.headFirst, 0, 1e6);
  range('--mix-probability', options.mixProbability, 0, 1);
  range('--erase', options.erase, 0, 1);
  mixes({ cutmix: options.cutmix ?? 0, mixup: options.mixup ?? 0 });
  const given = options.augment ?? defaults.augment;
  const augment = typeof given === 'string' ? parseAugment(given) : given;
  if (mode === 'probe') refuseAugmentation(augment, options);
  if (mode === 'probe' && options.precision === 'bf16') {
    throw new PupilError('usage', '--mode probe solves a head to its optimum, in float32: leave --precision bf16 out, or use --mode finetune');
  }
  return {
    data, mode, model: options.model,
    seed: options.seed ?? 0,
    engine: options.engine ?? 'auto', precision: options.precision ?? 'auto', threads: options.threads,
    labelsPerClass: options.labelsPerClass, reportOn: options.reportOn, unlabelled: options.unlabelled ?? [],
    epochs: options.epochs ?? defaults.epochs,
    batchSize: options.batchSize ?? 32,
    lr, backboneLr: options.backboneLr ?? (mode === 'finetune' && options.layerDecay === undefined && lr !== 'auto'
      ? defaultBackboneRate(lr, folded) : undefined),
    layerDecay: options.layerDecay,
    weightDecay: options.weightDecay ?? defaults.weightDecay,
    optimizer: options.optimizer ?? defaults.optimizer, momentum: options.momentum,
    schedule: options.schedule ?? 'cosine',
    warmup: options.warmup ?? defaults.warmup,
    augment, flip: options.flip ?? true,
    cutmix: options.cutmix, mixup: options.mixup, mixProbability: options.mixProbability, erase: options.erase, preview: options.preview,
    labelSmoothing: options.labelSmoothing ?? defaults.labelSmoothing,
    losses: options.losses,
    ema: options.ema, clipNorm: options.clipNorm,
    accumulate: options.accumulate ?? 1,
    patience: options.patience, minutes: options.minutes,
    balance: options.balance ?? false,
    freeze: options.freeze ?? [], bn: options.bn ?? 'train',
    headFirst: options.headFirst, gradualUnfreeze: options.gradualUnfreeze,
    head: options.head, normalize: options.normalize, size: options.size,
  };
}

/** A probe looks at every image once, as it is evaluated: what would vary them is refused rather than passed over. */
function refuseAugmentation(augment: AugmentPolicy, { cutmix = 0, mixup = 0, erase = 0, preview = false }: TrainOptions): void {
  const without = Object.entries({
    augment: changesImages({ augment }), cutmix: cutmix > 0, mixup: mixup > 0, erase: erase > 0, preview,
  }).flatMap(([name, on]) => (on ? [`--${name}`] : []));
  if (without.length === 0) return;
  throw new PupilError('usage', `--mode probe computes the features of each image once: ${without.join(', ')} would change nothing there; `
    + 'leave it out, or use --mode finetune');
}
