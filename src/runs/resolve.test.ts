import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PupilError } from '../errors.js';
import { isFrozen, modes, pretrainedModes, type Mode } from '../options/option.js';
import { backboneFactor } from '../options/recipes.js';
import { techniqueNames, type trainingOptions, type TechniqueName, type TrainOptions } from '../options/training.js';
import { blobs } from '../testing/blobs.js';
import { imagesLearned, resolveSettings } from './resolve.js';

const matching = ['fixmatch', 'flexmatch', 'softmatch', 'freematch', 'adamatch', 'debiasmatch'] as const;
const descents = ['finetune', 'scratch'] as const;

/** Where an option has a use; what is not said: everywhere. `beside`: what it has a use together with. */
interface Use {
  readonly modes?: readonly Mode[];
  readonly techniques?: readonly TechniqueName[];
  readonly beside?: TrainOptions;
  /** A mode that uses it whatever the technique. */
  readonly also?: Mode;
}
type Name = keyof typeof trainingOptions;
type Row = readonly [value: unknown, use?: Use];

const unlabelled: readonly TechniqueName[] = [...matching, 'mean-teacher', 'pseudo-labels'];
const byLabels: readonly TechniqueName[] = ['supervised', ...unlabelled];
const withoutObserver = techniqueNames.filter((name) => !matching.some((other) => other === name));
const mixing: readonly TechniqueName[] = [
  ...(['supervised', 'distillation', 'pseudo-labels'] as const),
  ...matching.filter((name) => name !== 'adamatch'),
];

/** Every option of a training but those that make the situation. */
const uses: Readonly<Record<Exclude<Name, 'mode' | 'technique'>, Row>> = {
  model: ['a'],
  freeze: [['stem.*'], { modes: descents }],
  bn: ['frozen', { modes: descents }],
  syncBn: [true, { modes: descents }],
  headFirst: [1, { modes: descents }],
  gradualUnfreeze: [1, { modes: descents }],
  layerDecay: [0.5, { modes: descents }],
  dropout: [0.5, { modes: descents }],
  stochasticDepth: [0.1, { modes: descents }],
  head: ['fc', { modes: pretrainedModes }],
  modelOutput: ['logits', { modes: pretrainedModes }],
  features: ['pooled', { modes: pretrainedModes }],
  channels: ['bgr', { modes: pretrainedModes }],
  normalize: ['unit'],
  size: [32],
  epochs: [2, { modes: descents }],
  batchSize: [8, { modes: descents }],
  lr: [0.1, { modes: descents }],
  backboneLr: [0.1, { modes: ['finetune'] }],
  weightDecay: [0.1, { modes: descents }],
  optimizer: ['sgd', { modes: descents }],
  momentum: [0.5, { modes: descents, beside: { optimizer: 'rmsprop' } }],
  schedule: ['constant', { modes: descents }],
  warmup: [2, { modes: descents }],
  labelSmoothing: [0.2, { modes: descents, techniques: byLabels }],
  losses: [{ brier: 1 }, { modes: descents, techniques: byLabels }],
  ema: [0.9, { modes: descents }],
  clipNorm: [1, { modes: descents }],
  accumulate: [2, { modes: descents }],
  averageEvery: [8, { modes: descents, techniques: withoutObserver }],
  share: ['shared', { modes: descents, techniques: withoutObserver, beside: { averageEvery: 8 } }],
  balance: [true, { modes: descents }],
  shuffle: ['shards', { modes: descents }],
  shuffleBuffer: [64, { modes: descents, beside: { shuffle: 'shards' } }],
  patience: [2, { modes: descents }],
  minutes: [2, { modes: descents }],
  seed: [1],
  augment: ['light', { modes: descents }],
  flip: [false, { modes: descents }],
  erase: [0.1, { modes: descents }],
  cutmix: [1, { modes: descents, techniques: mixing }],
  mixup: [1, { modes: descents, techniques: mixing }],
  mixProbability: [0.5, { modes: descents, techniques: mixing, beside: { cutmix: 1 } }],
  preview: [true, { modes: descents }],
  labelsPerClass: [2],
  folds: [3],
  reportOn: ['val'],
  rejection: [false],
  calibrateOn: [['run']],
  keepHead: [true, { modes: ['consensus'] }],
  unlabelled: [
    ['more'],
    { modes: descents, techniques: [...unlabelled, 'distillation', 'prior-match'], also: 'consensus' },
  ],
  pseudoLabels: ['a.csv', { modes: descents, techniques: ['pseudo-labels', 'prior-match'] }],
  priorWeight: [0.2, { modes: descents, techniques: ['prior-match'] }],
  unlabelledRatio: [2, { modes: descents, techniques: unlabelled }],
  unlabelledWeight: [2, { modes: descents, techniques: unlabelled }],
  threshold: [0.5, { modes: descents, techniques: ['fixmatch', 'flexmatch', 'adamatch', 'debiasmatch'] }],
  alignment: ['half', { modes: descents, techniques: matching.filter((name) => name !== 'debiasmatch') }],
  runningDecay: [0.5, { modes: descents, techniques: matching }],
  weakPass: ['apart', { modes: descents, techniques: matching }],
  fairnessWeight: [0.5, { modes: descents, techniques: ['freematch'] }],
  rampUp: [0.2, { modes: descents, techniques: [...matching, 'mean-teacher'] }],
  debiasStrength: [0.2, { modes: descents, techniques: ['debiasmatch'] }],
  strong: ['trivial', { modes: descents, techniques: [...matching, 'prior-match'] }],
  teachers: [['a'], { modes: descents, techniques: ['distillation'], also: 'consensus' }],
  temperature: [2, { modes: descents, techniques: ['distillation'] }],
  alpha: [0.5, { modes: descents, techniques: ['distillation'] }],
  teacherNormalize: [
    'unit',
    { modes: descents, techniques: ['distillation'], also: 'consensus', beside: { teachers: ['a'] } },
  ],
  teacherChannels: [
    'bgr',
    { modes: descents, techniques: ['distillation'], also: 'consensus', beside: { teachers: ['a'] } },
  ],
  teacherClassNames: ['names.txt', { modes: descents, techniques: ['distillation'] }],
  teacherSize: [32, { modes: descents, techniques: ['distillation'], also: 'consensus', beside: { teachers: ['a'] } }],
  engine: ['ort'],
  precision: ['f32'],
  threads: [1],
  skip: [3],
  workers: [0],
  cacheMemory: [10],
  featureCache: ['features'],
  signal: [AbortSignal.abort()],
  out: ['run'],
  resume: ['run'],
};

/** What a technique cannot do without. */
const needed: Partial<Record<TechniqueName, TrainOptions>> = {
  'distillation': { teachers: ['teacher'] },
  'pseudo-labels': { pseudoLabels: 'labels.csv' },
  'prior-match': { pseudoLabels: 'labels.csv' },
};

const situations = modes.flatMap((mode) =>
  techniqueNames
    .filter((technique) => !isFrozen(mode) || technique === 'supervised')
    .map((technique) => ({ mode, technique })),
);

/** The option that is refused; undefined where nothing is. */
function refusal(options: TrainOptions): string | undefined {
  try {
    resolveSettings('photos', options);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof PupilError && error.code === 'usage', String(error));
    return error.option ?? 'no option named';
  }
}

for (const [name, [value, { modes: inModes, techniques, beside, also } = {}]] of Object.entries(uses)) {
  test(`${name} is used or refused, in every mode and by every technique`, () => {
    for (const { mode, technique } of situations) {
      const used = mode === also || (inModes?.includes(mode) !== false && techniques?.includes(technique) !== false);
      const alone: TrainOptions = { mode, technique, ...needed[technique], ...(used ? beside : undefined) };
      const got = refusal({ ...alone, [name]: value });
      assert.equal(got, used ? undefined : name, `${mode}, ${technique}`);
    }
  });
}

test('the pretrained part learns faster from more images, where normalisation is folded into it', () => {
  assert.equal(backboneFactor(false, 1000), backboneFactor(false, 10));
  const [few, some, many] = [100, 500, 5000].map((images) => backboneFactor(true, images));
  assert.deepEqual([few, some, many], [0.05, 0.1, 0.2]);
  const data = blobs({ train: 30, val: 10 });
  assert.equal(imagesLearned(data, {}), 60);
  assert.equal(imagesLearned(data, { labelsPerClass: 4 }), 8);
});
