/** Options of techniques: of unlabelled images and teachers, with the defaults that techniques have. */
import {
  choice,
  list,
  normalization,
  notNegative,
  numberIn,
  orWord,
  path,
  policy,
  probability,
  share,
  whole,
} from './kinds.js';
import { descent, descentGroup, descentModes, describeByMode, modes, option, type Mode } from './option.js';
import { techniqueRecipes } from './recipes.js';

export type TechniqueName = keyof typeof techniqueRecipes;
export const techniqueNames = Object.keys(techniqueRecipes) as TechniqueName[];

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

/** The forms that a trained model may have. */
export const trainedModel = 'run folder, ONNX file, timm .safetensors or hf:owner/repo[/file]';

/** Modes that learn from unlabelled images and from teachers. */
const consultingModes = [...descentModes, 'consensus'] as const;

export const unlabelledImages = descentGroup('Unlabelled images', {
  unlabelled: option(list(path('folder')), {
    says: 'images without labels: a folder, tar or manifest (repeatable)',
    usual: [],
    rank: 7,
    label: 'unlabelled images',
    only: { mode: consultingModes },
  }),
  technique: option(choice(techniqueNames), {
    says: `how unlabelled images and teachers take part: ${techniqueNames.join(', ')}`,
    only: { mode: modes },
    otherwise: 'supervised; with `pseudoLabels`, pseudo-labels; with `teachers`, distillation',
    rank: 8,
  }),
  pseudoLabels: option(path('file'), {
    says: 'a file of pupil pseudo-label: its accepted labels are learned beside your own',
  }),
  priorWeight: option(probability, {
    says: 'weight of the file of pseudo-labels beside the own predictions; 1: the file alone',
  }),
  unlabelledRatio: option(whole(1, 100), {
    says: 'unlabelled images for each labelled one in a batch',
  }),
  unlabelledWeight: option(notNegative, {
    says: 'weight of the loss on unlabelled images',
  }),
  threshold: option(orWord('relative', probability), {
    says:
      'minimum confidence of a prediction that is learned from; relative: 0.9 times the mean confidence on labelled ' +
      'images, which suits short trainings',
  }),
  alignment: option(choice(['none', 'half', 'uniform', 'labelled']), {
    says:
      'shares of the classes that predictions on unlabelled images are moved to before they are learned: none: as ' +
      'they are; half: half-way to equal ones; uniform: equal ones; labelled: those of predictions on labelled images',
  }),
  runningDecay: option(orWord('auto', share), {
    says:
      'how much of a running average of the technique stays from step to step; auto: min(0.999, 1 - 5 / steps), less ' +
      'in the first steps',
  }),
  fairnessWeight: option(notNegative, {
    says: 'weight of the term that keeps predictions from falling into a few classes',
  }),
  rampUp: option(probability, {
    says: 'share of the training in which the weight of the loss on unlabelled images rises',
  }),
  debiasStrength: option(notNegative, {
    says: 'how much pseudo-labels are freed of the classes that the network prefers; 0: not',
  }),
  weakPass: option(choice(['joint', 'apart', 'averaged']), {
    says:
      'how weak views go through the network: joint: with all others, as in the papers; apart: on their own, a third ' +
      'of the cost; averaged: the same with the averaged weights',
  }),
  strong: option(policy, {
    says: 'how the strong views of unlabelled images are varied',
  }),
});

/** What only distillation reads. */
export const distillationOptions = [
  'teachers',
  'teacherNormalize',
  'teacherChannels',
  'teacherSize',
  'teacherClassNames',
  'temperature',
  'alpha',
] as const;

export const teacher = descentGroup('Teacher', {
  teachers: option(list(path('model')), {
    says:
      `trained model to learn from: ${trainedModel} (repeatable); distillation imitates its predictions, mode ` +
      'consensus looks at its features too, so that an encoder or a model of other classes will do',
    usual: [],
    flag: 'teacher',
    only: { mode: consultingModes },
  }),
  temperature: option(numberIn({ from: 0.01, to: 1000 }, 'a number from 0.01 to 1000'), {
    says: 'softens the predictions of teacher and student',
  }),
  alpha: option(probability, {
    says: 'weight of the teacher in the loss of labelled images; the labels have the rest',
  }),
  teacherNormalize: option(normalization, {
    says: 'normalisation of a teacher not made by Pupil, as `normalize`',
    argument: 'how',
    only: { mode: consultingModes, with: ['teachers'] },
  }),
  teacherChannels: option(choice(['rgb', 'bgr']), {
    says: 'order of the colours of a teacher not made by Pupil, as `channels`',
    argument: 'order',
    only: { mode: consultingModes, with: ['teachers'] },
  }),
  teacherSize: option(whole(8), {
    says: 'input height and width of a teacher not made by Pupil',
    argument: 'pixels',
    only: { mode: consultingModes, with: ['teachers'] },
  }),
  teacherClassNames: option(path('file'), {
    says: 'a file with the class names of a teacher that has none, one a line or as JSON',
    otherwise: 'from the file, the folder or the repository',
    only: { ...descent, with: ['teachers'] },
  }),
});
