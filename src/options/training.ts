/**
 * The table of what a training can be told: one row an option. `TrainOptions`, `Settings`, checks,
 * refusals, flags, help, resume rules, reproduce commands and docs/options.md derive from it.
 */
import type { AugmentPolicy } from '../augment/policy.js';
import { parseNormalization } from '../data/preprocessing.js';
import { precisions } from '../engine/engine.js';
import { engineNames } from '../engine/index.js';
import type { LossMix } from '../train/losses.js';
import { optimizerNames } from '../train/optimizers.js';
import { scheduleNames } from '../train/schedules.js';
import {
  choice,
  factor,
  flag,
  list,
  notNegative,
  numberIn,
  orWord,
  path,
  positive,
  probability,
  share,
  text,
  valueOf,
  whole,
  type Kind,
} from './kinds.js';
import { describeByMode, modes, option, type Given, type Mode, type Resolved } from './option.js';
import { common, defaultModels, modeRecipes, techniqueRecipes } from './recipes.js';

/** An augmentation policy: a name or a file, or one as an object. */
export const policy: Kind<string | AugmentPolicy> = {
  ...text('policy'),
  takes: 'a policy, such as basic, randaugment:n=2,m=9 or policy.json',
  check: (value) =>
    typeof value === 'object' && value !== null && 'steps' in value && 'base' in value
      ? (value as AugmentPolicy)
      : text('policy').check(value),
};

/** How a file's pixels are normalised, as data/preprocessing reads it. */
const normalization: Kind<string> = {
  ...text('normalization'),
  takes: 'imagenet, symmetric, unit or MEAN/STD',
  check: normalized,
  read: normalized,
};
function normalized(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  parseNormalization(value);
  return value;
}

export type TechniqueName = keyof typeof techniqueRecipes;
export const techniqueNames = Object.keys(techniqueRecipes) as TechniqueName[];

type ModeDefault = keyof (typeof modeRecipes)[Mode];
/** The default in each mode, from the recipes. */
const recipe = <Name extends ModeDefault>(name: Name) => ({
  scratch: modeRecipes.scratch[name],
  finetune: modeRecipes.finetune[name],
  probe: modeRecipes.probe[name],
});

/** The default of an option that a technique has in a mode, if it has one. */
export function recipeDefault(name: string, technique: TechniqueName, mode: Mode): unknown {
  const own: Partial<Record<'all' | Mode, Readonly<Record<string, unknown>>>> = techniqueRecipes[technique];
  return own[mode]?.[name] ?? own.all?.[name];
}

/**
 * The defaults of an option that techniques have, in words: `fixmatch, flexmatch: 0.95`; undefined
 * where no technique has one.
 */
export function techniqueDefaults(name: string): string | undefined {
  const users = new Map<string, string[]>();
  for (const technique of techniqueNames) {
    const valueIn = (mode: Mode): unknown => recipeDefault(name, technique, mode);
    const values = { finetune: valueIn('finetune'), scratch: valueIn('scratch') };
    if (values.finetune === undefined && values.scratch === undefined) continue;
    const said =
      values.finetune === undefined
        ? `scratch ${String(values.scratch)}`
        : describeByMode('finetune', values.scratch === undefined ? [] : ['scratch'], values);
    users.set(said, [...(users.get(said) ?? []), technique]);
  }
  if (users.size === 0) return undefined;
  return [...users].map(([said, names]) => `${names.join(', ')}: ${said}`).join('; ');
}

/** Options of what is trained by gradient descent: a probe's last layer is solved instead. */
const descent = { mode: ['scratch', 'finetune'] } as const;
const fineTuning = { mode: ['finetune'] } as const;
const model = 'run folder, ONNX file, timm .safetensors or hf:owner/repo[/file]';

const whatIsTrained = {
  model: option(path('model'), {
    says: `what to start from: ${model}, or a built-in network to train from scratch`,
    group: 'What is trained',
    otherwise: `${defaultModels.pretrained}, scratch ${defaultModels.scratch}`,
    rank: 1,
  }),
  mode: option(choice(modes), {
    says:
      'finetune: train all layers of a pretrained model; scratch: train a built-in network from random weights; ' +
      'probe: train only the last layer, fast',
    group: 'What is trained',
    usual: 'finetune',
    argument: 'mode',
    rank: 2,
  }),
  freeze: option(list(text('pattern')), {
    says: 'parameters that stay as they are, such as "layer1.*" (repeatable)',
    group: 'What is trained',
    usual: [],
    only: descent,
  }),
  bn: option(choice(['train', 'frozen']), {
    says: 'whether the statistics of BatchNormalization are trained or stay',
    group: 'What is trained',
    usual: 'train',
    only: descent,
    argument: 'how',
    label: 'BatchNormalization',
  }),
  headFirst: option(notNegative, {
    says: 'train only the last layer for so many epochs first',
    group: 'What is trained',
    otherwise: 'the last layer is solved to its optimum first; 0: neither',
    only: descent,
    argument: 'epochs',
  }),
  gradualUnfreeze: option(positive, {
    says: 'unfreeze one more block, from the last to the first, every so many epochs',
    group: 'What is trained',
    only: descent,
    argument: 'epochs',
  }),
  layerDecay: option(factor, {
    says: "each block's learning rate is that of the next block times this",
    group: 'What is trained',
    only: descent,
  }),
  dropout: option(share, {
    says: 'dropout rate before the last layer, or of the Dropout nodes that the model has',
    group: 'What is trained',
    only: descent,
    argument: 'rate',
  }),
  stochasticDepth: option(share, {
    says: 'rate at which the last residual block is skipped, growing linearly from the first',
    group: 'What is trained',
    only: descent,
    argument: 'rate',
  }),
  head: option(text('node'), {
    says: 'for ONNX files not made by Pupil: the node that makes the logits, if Pupil does not find it',
    group: 'ONNX files not made by Pupil',
  }),
  normalize: option(normalization, {
    says:
      'for ONNX files not made by Pupil: imagenet, symmetric (x/127.5-1), unit (x/255), or MEAN/STD of pixels from ' +
      '0 to 1',
    group: 'ONNX files not made by Pupil',
    argument: 'how',
    otherwise: "from the file's metadata or the repository",
  }),
  size: option(whole(8), {
    says: 'input height and width in pixels',
    group: 'ONNX files not made by Pupil',
    argument: 'pixels',
    otherwise: "the model's own",
  }),
} as const;

const learning = {
  epochs: option(whole(1), {
    says: 'passes over the training images',
    group: 'Training',
    usual: recipe('epochs'),
    only: descent,
    rank: 3,
  }),
  batchSize: option(orWord('auto', whole(1)), {
    says: 'images in a step; auto: as many as fit the memory',
    group: 'Training',
    usual: common.batchSize,
    only: descent,
    argument: 'images',
    rank: 4,
  }),
  lr: option(orWord('auto', positive), {
    says: 'peak learning rate; auto: found by a range test',
    group: 'Training',
    usual: recipe('lr'),
    only: descent,
    argument: 'rate',
    label: 'learning rate',
    rank: 5,
  }),
  backboneLr: option(notNegative, {
    says: 'peak learning rate of the pretrained layers',
    group: 'Training',
    otherwise: 'a tenth of `lr`; a twentieth where BatchNormalization is folded into the weights',
    only: fineTuning,
    argument: 'rate',
    label: 'learning rate of the pretrained layers',
  }),
  weightDecay: option(notNegative, {
    says: 'weight decay; biases and norms have none',
    group: 'Training',
    usual: recipe('weightDecay'),
    only: descent,
  }),
  optimizer: option(choice(optimizerNames), {
    says: `optimizer: ${optimizerNames.join(', ')}`,
    group: 'Training',
    usual: recipe('optimizer'),
    only: descent,
  }),
  momentum: option(share, {
    says: 'momentum of sgd and rmsprop',
    group: 'Training',
    otherwise: 'sgd 0.9, rmsprop 0',
    only: { ...descent, optimizer: ['sgd', 'rmsprop'] },
  }),
  schedule: option(choice(scheduleNames), {
    says: `how the learning rate falls: ${scheduleNames.join(', ')}`,
    group: 'Training',
    usual: common.schedule,
    only: descent,
  }),
  warmup: option(notNegative, {
    says: 'epochs in which the learning rate rises from 0',
    group: 'Training',
    usual: recipe('warmup'),
    only: descent,
    argument: 'epochs',
  }),
  labelSmoothing: option(share, {
    says: 'share of the target that is spread over all classes',
    group: 'Training',
    usual: recipe('labelSmoothing'),
    only: descent,
    off: 0,
    argument: 'share',
  }),
  losses: option(
    valueOf<LossMix>('losses by name with their weights', (value) => typeof value === 'object' && value !== null),
    {
      says: 'losses by name with their weights',
      group: 'Training',
      otherwise: 'cross-entropy',
      only: descent,
      flag: false,
    },
  ),
  ema: option(share, {
    says: 'decay of an average of the weights, which is kept where it is better on held-out images',
    group: 'Training',
    only: descent,
    argument: 'decay',
    label: 'average of the weights',
  }),
  clipNorm: option(positive, {
    says: 'scale gradients down to this global norm',
    group: 'Training',
    only: descent,
  }),
  accumulate: option(whole(1), {
    says: 'batches whose gradients are added up for one update',
    group: 'Training',
    usual: 1,
    only: descent,
    argument: 'batches',
  }),
  balance: option(flag, {
    says: 'draw classes equally often',
    group: 'Training',
    usual: false,
    only: descent,
    off: false,
  }),
  patience: option(whole(1), {
    says: 'stop after so many epochs without a better loss on held-out images',
    group: 'Training',
    only: descent,
    argument: 'epochs',
  }),
  minutes: option(positive, {
    says: 'stop after about this time',
    group: 'Training',
    only: descent,
    rank: 11,
  }),
  seed: option(whole(0), {
    says: 'seed of all random choices',
    group: 'Training',
    usual: 0,
    rank: 13,
  }),
} as const;

const augmentation = {
  augment: option(policy, {
    says:
      'how training images are varied: none, light, basic, weak, strong, randaugment:n=2,m=9, trivial, ' +
      'auto:imagenet|cifar10|svhn, augmix, timm:rand-m9-mstd0.5-inc1, ops:rotate=9,color=12 or a policy.json; ' +
      'pupil augment draws it',
    group: 'Augmentation',
    usual: recipe('augment'),
    only: descent,
    off: 'none',
    rank: 6,
    label: 'augmentation',
  }),
  flip: option(flag, {
    says: 'mirror half of the training images; not for digits, text, left and right hands',
    no: 'never mirror training images: for digits, text, left and right hands',
    group: 'Augmentation',
    usual: true,
    only: descent,
    off: false,
  }),
  erase: option(probability, {
    says: 'erase a random box in a share of the training images',
    group: 'Augmentation',
    only: descent,
    off: 0,
    bare: 0.25,
    argument: 'share',
  }),
  cutmix: option(notNegative, {
    says: 'paste a box of another image and mix the labels by area',
    group: 'Augmentation',
    only: descent,
    off: 0,
    bare: 1,
    argument: 'alpha',
  }),
  mixup: option(notNegative, {
    says: 'blend with another image and mix the labels; with `cutmix`, each batch gets one of the two',
    group: 'Augmentation',
    only: descent,
    off: 0,
    bare: 0.2,
    argument: 'alpha',
  }),
  mixProbability: option(probability, {
    says: 'share of batches that are mixed',
    group: 'Augmentation',
    otherwise: 'all',
    only: { ...descent, with: ['cutmix', 'mixup'] },
    argument: 'share',
  }),
  preview: option(flag, {
    says: 'save preview.png: the first batch as the network sees it',
    no: 'do not save preview.png, the first batch as the network sees it',
    group: 'Augmentation',
    usual: { finetune: true, scratch: true, probe: false },
    only: descent,
    off: false,
    renewable: true,
  }),
} as const;

const selection = {
  labelsPerClass: option(whole(1), {
    says: 'keep so many labels of each class; the other training images count as unlabelled',
    group: 'Labels and splits',
    rank: 12,
  }),
  folds: option(whole(0, 20), {
    says: 'cross-validation folds where there are fewer than 200 labels and no val; 0: none',
    group: 'Labels and splits',
    usual: common.folds,
  }),
  reportOn: option(choice(['val', 'test']), {
    says: 'never tune on this split, only measure on it',
    group: 'Labels and splits',
    argument: 'split',
  }),
  calibrateOn: option(list(path('run')), {
    says: 'runs on the folds of the same labels, whose held-out predictions calibrate this model',
    group: 'Labels and splits',
    flag: false,
  }),
} as const;

const unlabelledImages = {
  unlabelled: option(list(path('folder')), {
    says: 'images without labels: a folder, tar or manifest (repeatable)',
    group: 'Unlabelled images',
    usual: [],
    only: descent,
    rank: 7,
    label: 'unlabelled images',
  }),
  technique: option(choice(techniqueNames), {
    says: `how unlabelled images and teachers take part: ${techniqueNames.join(', ')}`,
    group: 'Unlabelled images',
    otherwise: 'supervised; with `pseudoLabels`, pseudo-labels; with `teachers`, distillation',
    rank: 8,
  }),
  pseudoLabels: option(path('file'), {
    says: 'a file of pupil pseudo-label: its accepted labels are learned beside your own',
    group: 'Unlabelled images',
    only: descent,
  }),
  unlabelledRatio: option(whole(1, 100), {
    says: 'unlabelled images for each labelled one in a batch',
    group: 'Unlabelled images',
    only: descent,
  }),
  unlabelledWeight: option(notNegative, {
    says: 'weight of the loss on unlabelled images',
    group: 'Unlabelled images',
    only: descent,
  }),
  threshold: option(probability, {
    says: 'minimum confidence of a prediction that is learned from',
    group: 'Unlabelled images',
    only: descent,
  }),
  runningDecay: option(orWord('auto', share), {
    says: 'how much of a running average of the technique stays from step to step; auto: min(0.999, 1 - 5 / steps)',
    group: 'Unlabelled images',
    only: descent,
  }),
  fairnessWeight: option(notNegative, {
    says: 'weight of the term that keeps predictions from falling into a few classes',
    group: 'Unlabelled images',
    only: descent,
  }),
  rampUp: option(probability, {
    says: 'share of the training in which the weight of the loss on unlabelled images rises',
    group: 'Unlabelled images',
    only: descent,
  }),
  debiasStrength: option(notNegative, {
    says: 'how much pseudo-labels are freed of the classes that the network prefers; 0: not',
    group: 'Unlabelled images',
    only: descent,
  }),
  strong: option(policy, {
    says: 'how the strong views of unlabelled images are varied',
    group: 'Unlabelled images',
    only: descent,
  }),
} as const;

const teacher = {
  teachers: option(list(path('model')), {
    says: `model to imitate: ${model} (repeatable: several are averaged)`,
    group: 'Teacher',
    usual: [],
    only: descent,
    flag: 'teacher',
  }),
  temperature: option(numberIn({ from: 0.01, to: 1000 }, 'a number from 0.01 to 1000'), {
    says: 'softens the predictions of teacher and student',
    group: 'Teacher',
    only: descent,
  }),
  alpha: option(probability, {
    says: 'weight of the teacher in the loss of labelled images; the labels have the rest',
    group: 'Teacher',
    only: descent,
  }),
  teacherNormalize: option(normalization, {
    says: 'normalisation of a teacher not made by Pupil, as `normalize`',
    group: 'Teacher',
    only: descent,
    argument: 'how',
  }),
  teacherSize: option(whole(8), {
    says: 'input height and width of a teacher not made by Pupil',
    group: 'Teacher',
    only: descent,
    argument: 'pixels',
  }),
} as const;

/** Where and how fast: shared by all commands that compute. */
export const machine = {
  engine: option(choice(engineNames, ['reference']), {
    says: `what computes: ${engineNames.join(', ')}; auto: oneDNN where it is installed, else onnxruntime`,
    group: 'Machine',
    usual: 'auto',
    machine: true,
  }),
  precision: option(choice(precisions), {
    says: 'what activations and gradients are computed in; auto: what is fast and safe on this machine',
    group: 'Machine',
    usual: 'auto',
    machine: true,
  }),
  threads: option(whole(1), {
    says: 'threads inside an operation',
    group: 'Machine',
    otherwise: 'physical cores',
    machine: true,
  }),
  workers: option(whole(0), {
    says: 'threads that decode and augment images; 0: none',
    group: 'Machine',
    machine: true,
    otherwise: 'by the number of cores',
    unsaved: true,
  }),
  cacheMemory: option(notNegative, {
    says: 'decoded images held in memory, in MB; the rest is kept on disk',
    group: 'Machine',
    otherwise: 'by the memory of the machine',
    machine: true,
    unsaved: true,
    argument: 'MB',
  }),
  signal: option(
    valueOf<AbortSignal>('an AbortSignal', (value) => value instanceof AbortSignal),
    { says: 'ends the work, its state saved', group: 'Machine', machine: true, unsaved: true, flag: false },
  ),
} as const;

/** The run folder. */
export const runFolder = {
  out: option(path('folder'), {
    says: 'folder to write into; it must not exist',
    group: 'Run',
    otherwise: 'the first free runs/NAME-N',
    unsaved: true,
    rank: 10,
  }),
  resume: option(path('run'), {
    says: 'continue an interrupted run with its own options',
    group: 'Run',
    unsaved: true,
    rank: 10,
  }),
} as const;

/** Every option of a training. */
export const trainingOptions = {
  ...whatIsTrained,
  ...learning,
  ...augmentation,
  ...selection,
  ...unlabelledImages,
  ...teacher,
  ...machine,
  ...runFolder,
} as const;

/**
 * What `train` can be told. Everything but the data has a default, which depends on the mode and
 * the technique (docs/options.md).
 */
export type TrainOptions = Given<typeof trainingOptions>;

/** Every choice of a training, as `run.json` keeps it. */
export interface Settings extends Omit<Resolved<typeof trainingOptions>, 'augment' | 'strong' | 'technique'> {
  readonly technique: TechniqueName;
  readonly augment: AugmentPolicy;
  readonly strong?: AugmentPolicy | undefined;
  /** The data set as given, when it came from a path. */
  readonly data: string | undefined;
}
