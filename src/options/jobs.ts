/** Tables of the jobs that train many times: the rows of a training, without some and with more. */
import { scaleNames } from '../augment/scale-names.js';
import { choice, commaList, flag, path, policy, probability, text, whole } from './kinds.js';
import { group, omit, option, pick, refused, withDefaults, type Asked, type Given } from './option.js';
import {
  common,
  demo,
  ladder,
  pseudoLabels,
  searching,
  selfTraining,
  studentNoise,
  techniqueRecipes,
} from './recipes.js';
import { distillationOptions, trainedModel } from './techniques.js';
import { trainingOptions } from './training.js';

const { unlabelledRatio, unlabelledWeight, model, mode, epochs, augment, patience, preview, minutes } = trainingOptions;

/** What belongs to one technique, and to folds that a job makes itself. */
const ofTechniques = [
  'technique',
  ...distillationOptions,
  'pseudoLabels',
  'priorWeight',
  'threshold',
  'strong',
  'unlabelledRatio',
  'unlabelledWeight',
  'calibrateOn',
  'keepHead',
] as const;

/** What only a training takes that several processes make together. */
const ofProcesses = ['averageEvery', 'share'] as const;

/** What a job of many trainings decides itself, so that its trainings are not told. */
export const decidedByJob = {
  images: ['unlabelled', 'labelsPerClass', 'reportOn', 'folds'],
  mixing: ['unlabelledRatio', 'unlabelledWeight'],
  noise: ['dropout', 'stochasticDepth'],
} as const;

/** `distill`: `model` is the student. */
export const distillOptions = {
  ...withDefaults(
    omit(trainingOptions, [
      'technique',
      'mode',
      'pseudoLabels',
      'priorWeight',
      'threshold',
      'strong',
      'unlabelledRatio',
      'unlabelledWeight',
      'labelSmoothing',
      'losses',
    ]),
    techniqueRecipes.distillation.all,
  ),
  ...group('Teacher', {
    model: option(path('model'), {
      says: 'what learns: a built-in name, trained from scratch, or a trained model to fine-tune (required)',
      flag: 'student',
      rank: 2,
    }),
  }),
  teachers: {
    ...trainingOptions.teachers,
    says: `model to imitate: ${trainedModel} (repeatable: several are averaged)`,
    rank: 1,
  },
} as const;

const students = {
  ...group('Teacher and students', {
    studentEpochs: option(whole(1), {
      says: 'epochs of what learns from unlabelled images, each once through these',
      rank: 4,
      argument: 'number',
    }),
  }),
  unlabelledRatio,
  unlabelledWeight,
  ...withDefaults(pick(trainingOptions, decidedByJob.noise), studentNoise),
} as const;

/** `self-train`. */
export const selfTrainOptions = {
  ...omit(trainingOptions, [...ofTechniques, ...ofProcesses, 'balance']),
  ...students,
  model: {
    ...model,
    says: 'the first teacher: a built-in name, or a pretrained model (required)',
    otherwise: undefined,
  },
  mode: { ...mode, says: 'how the first teacher is trained: finetune, scratch, probe or consensus' },
  epochs: { ...epochs, says: 'passes of the first teacher over the labelled images; for students: `studentEpochs`' },
  augment: { ...augment, says: "how the first teacher's images are varied; for students: `studentAugment`" },
  minutes: { ...minutes, says: 'stop after about this time, divided equally among all trainings' },
  ...group('Teacher and students', {
    students: option(commaList(text('name'), 'resnet20,resnet32'), {
      says: 'the student of each round',
      otherwise: 'the model, then the next larger of its family',
      rank: 3,
    }),
    rounds: option(whole(1), {
      says: 'rounds at most; it ends sooner where one no longer helps',
      otherwise: `${selfTraining.rounds}, or as many as there are students`,
      rank: 8,
    }),
  }),
  studentEpochs: { ...students.studentEpochs, usual: selfTraining.studentEpochs },
  ...group('Teacher and students', {
    threshold: option(probability, {
      says: 'minimum confidence of a pseudo-label',
      usual: pseudoLabels.soft.threshold,
    }),
    soft: option(flag, {
      says: 'learn probabilities instead of hard labels',
      no: 'learn hard labels instead of probabilities',
      usual: true,
    }),
    balance: option(flag, {
      says: 'classes equally often among the pseudo-labels',
      no: 'leave classes as frequent as they are among the pseudo-labels',
      usual: true,
    }),
    studentAugment: option(policy, {
      says: "how a student's images are varied",
      usual: studentNoise.augment,
    }),
  }),
  folds: { ...trainingOptions.folds, usual: selfTraining.folds },
} as const;

export type RungName = keyof typeof ladder.rungs;
export const rungNames = Object.keys(ladder.rungs) as RungName[];
/** A rung as the command line spells it, and as the library does. */
export const spelled = (rung: string): string => rung.replaceAll(' ', '-');
const rungOf = (word: unknown): RungName | undefined =>
  rungNames.find((rung) => rung === word || spelled(rung) === word);
/** Either spelling; the one of the command line is shown. */
const rungKind = { ...choice(rungNames.map(spelled)), check: rungOf, read: rungOf };

const unlessAlone = (rate: number): string => `${rate}; 0 where many labels are learned from alone first`;

/** `learn`. */
export const learnOptions = {
  ...omit(trainingOptions, [...ofTechniques, ...ofProcesses]),
  ...students,
  ...group('Techniques to try', {
    rungs: option(commaList(rungKind, 'probe,supervised,noisy-student'), {
      says: `techniques to try: ${rungNames.map(spelled).join(', ')}`,
      otherwise: 'what the images and the model allow: see docs/few-labels.md',
      rank: 8,
    }),
    student: option(path('model'), {
      says: 'a smaller network that is taught what the best technique learned',
      rank: 5,
    }),
    studentEpochs: {
      ...students.studentEpochs,
      otherwise: `${ladder.studentEpochs}; of rounds by the number of images, so that students take 75 to 300 steps`,
    },
  }),
  ...group('Teacher', {
    teachers: {
      ...trainingOptions.teachers,
      says:
        `a further network whose features count: ${trainedModel} (repeatable); its classes may be others, an encoder ` +
        'will do',
    },
    ...pick(trainingOptions, ['teacherNormalize', 'teacherChannels', 'teacherSize']),
  }),
  epochs: {
    ...epochs,
    says: 'passes over the labelled images, without unlabelled ones; for techniques that use these: `studentEpochs`',
  },
  minutes: { ...minutes, renewable: true, rank: 3 },
  folds: { ...trainingOptions.folds, usual: ladder.folds },
  dropout: { ...students.dropout, usual: undefined, otherwise: unlessAlone(studentNoise.dropout) },
  stochasticDepth: {
    ...students.stochasticDepth,
    usual: undefined,
    otherwise: unlessAlone(studentNoise.stochasticDepth),
  },
  augment: refused(
    augment,
    'each technique that is tried has its own augmentation; pupil train takes one of your choice',
  ),
} as const;

/** How a file that others made is read; one of Pupil's says it itself. */
export const ofForeignFiles = ['head', 'modelOutput', 'features', 'normalize', 'channels'] as const;

const ofDemo = omit(learnOptions, [
  'model',
  'mode',
  'unlabelled',
  'labelsPerClass',
  'reportOn',
  ...ofForeignFiles,
  'size',
]);
const scratchOnly = 'the demo trains a network from scratch: there are no pretrained layers';

/** `demo`: `learn` on the bundled digits. */
export const demoOptions = {
  ...withDefaults(ofDemo, demo),
  backboneLr: refused(ofDemo.backboneLr, scratchOnly),
  layerDecay: refused(ofDemo.layerDecay, scratchOnly),
} as const;

/** `pupil demo`, beside those of its training. */
export const demoOpenOptions = group('Studio', {
  open: option(flag, { says: 'try the model in the browser when it is trained', usual: false }),
});

/** `search`: how to search, and how to train, which is the same for every candidate. */
export const searchOptions = {
  // A search exports no model: there is none to learn a rejection.
  ...omit(trainingOptions, [...ofTechniques, ...ofProcesses, 'unlabelled', 'rejection']),
  ...group('What is searched', {
    space: option(choice(['grid', 'policies']), {
      says: 'grid: N and M of RandAugment; policies: random combinations of operations',
      usual: 'grid',
      argument: 'space',
      rank: 2,
    }),
    n: option(commaList(whole(1, 16), '1,2,3'), {
      says: 'numbers of operations (grid)',
      otherwise: searching.n.join(','),
      rank: 3,
    }),
    m: option(commaList(whole(0, 30), '3,9,15'), {
      says: 'magnitudes (grid)',
      otherwise: searching.m.join(','),
      rank: 4,
    }),
    scale: option(choice(scaleNames), {
      says: `what magnitudes mean (grid): ${scaleNames.join(', ')}`,
      otherwise: searching.scale,
    }),
    candidates: option(whole(1), {
      says: 'how many policies are drawn (policies)',
      otherwise: String(searching.candidates),
    }),
    seeds: option(whole(1), {
      says: 'trainings of each candidate',
      otherwise: '2; one for each fold when labels are few',
    }),
    halving: option(flag, {
      says: 'stop hopeless candidates early: few epochs for all, more for the best',
      no: 'train every candidate in full, instead of stopping hopeless ones early',
      usual: true,
    }),
    eta: option(whole(2), {
      says: 'one candidate in so many goes on, with so many times the epochs',
      usual: searching.eta,
    }),
    minEpochs: option(whole(1), {
      says: 'epochs of the shortest trainings at least',
      usual: searching.minEpochs,
    }),
  }),
  minutes: { ...minutes, renewable: true },
  folds: { ...trainingOptions.folds, usual: common.folds },
  augment: refused(augment, 'a search finds that itself; say with `space`, `n` and `m` what it may choose from'),
  patience: refused(
    patience,
    'every training of a search runs its whole schedule; `eta` says how many hopeless ones are stopped early',
  ),
  preview: refused(preview, 'it shows one policy and a search has many; pupil augment draws them'),
} as const;

/** The commands that train, with their tables. */
export const trainingTables = {
  'train': trainingOptions,
  'distill': distillOptions,
  'self-train': selfTrainOptions,
  'learn': learnOptions,
  'search': searchOptions,
} as const;

/** What `distill` can be told: `teachers` and, as `model`, the student are required. */
export interface DistillOptions extends Given<typeof distillOptions> {}
/** What `selfTrain` can be told: what a training can, and how the rounds go. */
export interface SelfTrainOptions extends Given<typeof selfTrainOptions> {}
export interface LearnOptions extends Given<typeof learnOptions> {}
/**
 * What `learn` can be told: what a training can, and which techniques are tried (docs/options.md).
 */
export interface LearnRequest extends Asked<LearnOptions> {}
export interface SearchOptions extends Given<typeof searchOptions> {}
/**
 * What `search` can be told: what a training can, and what is searched (docs/options.md).
 */
export interface SearchRequest extends Asked<SearchOptions> {}
