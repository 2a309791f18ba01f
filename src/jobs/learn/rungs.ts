/** The techniques that `learn` tries, in order: a table with a row for each. */
import { PupilError } from '../../errors.js';
import { isBuiltIn } from '../../models/index.js';
import { decidedByJob, rungNames, spelled, type LearnOptions, type RungName } from '../../options/jobs.js';
import { knownTo, omit, pick, type FrozenMode, type Mode } from '../../options/option.js';
import { ladder, studentNoise } from '../../options/recipes.js';
import { trainingOptions } from '../../options/training.js';
import { labelsOf, type Counts } from '../../runs/expected.js';
import type { TrainOptions } from '../../runs/resolve.js';

/** What was asked for, with defaults. */
export interface Asked {
  readonly options: LearnOptions;
  /** What is trained: a pretrained model or a built-in network. */
  readonly model: string;
  readonly mode: Exclude<Mode, FrozenMode>;
  /** Epochs through the unlabelled images. */
  readonly epochs: number;
}

/** What a rung is planned from. */
export interface Situation extends Asked, Counts {}

export interface RungPlan {
  readonly what: string;
  /** Why it cannot be tried; undefined when it can. */
  readonly without?: (situation: Situation) => string | undefined;
  readonly options: (asked: Asked) => TrainOptions;
  /** Options of `learn` that this rung reads and others do not. */
  readonly reads: readonly (keyof LearnOptions)[];
  /**
   * How it is measured on held-out labels: by its own training, fold by fold; by the consensus that
   * ends each round; default: it is trained once for each fold.
   */
  readonly measured?: 'by itself' | 'by rounds';
  /** The best rung below labels the unlabelled images, or is asked while training. */
  readonly teacher?: 'labels' | 'soft labels' | 'distils';
  /** Of the time left, without a pretrained network: it can use as much as there is. */
  readonly share?: number;
  /** Kept where it is as good as the best below within the interval, if it is smaller as it should be. */
  readonly smaller?: true;
}

const noUnlabelled = ({ unlabelled }: Situation): string | undefined =>
  unlabelled === 0 ? 'there are no images without labels' : undefined;

/** Where most images have labels, techniques that learn from labels alone have most to learn from. */
const fewUnlabelled = (situation: Situation): string | undefined =>
  noUnlabelled(situation) ?? (situation.unlabelled < labelsOf(situation) ? 'most images have labels' : undefined);

/** Without a pretrained network there are features once a network has been trained. */
const noFeatures = (name: RungName, { mode, options, ...counts }: Situation): string | undefined => {
  if (mode !== 'scratch') return undefined;
  const tried = options.rungs ?? (fewUnlabelled({ mode, options, ...counts }) ? [] : fromScratch(counts));
  const before = tried.slice(0, Math.max(0, tried.indexOf(name)));
  const isTrained = before.some((other) => rungs[other].measured === undefined);
  return isTrained ? undefined : 'a fresh network has no features yet';
};

/** What is tried without a pretrained network where most images have no label: see scratch.ts. */
const fromScratch = (counts: Counts): readonly RungName[] =>
  labelsOf(counts) < ladder.manyLabels
    ? ['supervised', 'fixmatch', 'consensus', 'rounds', 'distillation']
    : ['augmentation', 'noisy student', 'noisy student 2', 'distillation'];

/** Epochs, and the share of unlabelled images in a batch where it was asked for. */
const mixed = ({ options, epochs }: Asked): TrainOptions => ({ ...pick(options, decidedByJob.mixing), epochs });
/** A recipe, but for what was asked for. */
const unlessAsked = <Recipe extends object>(recipe: Recipe, { options }: Asked): TrainOptions => ({
  ...recipe,
  ...pick(options, Object.keys(recipe) as (keyof LearnOptions)[]),
});
const readsMixed = ['unlabelled', 'studentEpochs', ...decidedByJob.mixing] as const;

/**
 * Epochs of a training from scratch on images with and without labels, side by side: as many as are usual, or with few
 * labels so many more that it makes `ladder.leastSteps` steps, unless their number was asked for.
 */
export function epochsFromScratch(
  usual: number,
  { options, ...counts }: Asked | Situation,
  recipe: { readonly batchSize: number; readonly unlabelledRatio: number },
): number {
  if (options.studentEpochs !== undefined || !('labelled' in counts) || labelsOf(counts) >= ladder.fewLabels)
    return usual;
  const { unlabelledRatio = recipe.unlabelledRatio } = options;
  const steps = Math.max(counts.labelled, Math.floor(counts.unlabelled / unlabelledRatio)) / recipe.batchSize;
  return Math.max(usual, Math.ceil(ladder.leastSteps / Math.max(1, Math.floor(steps))));
}

/** Students that go on from a network of the labels alone: see scratch.ts. */
const studentOf = (asked: Asked | Situation): TrainOptions =>
  'labelled' in asked && startsFromScratch(asked)
    ? { ...ladder.ownStudent.training, augment: ladder.goingOn.augment }
    : studentNoise;

const noisyStudent = {
  without: noUnlabelled,
  teacher: 'soft labels',
  options: (asked: Asked) => ({ ...studentOf(asked), ...mixed(asked), ...pick(asked.options, decidedByJob.noise) }),
  reads: [...readsMixed, ...decidedByJob.noise],
} as const;

/** Other networks that a consensus looks at. */
export const furtherNetworks = ['teachers', 'teacherNormalize', 'teacherChannels', 'teacherSize'] as const;

/** A consensus; its last layer, too, is solved in float32. */
export const consensusOptions: TrainOptions = { ...ladder.rungs.consensus, precision: undefined };

/** The rungs in order; a new one is a row. */
export const rungs: Readonly<Record<RungName, RungPlan>> = {
  'probe': {
    what: 'only the last layer',
    without: ({ mode }) => (mode === 'scratch' ? 'a fresh network has no features yet' : undefined),
    // The last layer is solved in float32.
    options: () => ({ ...ladder.rungs.probe, precision: undefined }),
    reads: [],
    measured: 'by itself',
  },
  'consensus': {
    what: 'the last layer, on labels for all images worked out from their features',
    without: (situation) => noFeatures('consensus', situation) ?? noUnlabelled(situation),
    options: ({ options }) => ({ ...consensusOptions, ...pick(options, furtherNetworks) }),
    reads: ['unlabelled', ...furtherNetworks],
    measured: 'by itself',
  },
  'rounds': {
    what: 'a student of the consensus, a consensus on its features, and so on',
    without: (situation) => noFeatures('rounds', situation) ?? fewUnlabelled(situation),
    options: ({ mode }) =>
      mode === 'scratch'
        ? { ...ladder.ownStudent.training, pseudoLabels: 'labels.parquet' }
        : { technique: 'prior-match', pseudoLabels: 'labels.parquet' },
    reads: ['unlabelled', 'studentEpochs', ...furtherNetworks],
    measured: 'by rounds',
  },
  'supervised': {
    what: 'the whole network, on the labelled images',
    options: () => ladder.rungs.supervised,
    share: ladder.shares.supervised,
    reads: ['epochs'],
  },
  'augmentation': {
    what: 'the same with RandAugment',
    options: () => ladder.rungs.augmentation,
    share: ladder.shares.augmentation,
    reads: ['epochs'],
  },
  'pseudo-labels': {
    what: "labelled images and the best model's labels for the others",
    without: noUnlabelled,
    teacher: 'labels',
    options: (asked) => ({ ...mixed(asked), ...ladder.rungs['pseudo-labels'] }),
    reads: readsMixed,
  },
  'fixmatch': {
    what: 'its own confident predictions as labels while it trains',
    without: noUnlabelled,
    options: (asked) => ({
      ...mixed(asked),
      ...(asked.mode === 'scratch'
        ? {
            ...unlessAsked(ladder.shortFixmatch, asked),
            epochs: epochsFromScratch(asked.epochs, asked, ladder.shortFixmatch),
          }
        : ladder.rungs.fixmatch),
    }),
    share: ladder.shares.fixmatch,
    reads: readsMixed,
  },
  'noisy student': {
    what: "labelled images and the best model's labels for the others, with strong augmentation",
    share: ladder.shares.student,
    ...noisyStudent,
  },
  'noisy student 2': { what: 'the same once more, with the better labels', share: 1, ...noisyStudent },
  'distillation': {
    what: 'a smaller network that imitates the best model',
    teacher: 'distils',
    smaller: true,
    without: ({ options }) => (options.student === undefined ? 'none was asked for; add a `student`' : undefined),
    options: ({ options, epochs }) => ({
      ...ladder.rungs.distillation,
      model: options.student!,
      mode: isBuiltIn(options.student!) ? 'scratch' : 'finetune',
      epochs: 2 * epochs,
    }),
    reads: ['unlabelled', 'studentEpochs', 'student'],
  },
};

/**
 * What is tried. Where nothing is named: consensus and rounds, wherever there are features and most
 * images have no label; they bring more in less time than what trains on labels alone, which has the time that they
 * leave.
 */
export function triedRungs(situation: Situation): readonly RungName[] {
  if (situation.options.rungs !== undefined) return situation.options.rungs;
  const tried = startsFromScratch(situation)
    ? fromScratch(situation)
    : fewUnlabelled(situation) === undefined && situation.mode !== 'scratch'
      ? (['probe', 'consensus', 'rounds', 'supervised', 'distillation'] as const)
      : rungNames.filter((name) => name !== 'rounds');
  return tried.filter((name) =>
    name === 'distillation' ? situation.options.student !== undefined : situation.unlabelled > 0 || !needsMore(name),
  );
}

/** Whether a technique learns from images without labels, and can do nothing without them. */
const needsMore = (name: RungName): boolean => rungs[name].reads.includes('unlabelled') && !rungs[name].smaller;

/** Said once where techniques are left out that nobody named. */
export const leftOutWithout = ({ options, unlabelled }: Situation): string | undefined =>
  options.rungs === undefined && unlabelled === 0
    ? 'what learns from images without labels is left out, as there are none; give some with `unlabelled`'
    : undefined;

/** Whether nothing else is asked for, no network is pretrained and most images have no label. */
export const startsFromScratch = (situation: Situation): boolean =>
  situation.mode === 'scratch' && situation.options.rungs === undefined && fewUnlabelled(situation) === undefined;

/** Whether a technique learns from the labels alone after rounds have learned from all images. */
export const knowsLess = (name: RungName, situation: Situation): boolean => {
  const tried = triedRungs(situation);
  return rungs[name].reads.includes('epochs') && tried.slice(0, tried.indexOf(name)).includes('rounds');
};

/**
 * Whether nothing is trained once for each fold, but what comes after rounds: then every label can be held out once.
 */
export const measuredInClosedForm = (situation: Situation): boolean =>
  triedRungs(situation).every(
    (name) => rungs[name].measured !== undefined || rungs[name].teacher === 'distils' || knowsLess(name, situation),
  );

/** What every rung is trained with. */
export const sharedOptions = (settings: LearnOptions): TrainOptions =>
  knownTo(
    trainingOptions,
    omit(settings, [
      ...decidedByJob.images,
      ...decidedByJob.mixing,
      ...decidedByJob.noise,
      ...furtherNetworks,
      'minutes',
      'mode',
      'model',
    ]),
  );

/** All options of a rung's training, with files that stand for those of a teacher. */
export function trainingOf(row: RungPlan, asked: Asked, shared: TrainOptions): TrainOptions {
  const ofTeacher: TrainOptions =
    row.teacher === undefined
      ? {}
      : row.teacher === 'distils'
        ? { teachers: ['teacher'] }
        : { pseudoLabels: 'labels.parquet' };
  return { ...shared, mode: asked.mode, ...row.options(asked), ...ofTeacher };
}

/** The options among these that some rungs read, though none of those that are tried. */
export const unreadOptions = <Some extends LearnOptions>(
  options: Some,
  tried: readonly RungName[] = options.rungs ?? rungNames,
): (keyof Some & keyof LearnOptions)[] =>
  [...new Set(Object.values(rungs).flatMap(({ reads }) => reads))].filter(
    (name): name is keyof Some & keyof LearnOptions =>
      options[name] !== undefined && !tried.some((rung) => rungs[rung].reads.includes(name)),
  );

/** Refuses options that none of the rungs to be tried reads. Throws `usage`. */
export function refuseUnread(options: LearnOptions, tried: readonly RungName[] = options.rungs ?? rungNames): void {
  const [name] = unreadOptions(options, tried);
  if (name === undefined) return;
  const readers = rungNames.filter((rung) => rungs[rung].reads.includes(name));
  throw new PupilError(
    'usage',
    `\`${name}\`: none of the techniques to try (${tried.map(spelled).join(', ')}) has a use for it; leave ` +
      `it out, or add to \`rungs\` one that has: ${readers.map(spelled).join(', ')}`,
    { option: name },
  );
}

/**
 * How a model is trained: built-in networks from scratch, others from their weights. Throws `usage`
 * where another mode was asked for.
 */
export function modeFor(model: string, asked?: Mode): Asked['mode'] {
  const mode = isBuiltIn(model) ? 'scratch' : 'finetune';
  if (asked === undefined || asked === mode) return mode;
  throw new PupilError(
    'usage',
    mode === 'scratch'
      ? `\`mode: ${asked}\`: ${model} is a built-in network without trained weights; use \`mode: scratch\`, or name ` +
          'a trained `model`'
      : `\`mode: ${asked}\`: ${model} is no built-in network, which alone can train from fresh weights; use ` +
          '`mode: finetune`, or name a built-in network as `model`',
    { option: 'mode' },
  );
}

/** The number of a round by the name of its rung; undefined for others. */
export function roundNumber(name: string): number | undefined {
  const digits = /^round (\d+)$/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
