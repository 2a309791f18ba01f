/**
 * The table of what a training can be told: one row an option. `TrainOptions`, `Settings`, checks,
 * refusals, flags, help, resume rules, reproduce commands and docs/options.md derive from it.
 */
import type { AugmentPolicy } from '../augment/policy.js';
import type { LossMix } from '../train/losses.js';
import { optimizerNames } from '../train/optimizers.js';
import { scheduleNames } from '../train/schedules.js';
import {
  choice,
  factor,
  flag,
  list,
  normalization,
  notNegative,
  orWord,
  path,
  policy,
  positive,
  probability,
  share,
  text,
  valueOf,
  whole,
  without,
} from './kinds.js';
import { machine, runFolder, skip } from './machine.js';
import {
  descent,
  descentGroup,
  group,
  modes,
  option,
  pretrainedModes,
  type Given,
  type Mode,
  type Resolved,
} from './option.js';
import { common, defaultModels, modeRecipes } from './recipes.js';
import { teacher, trainedModel, unlabelledImages, type TechniqueName } from './techniques.js';

export { recipeDefault, techniqueDefaults, techniqueNames, type TechniqueName } from './techniques.js';

type ModeDefault = keyof (typeof modeRecipes)[Mode];
/** The default in each mode, from the recipes. */
const recipe = <Name extends ModeDefault>(name: Name) => ({
  scratch: modeRecipes.scratch[name],
  finetune: modeRecipes.finetune[name],
  probe: modeRecipes.probe[name],
  consensus: modeRecipes.consensus[name],
});

const whatIsTrained = group('What is trained', {
  model: option(path('model'), {
    says: `what to start from: ${trainedModel}, or a built-in network to train from scratch`,
    otherwise: `${defaultModels.pretrained}, scratch ${defaultModels.scratch}`,
    rank: 1,
  }),
  mode: option(choice(modes), {
    says:
      'finetune: train all layers of a pretrained model; scratch: train a built-in network from random weights; ' +
      'probe: train only the last layer, fast; consensus: the same on labels and on unlabelled images, whose labels ' +
      'are worked out from the features',
    usual: 'finetune',
    argument: 'mode',
    rank: 2,
  }),
  freeze: option(list(text('pattern')), {
    says: 'parameters that stay as they are, such as "layer1.*" (repeatable)',
    usual: [],
    only: descent,
  }),
  bn: option(choice(['train', 'frozen']), {
    says: 'whether the statistics of BatchNormalization are trained or stay',
    usual: 'train',
    only: descent,
    argument: 'how',
    label: 'BatchNormalization',
  }),
  syncBn: option(flag, {
    says: 'of several ranks (MPI): BatchNormalization takes the statistics of the whole batch, not of each rank alone',
    usual: false,
    off: false,
    only: descent,
    label: 'BatchNormalization over all ranks',
    about: 'ranks',
  }),
  headFirst: option(notNegative, {
    says: 'train only the last layer for so many epochs first',
    otherwise: 'the last layer is solved to its optimum first; 0: neither',
    only: descent,
    argument: 'epochs',
  }),
  gradualUnfreeze: option(positive, {
    says: 'unfreeze one more block, from the last to the first, every so many epochs',
    only: descent,
    argument: 'epochs',
  }),
  layerDecay: option(factor, {
    says: "each block's learning rate is that of the next block times this",
    only: descent,
  }),
  dropout: option(share, {
    says: 'dropout rate before the last layer, or of the Dropout nodes that the model has',
    only: descent,
    argument: 'rate',
  }),
  stochasticDepth: option(share, {
    says: 'rate at which the last residual block is skipped, growing linearly from the first',
    only: descent,
    argument: 'rate',
  }),
});

const foreign = group('ONNX files not made by Pupil', {
  head: option(text('node'), {
    says: 'for ONNX files not made by Pupil: the node that makes the logits, if Pupil does not find it',
    only: { mode: pretrainedModes },
    about: 'foreign files',
  }),
  modelOutput: option(text('output'), {
    says: 'for ONNX files not made by Pupil: the output to use, if it has several and Pupil takes another',
    only: { mode: pretrainedModes },
    about: 'foreign files',
    argument: 'name',
  }),
  features: option(text('value'), {
    says: 'for ONNX files not made by Pupil: the output, or a value inside, that a new classifier reads',
    only: { mode: pretrainedModes },
    about: 'foreign files',
    argument: 'name',
  }),
  normalize: option(normalization, {
    says:
      'for ONNX files not made by Pupil: imagenet, symmetric (x/127.5-1), unit (x/255), bytes (x), or MEAN/STD of ' +
      'pixels from 0 to 1',
    argument: 'how',
    otherwise: 'from the file, the folder or the repository',
    about: 'foreign files',
  }),
  channels: option(choice(['rgb', 'bgr']), {
    says: 'for ONNX files not made by Pupil: the order of the colours; bgr for networks trained in Caffe',
    only: { mode: pretrainedModes },
    about: 'foreign files',
    argument: 'order',
  }),
  size: option(whole(8), {
    says: 'input height and width in pixels',
    argument: 'pixels',
    otherwise: "the model's own",
  }),
});

const learning = descentGroup('Training', {
  epochs: option(whole(1), {
    says: 'passes over the training images',
    usual: recipe('epochs'),
    rank: 3,
  }),
  batchSize: option(orWord('auto', whole(1)), {
    says: 'images in a step; auto: as many as fit the memory',
    usual: common.batchSize,
    argument: 'images',
    rank: 4,
  }),
  lr: option(orWord('auto', positive), {
    says: 'peak learning rate; auto: found by a range test',
    usual: recipe('lr'),
    argument: 'rate',
    label: 'learning rate',
    rank: 5,
  }),
  backboneLr: option(notNegative, {
    says: 'peak learning rate of the pretrained layers',
    otherwise:
      'a tenth of `lr`; where BatchNormalization is folded into weights a twentieth (250 images) to a fifth (1,000)',
    only: { mode: ['finetune'] },
    argument: 'rate',
    label: 'learning rate of the pretrained layers',
  }),
  weightDecay: option(notNegative, {
    says: 'weight decay; biases and norms have none',
    usual: recipe('weightDecay'),
  }),
  optimizer: option(choice(optimizerNames), {
    says: `optimizer: ${optimizerNames.join(', ')}`,
    usual: recipe('optimizer'),
  }),
  momentum: option(share, {
    says: 'momentum of sgd and rmsprop',
    otherwise: 'sgd 0.9, rmsprop 0',
    only: { optimizer: ['sgd', 'rmsprop'] },
  }),
  schedule: option(choice(scheduleNames), {
    says: `how the learning rate falls: ${scheduleNames.join(', ')}`,
    usual: common.schedule,
  }),
  warmup: option(notNegative, {
    says: 'epochs in which the learning rate rises from 0',
    usual: recipe('warmup'),
    argument: 'epochs',
  }),
  labelSmoothing: option(share, {
    says: 'share of the target that is spread over all classes',
    usual: recipe('labelSmoothing'),
    off: 0,
    argument: 'share',
  }),
  losses: option(
    valueOf<LossMix>('losses by name with their weights', (value) => typeof value === 'object' && value !== null),
    {
      says: 'losses by name with their weights',
      otherwise: 'cross-entropy',
      flag: false,
    },
  ),
  ema: option(share, {
    says: 'decay of an average of the weights, which is kept where it is better on held-out images',
    argument: 'decay',
    label: 'average of the weights',
  }),
  clipNorm: option(positive, {
    says: 'scale gradients down to this global norm',
  }),
  accumulate: option(whole(1), {
    says: 'batches whose gradients are added up for one update',
    usual: 1,
    argument: 'batches',
  }),
  averageEvery: option(whole(1), {
    says:
      'for slow networks: ranks (MPI), or machines with `share`, each make so many steps by themselves, then their ' +
      'weights are averaged (local SGD)',
    otherwise: 'gradients are averaged in every step',
    argument: 'steps',
    label: 'steps between averages of the weights of ranks',
    about: 'ranks',
  }),
  share: option(path('folder'), {
    says:
      'a folder that several machines see, each started with the same command: they train one network together, may ' +
      'come and go, and average their weights through files; with `averageEvery`',
    argument: 'folder',
    label: 'folder shared with other machines',
    about: 'ranks',
  }),
  balance: option(flag, {
    says: 'draw classes equally often',
    usual: false,
    off: false,
  }),
  shuffle: option(choice(['all', 'shards']), {
    says:
      'all: any image may follow any other; shards: archives and Parquet files are read in pieces, in random order, ' +
      'and their images go through a shuffle buffer',
    otherwise: 'all; shards for images of hosts and Parquet files that take over 20 GiB decoded',
    off: 'all',
    argument: 'how',
    label: 'how an epoch is shuffled',
    about: 'archives',
  }),
  shuffleBuffer: option(whole(1, 512), {
    says: 'megabytes of encoded images that wait in the shuffle buffer of `shuffle: shards` to be drawn',
    otherwise: '256',
    only: { with: ['shuffle'] },
    about: 'archives',
    argument: 'mb',
  }),
  patience: option(whole(1), {
    says: 'stop after so many epochs without a better accuracy on held-out images, or as good a one with less loss',
    argument: 'epochs',
  }),
  minutes: option(positive, {
    says: 'stop after about this time',
    rank: 11,
  }),
  seed: option(whole(0), {
    says: 'seed of all random choices',
    only: { mode: modes },
    usual: 0,
    rank: 13,
  }),
});

const policies =
  'how training images are varied: none, light, basic, weak, strong, randaugment:n=2,m=9, trivial, ' +
  'auto:imagenet|cifar10|svhn, augmix, timm:rand-m9-mstd0.5-inc1, ops:rotate=9,color=12';

const augmentation = descentGroup('Augmentation', {
  augment: option(policy, {
    says: `${policies} or a policy.json; pupil augment draws it`,
    inForm: `${policies}; Augment draws it`,
    usual: recipe('augment'),
    off: 'none',
    rank: 6,
    label: 'augmentation',
  }),
  flip: option(flag, {
    says: 'mirror half of the training images; not for digits, text, left and right hands',
    no: 'never mirror training images: for digits, text, left and right hands',
    usual: true,
  }),
  erase: option(probability, {
    says: 'erase a random box in a share of the training images',
    off: 0,
    bare: 0.25,
    argument: 'share',
  }),
  cutmix: option(notNegative, {
    says: 'paste a box of another image and mix the labels by area',
    off: 0,
    bare: 1,
    argument: 'alpha',
  }),
  mixup: option(notNegative, {
    says: 'blend with another image and mix the labels; with `cutmix`, each batch gets one of the two',
    off: 0,
    bare: 0.2,
    argument: 'alpha',
  }),
  mixProbability: option(probability, {
    says: 'share of batches that are mixed',
    otherwise: 'all',
    only: { with: ['cutmix', 'mixup'] },
    argument: 'share',
  }),
  preview: option(flag, {
    says: 'save preview.png: the first batch as the network sees it',
    inForm: 'keep a picture of the first batch as the network sees it',
    no: 'do not save preview.png, the first batch as the network sees it',
    usual: { finetune: true, scratch: true, probe: false, consensus: false },
    off: false,
    renewable: true,
  }),
});

const selection = group('Labels and splits', {
  labelsPerClass: option(whole(1), {
    says: 'keep so many labels of each class; the other training images count as unlabelled',
    rank: 12,
  }),
  folds: option(without(1, whole(0, 20), '0, or a whole number from 2 to 20'), {
    says: 'cross-validation folds where there is no val, below 200 labels or for the last layer alone; 0: none',
    usual: common.folds,
  }),
  reportOn: option(choice(['val', 'test']), {
    says: 'never tune on this split, only measure on it',
    argument: 'split',
    about: 'splits',
  }),
  rejection: option(flag, {
    says: 'learn which images are of none of the classes; `pupil predict` then says so',
    inForm: 'learn which images are of none of the classes; Try then says so',
    no: 'do not learn which images are of none of the classes',
    usual: true,
    off: false,
  }),
  calibrateOn: option(list(path('run')), {
    says: 'runs on the folds of the same labels, whose held-out predictions calibrate this model',
    flag: false,
  }),
  keepHead: option(flag, {
    says: "the model's own last layer counts as much as the solved one; for a model that was told none of these labels",
    only: { mode: ['consensus'] },
    off: false,
    flag: false,
  }),
});

/** Every option of a training. */
export const trainingOptions = {
  ...whatIsTrained,
  ...foreign,
  ...learning,
  ...augmentation,
  ...selection,
  ...unlabelledImages,
  ...teacher,
  skip,
  ...machine,
  ...runFolder,
} as const;

/**
 * What `train` can be told. Everything but the data has a default, which depends on the mode and
 * the technique (docs/options.md).
 */
export interface TrainOptions extends Given<typeof trainingOptions> {}

/** Every choice of a training, as `run.json` keeps it. */
export interface Settings extends Omit<Resolved<typeof trainingOptions>, 'augment' | 'strong' | 'technique'> {
  readonly technique: TechniqueName;
  readonly augment: AugmentPolicy;
  readonly strong?: AugmentPolicy | undefined;
  /** The data set as given, when it came from a path. */
  readonly data: string | undefined;
}
