/**
 * Every default number on one page, each with its reason: a paper, a row of results/README.md, or a
 * sentence. Options that no recipe names have a neutral default in their own row (`training.ts`).
 */
import { defaultModel } from '../models/default-model.js';

/** The backbone that is trained when none is named, and the network from scratch. */
export const defaultModels = {
  pretrained: defaultModel,
  scratch: 'resnet18',
} as const;

/** The last layer is solved to its optimum: nothing here has an effect. */
const solved = {
  epochs: 1,
  lr: 1,
  weightDecay: 0,
  optimizer: 'sgd',
  augment: 'none',
  labelSmoothing: 0,
  warmup: 0,
} as const;

/** What a mode of training begins with. */
export const modeRecipes = {
  // He et al. 2016, and most training on small images since: SGD with Nesterov momentum on a cosine.
  scratch: { epochs: 30, lr: 0.1, weightDecay: 5e-4, optimizer: 'sgd', augment: 'basic', labelSmoothing: 0, warmup: 1 },
  // results/README.md: flowers-finetune, hymenoptera-finetune.
  finetune: {
    epochs: 10,
    lr: 1e-3,
    weightDecay: 0.01,
    optimizer: 'adamw',
    augment: 'basic',
    labelSmoothing: 0.1,
    warmup: 1,
  },
  probe: solved,
  consensus: solved,
} as const;

/** In every mode. */
export const common = {
  /** Fits the memory of a laptop with photos of 224 pixels. */
  batchSize: 32,
  /** Loshchilov and Hutter 2017, without restarts. */
  schedule: 'cosine',
  /** Cross-validation below 200 labels: five trainings, each on four fifths of them. */
  folds: 5,
} as const;

/**
 * The pretrained part's learning rate as a fraction of the head's; less where BatchNormalization was
 * folded into the weights. There it rises with the images that are learned from, up to four times as
 * much: folded MobileNetV2 gains from that on flowers (1,300 images; flowers-finetune-faster) and
 * loses by it on hymenoptera (199; hymenoptera-finetune-faster).
 */
export function backboneFactor(isFolded: boolean, images: number): number {
  if (!isFolded) return 0.1;
  const { factor, images: few, most } = foldedBackbone;
  return factor * Math.min(most, Math.max(1, images / few));
}

/** The same in words. */
export const whyBackboneFactor = (isFolded: boolean, images: number): string =>
  isFolded
    ? `${Number(backboneFactor(true, images).toPrecision(2))} of the learning rate, for ${images} images to learn ` +
      `from: ${foldedBackbone.factor} up to ${foldedBackbone.images} of them, and up to ${foldedBackbone.most} times ` +
      'as much for more, where BatchNormalization is folded into the weights'
    : `${backboneFactor(false, images)} of the learning rate`;

/** The factor of so many images and fewer; at most how many times as much of more. */
const foldedBackbone = { factor: 0.05, images: 250, most: 4 } as const;

/** FixMatch's settings (Sohn et al. 2020, table 4), which its family keeps. */
export const matching = {
  all: {
    unlabelledWeight: 1,
    rampUp: 0,
    // 0.999 in the papers, whose trainings have 100,000 steps and more; a fine-tuning of 250 would
    // hardly move such an average (`automaticDecay` in techniques/parts.ts).
    runningDecay: 'auto',
    weakPass: 'joint',
    ema: 0.999,
    labelSmoothing: 0,
    augment: 'weak',
    strong: 'strong',
  },
  scratch: {
    batchSize: 64,
    unlabelledRatio: 7,
    lr: 0.03,
    weightDecay: 5e-4,
    optimizer: 'sgd',
    schedule: 'fixmatch',
    warmup: 0,
  },
  // A pretrained network sees large images and needs fewer: a step as dear as an ordinary one of 72.
  finetune: { batchSize: 8, unlabelledRatio: 4 },
} as const;
/** How sure a prediction must be to count (Sohn et al. 2020; Zhang et al. 2021 scale it by class). */
const sure = { threshold: 0.95 } as const;

/** Predictions are learned as they are. */
const asTheyAre = { alignment: 'none' } as const;

/**
 * What a technique changes in the defaults of a run: in all modes, or in one. Its keys are the
 * names of the techniques.
 */
export const techniqueRecipes = {
  'supervised': {},
  // Hinton et al. 2015: a high temperature, and little weight on the labels themselves.
  'distillation': { all: { temperature: 4, alpha: 0.9, labelSmoothing: 0 } },
  // Lee 2013; Xie et al. 2020 mix labels and pseudo-labels in every batch.
  'pseudo-labels': {
    all: { unlabelledRatio: 1, unlabelledWeight: 1, ema: 0.999 },
    // Few labels would be repeated over and over beside as many others; a pretrained network's
    // images are large.
    finetune: { batchSize: 8, unlabelledRatio: 4 },
  },
  // Half-way between the file and the network.
  'prior-match': { all: { priorWeight: 0.5, ema: 0.999, labelSmoothing: 0, strong: 'strong' } },
  'fixmatch': { ...matching, all: { ...matching.all, ...asTheyAre, ...sure } },
  'flexmatch': { ...matching, all: { ...matching.all, ...asTheyAre, ...sure } },
  // Chen et al. 2023: a weight for each prediction instead of a threshold.
  'softmatch': { ...matching, all: { ...matching.all, alignment: 'uniform' } },
  // Wang et al. 2023 have thresholds that follow the network; 0.01 is the default of their library.
  'freematch': { ...matching, all: { ...matching.all, ...asTheyAre, fairnessWeight: 0.01 } },
  // Berthelot et al. 2022: relative to how sure the network is of labelled images; the weight rises
  // in the first half.
  'adamatch': { ...matching, all: { ...matching.all, alignment: 'labelled', threshold: 0.9, rampUp: 0.5 } },
  // Wang et al. 2022.
  'debiasmatch': { ...matching, all: { ...matching.all, ...sure, debiasStrength: 0.5 } },
  'mean-teacher': {
    // Tarvainen and Valpola 2017: a weight of 100 for a mean over ten classes, which rises in 40,000
    // of 150,000 steps.
    all: { unlabelledWeight: 10, rampUp: 0.25, ema: 0.999, labelSmoothing: 0 },
    // Their residual network on CIFAR-10: 31 labelled images among 128.
    scratch: { batchSize: 32, unlabelledRatio: 3, lr: 0.05, weightDecay: 2e-4, optimizer: 'sgd', warmup: 0 },
    finetune: { batchSize: 8, unlabelledRatio: 4 },
  },
} as const;

/** The noise of a student: self-train and the ladder's Noisy Student. */
export const studentNoise = {
  // Xie et al. 2020 use magnitude 27; 9 is what a small data set bears (digits-student-no-augment).
  augment: 'randaugment:n=2,m=9',
  // Xie et al. 2020 (digits-student-no-dropout: no difference on digits).
  dropout: 0.5,
  stochasticDepth: 0.2,
} as const;

/**
 * Images of none of the classes: of images like those that set the limit this share is refused. Fewer than
 * `least` cannot set one (1 / share - 1); of more than `most` some are looked at.
 */
export const rejection = { share: 0.02, least: 49, most: 500 } as const;

/** Which labels of a teacher a student learns. */
export const pseudoLabels = {
  // Xie et al. 2020: probabilities also where the teacher is not sure.
  soft: { threshold: 0.3, balance: true, soft: true },
  // As classes only where it is sure.
  hard: { threshold: 0.8, balance: true, soft: false },
} as const;

/**
 * The penalty of a head that imitates a consensus: there are as many soft labels as images, so that
 * little is needed; from 0.03 to 0.3 makes no difference beyond a point.
 */
export const consensusHeadL2 = 0.1;

/** `self-train`: rounds end by themselves where one no longer helps. */
export const selfTraining = {
  rounds: 3,
  studentEpochs: 10,
  folds: 3,
} as const;

/** `learn`: the rungs in order, and what each is trained with. */
export const ladder = {
  /** Epochs through the unlabelled images. */
  studentEpochs: 5,
  folds: 3,
  /** Of the epochs, in trainings that only measure: the time is for the one on all labels. */
  foldShare: 1 / 3,
  /** Unlabelled images are used as far as one round with them fits in this share of the time; at least so many. */
  roundWithin: 3 / 4,
  leastUnlabelled: 256,
  /** Rounds where no time is given; the labels are then nearly what they will be. */
  rounds: 3,
  /** After FixMatch: a second brings little. */
  ownRounds: 1,
  /** Of the time, what is kept for the end: the files of the model that is kept, which images are of no class. */
  closingShare: 0.05,
  /** Rounds at most, however long the time. */
  mostRounds: 8,
  /**
   * So few labels tell little: of what is measured on fewer, a loss counts as if the interval were no wider than it can
   * be with so many; and from scratch, trainings on fewer make `leastSteps`.
   */
  fewLabels: 40,
  /**
   * Steps of FixMatch and of a student from scratch at least. On three kinds of digits, with 9 labels and 22 others,
   * five and two steps end at 32% (guessing gives 33%), 30 each at 75%, 75 at 86%, 150 at 91% (seeds 0 to 2).
   */
  leastSteps: 75,
  /** Rounds end where fewer labels than this share change. */
  settled: 0.005,
  /**
   * Images that a student of a round is shown: each ten times, in 75 to 300 steps of 32. On 244 photos
   * thirty times gave no better labels than ten.
   */
  studentImages: { least: 2400, most: 9600, epochs: 10 },
  /**
   * A smaller network has so many times the epochs of a student of a round; where a time is given and left, the most.
   * On scenes, a MobileNetV1-0.25 taught by a consensus has 86.3, 88.2 and 88.9% after 6, 12 and 36 epochs (two seeds).
   * Rounds leave it this share of the time, if it can use that: on flowers a network for which a fourth round
   * had left 13 s of ten minutes was 9 points worse than its teacher, one with 76 s 2 points.
   */
  smallerTimes: { usual: 2, most: 6, share: 1 / 5 },
  /** With less than this share of its usual steps a training has not taught: held-out labels have to show it better. */
  taughtSteps: 1 / 2,
  /**
   * What a student is shown at least: this share of the images, as far as they are no more than these. In one minute on
   * flowers students of 17, 19 and 62 steps of 32 gave labels that are 2.5, 1.5 and 0.3 points better than those of
   * the consensus that taught them (seeds 3, 1, 0); of 1, 4 and 4 steps, on scenes, -0.7, -0.1 and 1.8.
   */
  leastShown: 1 / 2,
  leastStudentImages: 480,
  /** From scratch, of a training that ends by the clock. */
  leastTrainedImages: 3200,
  /**
   * Rounds begin where so many labels of the consensus are likely right. On objects50 (MobileNetV1-0.25) with two of
   * each class (34% right, 0.28 expected) three rounds went from 32.6 to 29.9%, with three (40%, 0.39) two stayed at
   * 39.6%, with five (44%, 0.41) two went from 42.9 to 41.5%; on scenes (two, 0.50 expected) and flowers (two, 0.6 to
   * 0.8) a round gained 0.7 to 5.3 points.
   */
  rightLabels: 0.45,
  /**
   * Of few classes many labels are right by guessing: of those that guessing has wrong, this share has to be right. Of
   * cats and dogs (CIFAR-10, MobileNetV1-0.25, two of each; 0.52 expected, one of four held-out ones right) a round
   * went from 52.0 to 53.3% of 300 images, which is chance; of birds and deer (three, 0.58 expected, four of six right)
   * from 61.3 to 63.3%. With two classes rounds begin from 60% on, with four and more the above decides.
   */
  aboveChance: 0.2,
  /**
   * A round after the first needs this share of its time: on flowers a fourth one, with a third of the
   * time or less, lost 1 to 8 points (seeds 0 to 2), and held-out labels noticed it once.
   */
  laterRound: 2 / 3,
  /** What a student of a round is trained with; its rates are those for so many images. */
  student: { headFirst: 0 },
  /**
   * Without a pretrained network and given a time: of what is left of it. FixMatch gains longest from
   * more; rounds have the rest.
   */
  shares: { supervised: 0.1, fixmatch: 0.75, augmentation: 0.5, student: 0.6 },
  /**
   * Without a pretrained network and with so many labels, ordinary training with RandAugment and its
   * students bring more in the same time than FixMatch, which is better at 100 (cifar-4000-teacher and
   * cifar-4000-noisy-student-20 against cifar-4000-fixmatch; digits-fixmatch against digits-ladder).
   */
  manyLabels: 1000,
  /** Epochs at most in such a share. */
  mostEpochs: 200,
  /**
   * FixMatch in few epochs: small batches, so that there are many steps, and weak views through the
   * averaged weights (digits-fixmatch-short).
   */
  shortFixmatch: {
    technique: 'fixmatch',
    batchSize: 8,
    unlabelledRatio: 3,
    lr: 0.1,
    weakPass: 'averaged',
    augment: 'weak',
  },
  /**
   * A training that goes on from the weights of another. On 4,000 labels of CIFAR-10 a resnet8 of 63.3%
   * gave a student of 64.8% that went on from it, and one of 60.7% that began anew in the same time.
   */
  goingOn: {
    headFirst: 0,
    optimizer: 'sgd',
    lr: 0.05,
    weightDecay: 5e-4,
    warmup: 0,
    labelSmoothing: 0,
    augment: studentNoise.augment,
  },
  /**
   * A student that goes on from its teacher's weights. With the consensus before and after it, it adds
   * 0.3 points on digits in 2 epochs (seed 0) as in 4 (seed 10), so that it has few: this share of
   * FixMatch's.
   */
  ownStudent: { training: { technique: 'pseudo-labels', batchSize: 16, unlabelledRatio: 4 }, share: 1 / 4 },
  rungs: {
    'probe': { mode: 'probe', augment: 'none' },
    'consensus': { mode: 'consensus', augment: 'none' },
    'rounds': {},
    'supervised': { augment: 'light' },
    'augmentation': { augment: studentNoise.augment },
    'pseudo-labels': { augment: 'basic' },
    'fixmatch': { technique: 'fixmatch', augment: 'weak' },
    'noisy student': studentNoise,
    'noisy student 2': studentNoise,
    'distillation': { technique: 'distillation' },
  },
} as const;

/**
 * `demo`: what `learn` does from scratch, on the bundled digits, in two minutes on two cores.
 * FixMatch brings more there than labels made once (digits-ladder); in small batches it has 97.1%
 * after 6 epochs, where the papers' form has 97.9% after 24 (digits-fixmatch-short, digits-fixmatch).
 */
export const demo = {
  mode: 'scratch',
  model: 'convnet-small',
  labelsPerClass: 10,
  flip: false,
  epochs: 20,
  studentEpochs: 6,
  unlabelledRatio: 3,
  batchSize: 5,
  ema: 0.99,
} as const;

/** `search`. */
export const searching = {
  // Cubuk et al. 2019, section 4: a small grid of N and M; 30 is torchvision's full strength.
  n: [1, 2, 3],
  m: [3, 9, 15],
  scale: 'torchvision',
  /** Random combinations of ops. */
  candidates: 16,
  // Successive halving (Jamieson and Talwalkar 2016): one in three goes on.
  eta: 3,
  minEpochs: 2,
} as const;

/** `gap`: coverage and density as Naeem et al. 2020 use them. */
export const gapMeasure = {
  augment: ['light', 'basic', 'randaugment:n=2,m=9', 'trivial'],
  draws: 2,
  neighbours: 5,
  top: 12,
  limit: 2000,
} as const;
