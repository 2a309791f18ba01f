// Measures the rows of results/README.md: `npm run results -- NAME...` (names below; none: list
// them). Every finished seed is saved in results/measurements.json at once, so a run that was
// stopped continues where it was; --again measures a row from the beginning; --run FOLDER takes a
// row of one seed from a run that was made with its command; --render only writes the page again.
// Needs the images and weights that docs/results.md names, in ../shared or $PUPIL_SHARED.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openDataset } from '../dist/data/dataset.js';
import { openDigits } from '../dist/data/digits.js';
import { keepLabels } from '../dist/data/split.js';
import { meanInterval } from '../dist/evaluate/metrics.js';
import { encodePng } from '../dist/image/decode.js';
import { featuresFolder } from '../dist/techniques/stored-features.js';
import { version } from '../dist/version.js';
import { imbalanced } from './frozen-features.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const shared = process.env.PUPIL_SHARED ?? join(root, '..', 'shared');
const file = join(root, 'results', 'measurements.json');
const digitsFolder = join(root, '.cache', 'results', 'digits');
/** Flowers with classes of different sizes among the training images. */
const twinName = 'flowers-imbalanced';
const twinFolder = join(root, '.cache', 'results', twinName);
/** Shares of the training images of each class that lists of flowers have, beside the same ten labels per class. */
const listShares = { unlike: imbalanced[twinName].shares, alike: imbalanced[twinName].shares.map(() => 0.64) };
const prepareFolder = join(root, '.cache', 'results', 'before');
const page = join(root, 'results', 'README.md');
const suggestionsFile = join(root, 'results', 'suggestions.json');
const consensusFile = join(root, 'results', 'consensus.json');
const sharesFile = join(root, 'results', 'shares.json');
const strangersFile = join(root, 'results', 'strangers.json');
const replaysFile = join(root, 'results', 'replays.json');

const backbone = '--model MODELS/mobilenetv2-1.0-224.onnx --normalize symmetric';
const cifar4000 =
  'train DATA/cifar10-25k.tar --labels-per-class 400 --mode scratch --model resnet20 --epochs 30 --batch-size 64';
const digits = 'DIGITS --labels-per-class 10 --no-flip --size 28 --folds 0';
/** One round of Noisy Student on digits: what the student is and which noise it has. */
const student = (name, noise = '') =>
  `self-train ${digits} --mode scratch --model resnet14 --students ${name} --epochs 60 --student-epochs 5 ` +
  `--batch-size 20 --unlabelled-ratio 3${noise}`;
const digitsTeacher = `train ${digits} --mode scratch --model resnet14 --epochs 60 --batch-size 20`;
const fewFlowers = `DATA/flowers --labels-per-class 10 --report-on val ${backbone}`;
const smallFlowers =
  'DATA/flowers --labels-per-class 10 --report-on val --folds 0 --model MODELS/mobilenetv1-0.25-128.onnx ' +
  '--normalize symmetric';
const fewHymenoptera = `DATA/hymenoptera --labels-per-class 10 --report-on val ${backbone}`;
const fewScenes = `DATA/scenes --labels-per-class 10 --report-on val ${backbone}`;
const probeRow = (set, perClass, seeds) => ({
  what: `${set}, ${perClass} labels per class: only the last layer of MobileNetV2 is trained`,
  command: `train DATA/${set} --labels-per-class ${perClass} --report-on val ${backbone} --mode probe --folds 0`,
  seeds,
  goal: undefined,
  reference: '',
});
const consensusRow = (set, data, seeds) => ({
  what: `${set}, 10 labels per class: a consensus of closed forms labels all images, the last layer is solved on them`,
  command: `train ${data} --mode consensus`,
  seeds,
  goal: undefined,
  reference: `${set}-10-probe`,
});
/** A technique of FixMatch's family on flowers, as in its paper or in a form for short trainings. */
const familyRows = (name, short, says) => ({
  [`flowers-small-${name}`]: {
    what: `flowers, 10 labels per class: MobileNetV1-0.25-128 by ${says} as in the paper, 250 steps`,
    command: `train ${smallFlowers} --technique ${name} --epochs 5`,
    seeds: [10, 11, 12],
    goal: undefined,
    reference: 'flowers-small-probe',
  },
  [`flowers-small-${name}-short`]: {
    what: `flowers, 10 labels per class: ${says} in its form for short trainings, \`${short}\``,
    command: `train ${smallFlowers} --technique ${name} --epochs 5 ${short}`,
    seeds: [10, 11, 12],
    goal: undefined,
    reference: `flowers-small-${name}`,
  },
});
/** A round of `pupil learn` by hand, with a part left out: consensus, student, consensus on its features. */
const fromRun = 'DATA/flowers --labels-per-class 10 --report-on val --model BEFORE';
const roundRow = (what, { options = '', ownHead = false } = {}) => {
  const student =
    `train ${fromRun} --technique prior-match --pseudo-labels BEFORE/labels.parquet --epochs 6 --head-first 0 ` +
    `--backbone-lr 0.0002 --folds 0${options}`;
  return {
    what: `flowers, 10 labels per class, one round: ${what}`,
    before: `train ${fewFlowers} --mode consensus`,
    ...(ownHead ? { command: student } : { then: student, command: `train ${fromRun} --mode consensus` }),
    seeds: [0, 1, 2],
    goal: undefined,
    reference: ownHead || options !== '' ? 'flowers-10-round' : 'flowers-10-consensus',
  };
};
/** `pupil learn` on few labels; `minutes` are those of the whole command. */
const learnRow = (set, perClass, minutes, seeds, goal) => ({
  what: `${set}, ${perClass} labels per class: all that Pupil does in ${minutes} minute${minutes === 1 ? '' : 's'}`,
  command: `learn DATA/${set} --labels-per-class ${perClass} --report-on val ${backbone} --minutes ${minutes}`,
  seeds,
  goal,
  reference: `${set}-${perClass}-probe`,
});
const cifarStudent = '--student resnet8 --labels-per-class 400 --epochs 12 --batch-size 64';
const cifarTeacher = `${cifar4000.replace('--epochs 30', '--epochs 90')} --augment randaugment:n=2,m=9`;
const cifar100 =
  'train DATA/cifar10-25k.tar --labels-per-class 400 --mode scratch --model resnet8 --epochs 100 --batch-size 64';
const cifar8 =
  'train DATA/cifar10-25k.tar --labels-per-class 400 --mode scratch --model resnet8 --epochs 10 --batch-size ' +
  '64 --engine onednn';
/**
 * name: what is measured, its command (DATA and MODELS stand for the folders; OUT for the run),
 * seeds, the goal of the row.
 */
const rows = {
  'hymenoptera-probe': {
    what: 'hymenoptera, all labels: only the last layer of MobileNetV2 is trained',
    command: `train DATA/hymenoptera --mode probe ${backbone} --report-on val`,
    seeds: [0, 1, 2],
    goal: 0.93,
    reference: '0.948',
  },
  'hymenoptera-finetune': {
    what: 'hymenoptera, all labels: MobileNetV2 is fine-tuned',
    command: `train DATA/hymenoptera --mode finetune ${backbone} --report-on val`,
    seeds: [0, 1, 2],
    goal: 0.945,
    reference: '',
  },
  'flowers-probe': {
    what: 'flowers, all labels: only the last layer of MobileNetV2 is trained',
    command: `train DATA/flowers --mode probe ${backbone} --report-on val`,
    seeds: [0, 1, 2],
    goal: 0.87,
    reference: '0.887',
  },
  'flowers-finetune': {
    what: 'flowers, all labels: MobileNetV2 is fine-tuned with a backbone learning rate of 5e-5',
    command: `train DATA/flowers --mode finetune ${backbone} --report-on val --epochs 5 --backbone-lr 0.00005`,
    seeds: [0, 1, 2],
    goal: 0.91,
    reference: '',
  },
  'flowers-finetune-faster': {
    what: 'flowers, all labels: the same with a backbone learning rate of 2e-4, the default for so many images',
    command: `train DATA/flowers --mode finetune ${backbone} --report-on val --epochs 5 --backbone-lr 0.0002`,
    seeds: [0, 1, 2],
    goal: 0.93,
    reference: '',
  },
  'hymenoptera-finetune-faster': {
    what: 'hymenoptera, all labels: the same backbone learning rate of 2e-4, which is too large for 199 images',
    command: `train DATA/hymenoptera --mode finetune ${backbone} --report-on val --backbone-lr 0.0002`,
    seeds: [0],
    goal: undefined,
    reference: '',
  },
  'flowers-from-hymenoptera': {
    what: 'flowers, all labels: only the last layer is trained, on a backbone that was fine-tuned on hymenoptera',
    seeds: [0],
    goal: undefined,
    reference: 'flowers-probe',
    before: `train DATA/hymenoptera --mode finetune ${backbone} --report-on val`,
    command: 'train DATA/flowers --mode probe --model BEFORE --report-on val',
  },
  'hymenoptera-after-flowers': {
    what:
      'hymenoptera, all labels: only the last layer is trained, after the backbone was fine-tuned on hymenoptera ' +
      'and then on flowers (how much it forgot)',
    seeds: [0],
    goal: undefined,
    reference: 'hymenoptera-probe',
    before: `train DATA/hymenoptera --mode finetune ${backbone} --report-on val`,
    then: 'train DATA/flowers --mode finetune --model BEFORE --report-on val --epochs 3',
    command: 'train DATA/hymenoptera --mode probe --model BEFORE --report-on val',
  },
  'cifar-4000-search': {
    what: 'cifar10-25k, 4,000 labels, resnet20: search for the N and M of RandAugment',
    seeds: [0],
    search: true,
    command:
      'search DATA/cifar10-25k.tar --labels-per-class 400 --mode scratch --model resnet20 --epochs 30 ' +
      '--min-epochs 10 --batch-size 64 --seeds 1 --n 1,2,3 --m 3,9,15',
  },
  'cifar-4000-basic': {
    what: 'cifar10-25k, 4,000 labels, resnet20 from scratch, basic augmentation',
    command: `${cifar4000} --augment basic`,
    seeds: [0, 1, 2],
    goal: undefined,
    reference: '',
  },
  'cifar-4000-randaugment': {
    what: 'cifar10-25k, 4,000 labels, resnet20 from scratch, with the RandAugment policy that the search found',
    command: `${cifar4000} --augment randaugment:n=2,m=9`,
    seeds: [0, 1, 2],
    goal: undefined,
    reference: 'cifar-4000-basic',
  },
  'hymenoptera-finetune-onednn': {
    what: 'hymenoptera, all labels: MobileNetV2 is fine-tuned on oneDNN in float32',
    command: `train DATA/hymenoptera --mode finetune ${backbone} --report-on val --engine onednn --precision f32`,
    seeds: [0, 1, 2],
    goal: undefined,
    reference: 'hymenoptera-finetune',
  },
  'hymenoptera-finetune-bf16': {
    what: 'hymenoptera, all labels: MobileNetV2 is fine-tuned on oneDNN in bfloat16',
    command: `train DATA/hymenoptera --mode finetune ${backbone} --report-on val --engine onednn --precision bf16`,
    seeds: [0, 1, 2],
    goal: undefined,
    reference: 'hymenoptera-finetune-onednn',
  },
  'cifar-4000-resnet8-f32': {
    what: 'cifar10-25k, 4,000 labels, resnet8 from scratch for 10 epochs, on oneDNN in float32',
    command: `${cifar8} --precision f32`,
    seeds: [0, 1, 2],
    goal: undefined,
    reference: '',
  },
  'cifar-4000-resnet8-bf16': {
    what:
      'cifar10-25k, 4,000 labels, resnet8 from scratch for 10 epochs, on oneDNN in bfloat16 (the machine was ' +
      'busier: do not compare seconds)',
    command: `${cifar8} --precision bf16`,
    seeds: [0, 1, 2],
    goal: undefined,
    reference: 'cifar-4000-resnet8-f32',
  },
  'digits-ladder': {
    what: 'digits, 10 labels per class: `pupil demo` of 2026-11-26, when FixMatch was not one of its steps',
    command: 'demo',
    seeds: [0, 1, 2, 3, 4],
    goal: 0.95,
    reference: '',
  },
  'digits-fixmatch': {
    what: 'digits, 10 labels per class: FixMatch with the network of the demo, 24 epochs of the unlabelled images',
    command:
      `train ${digits} --mode scratch --model convnet-small --technique fixmatch --epochs 24 --batch-size 10 ` +
      '--unlabelled-ratio 3 --lr 0.1 --ema 0.99',
    seeds: [0, 1, 2, 3, 4],
    goal: 0.98,
    reference: 'digits-ladder',
  },
  'digits-fixmatch-short': {
    what:
      'digits, 10 labels per class: FixMatch with the network of the demo in a quarter of the epochs, batches half ' +
      'as large, weak views in a pass of their own through the averaged weights',
    command:
      `train ${digits} --mode scratch --model convnet-small --technique fixmatch --epochs 6 --batch-size 5 ` +
      '--unlabelled-ratio 3 --lr 0.1 --ema 0.99 --weak-pass averaged --engine ort',
    seeds: [0, 1, 2, 3, 4],
    goal: undefined,
    reference: 'digits-fixmatch',
  },
  'digits-student': {
    what: 'digits, 10 labels per class: a resnet14 teaches a resnet14, with all noise (Noisy Student)',
    command: student('resnet14'),
    seeds: [0, 1, 2, 3, 4],
    goal: undefined,
    reference: '',
  },
  'digits-student-no-noise': {
    what: 'digits, 10 labels per class: Noisy Student without augmentation, dropout and stochastic depth',
    command: student('resnet14', ' --student-augment none --dropout 0 --stochastic-depth 0'),
    seeds: [0, 1, 2, 3, 4],
    goal: undefined,
    reference: 'digits-student',
  },
  'digits-student-no-augment': {
    what: 'digits, 10 labels per class: Noisy Student without augmentation',
    command: student('resnet14', ' --student-augment none'),
    seeds: [0, 1, 2, 3, 4],
    goal: undefined,
    reference: 'digits-student',
  },
  'digits-student-no-dropout': {
    what: 'digits, 10 labels per class: Noisy Student without dropout and stochastic depth',
    command: student('resnet14', ' --dropout 0 --stochastic-depth 0'),
    seeds: [0, 1, 2, 3, 4],
    goal: undefined,
    reference: 'digits-student',
  },
  'digits-student-smaller': {
    what: 'digits, 10 labels per class: Noisy Student with a smaller student (resnet8)',
    command: student('resnet8'),
    seeds: [0, 1, 2, 3, 4],
    goal: undefined,
    reference: 'digits-student',
  },
  'digits-student-larger': {
    what: 'digits, 10 labels per class: Noisy Student with a larger student (resnet20)',
    command: student('resnet20'),
    seeds: [0, 1, 2, 3, 4],
    goal: undefined,
    reference: 'digits-student',
  },
  'digits-alone': {
    what: 'digits, 10 labels per class: a resnet8 without a teacher',
    command: `train ${digits} --mode scratch --model resnet8 --epochs 60 --batch-size 20`,
    seeds: [0, 1, 2, 3, 4],
    goal: undefined,
    reference: '',
  },
  ...Object.fromEntries(
    [1, 4, 8].map((T) => [
      `digits-distilled-t${T}`,
      {
        what: `digits, 10 labels per class: a resnet8 distilled from a resnet14 at T = ${T}`,
        seeds: [0, 1, 2, 3, 4],
        goal: undefined,
        reference: 'digits-alone',
        before: digitsTeacher,
        command: `distill ${digits} --teacher BEFORE --student resnet8 --epochs 5 --batch-size 64 --temperature ${T}`,
      },
    ]),
  ),
  'flowers-10-probe': { ...probeRow('flowers', 10, [0, 1, 2]), reference: '0.751' },
  'flowers-10-student': {
    what:
      'flowers, 10 labels per class: MobileNetV2 is fine-tuned, then two rounds of Noisy Student, all with a ' +
      'backbone learning rate of 5e-5',
    command:
      `self-train ${fewFlowers} --rounds 2 --students BACKBONE,BACKBONE --student-epochs 3 --folds 0 ` +
      '--backbone-lr 0.00005',
    seeds: [0, 1, 2],
    goal: 0.8,
    reference: 'flowers-10-probe',
  },
  'flowers-10-student-faster': {
    what: 'flowers, 10 labels per class: the same two rounds of Noisy Student with a backbone learning rate of 2e-4',
    command:
      `self-train ${fewFlowers} --rounds 2 --students BACKBONE,BACKBONE --student-epochs 3 --folds 0 ` +
      '--backbone-lr 0.0002',
    seeds: [0, 1, 2],
    goal: 0.8,
    reference: 'flowers-10-probe',
  },
  'flowers-10-fixmatch': {
    what: 'flowers, 10 labels per class: MobileNetV2 by FixMatch, 4 unlabelled images for each labelled one',
    command: `train ${fewFlowers} --technique fixmatch --epochs 5 --folds 0`,
    seeds: [0, 1, 2],
    goal: 0.8,
    reference: 'flowers-10-probe',
  },
  'flowers-small-probe': {
    what: 'flowers, 10 labels per class: only the last layer of MobileNetV1-0.25-128 is trained',
    command: `train ${smallFlowers} --mode probe`,
    seeds: [10, 11, 12],
    goal: undefined,
    reference: '',
  },
  ...familyRows('fixmatch', '--threshold relative --alignment half', 'FixMatch'),
  ...familyRows('flexmatch', '--threshold relative --alignment half', 'FlexMatch'),
  ...familyRows('softmatch', '--alignment half', 'SoftMatch'),
  ...familyRows('freematch', '--alignment half', 'FreeMatch'),
  ...familyRows('adamatch', '--alignment half', 'AdaMatch'),
  ...familyRows('debiasmatch', '--threshold relative', 'DebiasMatch'),
  'flowers-10-ladder': {
    what: 'flowers, 10 labels per class: `pupil learn`, techniques from the cheapest to the dearest',
    command:
      `learn ${fewFlowers} --rungs probe,supervised,pseudo-labels,noisy-student --folds 2 --student-epochs 2 ` +
      '--backbone-lr 0.0002',
    seeds: [0],
    goal: 0.8,
    reference: 'flowers-10-probe',
  },
  'flowers-10-consensus': consensusRow('flowers', fewFlowers, [0, 1, 2]),
  'flowers-10-round': roundRow('a student of the consensus, and a consensus on its features'),
  'flowers-10-round-own-head': roundRow("the student's own head, without a consensus on its features", {
    ownHead: true,
  }),
  'flowers-10-round-labels-alone': roundRow("the same with the consensus' labels as they are (w = 1)", {
    options: ' --prior-weight 1',
  }),
  'flowers-10-round-mild': roundRow('the same without strong augmentation', { options: ' --strong basic' }),
  'scenes-10-probe': probeRow('scenes', 10, [0, 1, 2]),
  'scenes-10-consensus': consensusRow('scenes', fewScenes, [0, 1, 2]),
  'hymenoptera-10-probe': { ...probeRow('hymenoptera', 10, [0, 1, 2, 3, 4]), reference: '0.917' },
  'hymenoptera-10-consensus': consensusRow('hymenoptera', fewHymenoptera, [0, 1, 2, 3, 4]),
  'hymenoptera-10-learn': learnRow('hymenoptera', 10, 3, [0, 1, 2, 3, 4], 0.945),
  'flowers-10-learn': learnRow('flowers', 10, 10, [0, 1, 2], 0.85),
  'flowers-10-learn-3': learnRow('flowers', 10, 3, [0, 1, 2]),
  'flowers-10-learn-1': learnRow('flowers', 10, 1, [0, 1, 2, 3, 4], 0.8),
  'flowers-5-probe': probeRow('flowers', 5, [0, 1, 2]),
  'flowers-2-probe': probeRow('flowers', 2, [0, 1, 2]),
  'objects50-10-probe': probeRow('objects50', 10, [0, 1, 2]),
  'flowers-5-learn': learnRow('flowers', 5, 10, [0, 1, 2]),
  'flowers-2-learn': learnRow('flowers', 2, 10, [0, 1, 2]),
  'scenes-10-learn': learnRow('scenes', 10, 10, [0, 1, 2], 0.88),
  'scenes-10-learn-3': learnRow('scenes', 10, 3, [0, 1, 2]),
  'scenes-10-learn-1': learnRow('scenes', 10, 1, [0, 1, 2]),
  'objects50-10-learn': learnRow('objects50', 10, 10, [0, 1, 2], 0.66),
  'flowers-imbalanced-10-learn': {
    ...learnRow('flowers', 10, 10, [0, 1, 2]),
    what:
      'flowers, 10 labels per class, other training images at 1 : .5 : .2 : .5 : 1 by class: all that Pupil does in ' +
      '10 minutes',
    command: `learn TWIN --labels-per-class 10 --report-on val ${backbone} --minutes 10`,
    reference: 'flowers-10-learn',
  },
  'flowers-10-unlike-learn': {
    ...learnRow('flowers', 10, 3, [0, 1, 2]),
    what:
      'flowers, 10 labels per class and 974 other images at 1 : .5 : .2 : .5 : 1 by class: all that Pupil does in ' +
      '3 minutes',
    command: `learn LIST/unlike --report-on val ${backbone} --minutes 3`,
    reference: 'flowers-10-alike-learn',
  },
  'flowers-10-alike-learn': {
    ...learnRow('flowers', 10, 3, [0, 1, 2]),
    what: 'flowers, the same labels and as many other images, in equal shares: all that Pupil does in 3 minutes',
    command: `learn LIST/alike --report-on val ${backbone} --minutes 3`,
    reference: 'flowers-10-learn-3',
  },
  'flowers-10-learn-small': {
    what: 'flowers, 10 labels per class, 10 minutes: MobileNetV2 and MobileNetV1-0.75 teach a MobileNetV1-0.25-128',
    command:
      `learn ${fewFlowers} --teacher MODELS/mobilenetv1-0.75-192.onnx --teacher-normalize symmetric ` +
      '--student MODELS/mobilenetv1-0.25-128.onnx --minutes 10',
    seeds: [0, 1, 2],
    goal: undefined,
    reference: 'flowers-10-learn',
  },
  'digits-demo': {
    what: 'digits, 10 labels per class: `pupil demo` on onnxruntime',
    command: 'demo --engine ort',
    seeds: [0, 1, 2, 3, 4],
    goal: 0.975,
    reference: 'digits-ladder',
  },
  'cifar-4000-learn': {
    what: 'cifar10-25k, 4,000 labels: all that Pupil does with a resnet20 from scratch in 40 minutes',
    command: 'learn DATA/cifar10-25k.tar --labels-per-class 400 --model resnet20 --minutes 40',
    seeds: [0, 1],
    goal: 0.78,
    reference: 'cifar-4000-noisy-student-20',
  },
  'hymenoptera-10-student': {
    what: 'hymenoptera, 10 labels per class: MobileNetV2 is fine-tuned, then two rounds of Noisy Student',
    command: `self-train ${fewHymenoptera} --rounds 2 --students BACKBONE,BACKBONE --student-epochs 5 --folds 0`,
    seeds: [0, 1, 2, 3, 4],
    goal: 0.94,
    reference: 'hymenoptera-10-probe',
  },
  'cifar-4000-noisy-student': {
    what: 'cifar10-25k, 4,000 labels: Noisy Student, a resnet20 teaches a resnet20, then a resnet32',
    command:
      'self-train DATA/cifar10-25k.tar --labels-per-class 400 --mode scratch --model resnet20 --students ' +
      'resnet20,resnet32 --epochs 30 --student-epochs 10 --batch-size 64 --unlabelled-ratio 3',
    seeds: [0, 1, 2],
    goal: undefined,
    reference: 'cifar-4000-randaugment',
  },
  'cifar-4000-fixmatch': {
    what: 'cifar10-25k, 4,000 labels, resnet20: FixMatch with 3 unlabelled images for each labelled one',
    command:
      'train DATA/cifar10-25k.tar --labels-per-class 400 --mode scratch --model resnet20 --technique fixmatch ' +
      '--unlabelled-ratio 3 --epochs 15',
    seeds: [0, 1, 2],
    goal: undefined,
    reference: 'cifar-4000-randaugment',
  },
  'cifar-4000-basic-100': {
    what: 'cifar10-25k, 4,000 labels, resnet8 for 100 epochs, basic augmentation',
    command: `${cifar100} --augment basic`,
    seeds: [0, 1, 2],
    goal: undefined,
    reference: '',
  },
  'cifar-4000-randaugment-100': {
    what: 'cifar10-25k, 4,000 labels, resnet8 for 100 epochs, RandAugment',
    command: `${cifar100} --augment randaugment:n=2,m=9`,
    seeds: [0, 1, 2],
    goal: undefined,
    reference: 'cifar-4000-basic-100',
  },
  'cifar-4000-fixmatch-100': {
    what: 'cifar10-25k, 4,000 labels, resnet8 for 100 epochs: FixMatch with 3 unlabelled images for each labelled one',
    command: `${cifar100} --technique fixmatch --unlabelled-ratio 3`,
    seeds: [0, 1, 2],
    goal: undefined,
    reference: 'cifar-4000-randaugment-100',
  },
  'cifar-4000-fixmatch-steps': {
    what:
      'cifar10-25k, 4,000 labels, resnet8: FixMatch in twice as many steps of a quarter of the images, at twice ' +
      'the learning rate',
    command:
      `${cifar100.replace('--epochs 100 --batch-size 64', '--epochs 50 --batch-size 16')} --technique fixmatch ` +
      '--unlabelled-ratio 3 --lr 0.06',
    seeds: [0, 1, 2],
    goal: undefined,
    reference: 'cifar-4000-randaugment-100',
  },
  'cifar-4000-noisy-student-steps': {
    what:
      'cifar10-25k, 4,000 labels: a resnet20 teaches a resnet20, both with RandAugment, in batches of 16, ' +
      'without dropout and stochastic depth',
    command:
      'self-train DATA/cifar10-25k.tar --labels-per-class 400 --mode scratch --model resnet20 --students ' +
      'resnet20 --rounds 1 --epochs 60 --student-epochs 30 --batch-size 16 --unlabelled-ratio 3 --lr 0.05 ' +
      '--augment randaugment:n=2,m=9 --dropout 0 --stochastic-depth 0',
    seeds: [0],
    goal: undefined,
    reference: 'cifar-4000-randaugment-100',
  },
  'cifar-4000-noisy-student-20': {
    what:
      'cifar10-25k, 4,000 labels: a resnet20 trained for 90 epochs teaches a resnet20, both with RandAugment, ' +
      'without dropout and stochastic depth',
    command:
      'self-train DATA/cifar10-25k.tar --labels-per-class 400 --mode scratch --model resnet20 --students ' +
      'resnet20 --rounds 1 --epochs 90 --student-epochs 30 --batch-size 64 --unlabelled-ratio 3 --augment ' +
      'randaugment:n=2,m=9 --dropout 0 --stochastic-depth 0',
    seeds: [0, 1, 2],
    goal: undefined,
    reference: 'cifar-4000-teacher',
  },
  'cifar-4000-student-alone': {
    what: 'cifar10-25k, 4,000 labels: a resnet8 without a teacher',
    command:
      'train DATA/cifar10-25k.tar --labels-per-class 400 --mode scratch --model resnet8 --epochs 60 --batch-size 64',
    seeds: [0, 1, 2],
    goal: undefined,
    reference: '',
  },
  'cifar-4000-distilled': {
    what: 'cifar10-25k, 4,000 labels and the other 16,000 images: a resnet8 distilled from a resnet20',
    before: `${cifar4000} --augment basic`,
    command: `distill DATA/cifar10-25k.tar --teacher BEFORE ${cifarStudent}`,
    seeds: [0, 1, 2],
    goal: undefined,
    reference: 'cifar-4000-student-alone',
  },
  'cifar-4000-distilled-unlabelled': {
    what:
      'cifar10-25k, 4,000 labels and the other 16,000 images: a resnet8 distilled from a resnet20, without a ' +
      'loss on the labels',
    before: `${cifar4000} --augment basic`,
    command: `distill DATA/cifar10-25k.tar --teacher BEFORE ${cifarStudent} --alpha 1`,
    seeds: [0, 1, 2],
    goal: undefined,
    reference: 'cifar-4000-student-alone',
  },
  'cifar-4000-teacher': {
    what: 'cifar10-25k, 4,000 labels: a resnet20 with RandAugment for 90 epochs, the better teacher of the rows below',
    command: cifarTeacher,
    seeds: [0, 1, 2],
    goal: undefined,
    reference: 'cifar-4000-randaugment',
  },
  ...Object.fromEntries(
    [
      ['', 1],
      ['-t4', 4],
      ['-t8', 8],
    ].map(([name, T]) => [
      `cifar-4000-distilled-better${name}`,
      {
        what:
          'cifar10-25k, 4,000 labels and the other 16,000 images: a resnet8 distilled from the better teacher at ' +
          `T = ${T}`,
        seeds: [0, 1, 2],
        goal: undefined,
        reference: 'cifar-4000-student-alone',
        before: cifarTeacher,
        command: `distill DATA/cifar10-25k.tar --teacher BEFORE ${cifarStudent} --temperature ${T}`,
      },
    ]),
  ),
  'cifar-4000-distilled-better-unlabelled': {
    what:
      'cifar10-25k, 4,000 labels and the other 16,000 images: a resnet8 distilled from the better teacher at T = ' +
      '1, without a loss on the labels',
    before: cifarTeacher,
    command: `distill DATA/cifar10-25k.tar --teacher BEFORE ${cifarStudent} --temperature 1 --alpha 1`,
    seeds: [0, 1, 2],
    goal: undefined,
    reference: 'cifar-4000-student-alone',
  },
  'cifar-4000-distilled-20': {
    what:
      'cifar10-25k, 4,000 labels and the other 16,000 images: a resnet20 distilled from the better teacher (also ' +
      'a resnet20) at T = 8',
    before: cifarTeacher,
    command:
      `distill DATA/cifar10-25k.tar --teacher BEFORE ${cifarStudent.replace('resnet8', 'resnet20')} ` +
      '--temperature 8',
    seeds: [0, 1, 2],
    goal: undefined,
    reference: 'cifar-4000-teacher',
  },
  'cifar-scratch': {
    what: 'cifar10-25k, all 20,000 labels: a resnet8 from scratch',
    command: 'train DATA/cifar10-25k.tar --mode scratch --model resnet8 --epochs 10 --batch-size 128',
    seeds: [0],
    goal: undefined,
    reference: '',
  },
};

mkdirSync(join(root, 'results'), { recursive: true });
const read = () => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {});

/** What a row measures finds images decoded, as on a second evening, but no features of a row before. */
const cacheFolder = join(root, '.cache', 'results', 'cache');

function pupil(command, seed, out, before) {
  rmSync(join(cacheFolder, featuresFolder), { recursive: true, force: true });
  const words = [...command.split(' '), '--seed', String(seed), '--out', out, '--json']
    .map((word) =>
      word
        .replace(/^DATA/, join(shared, 'data'))
        .replace(/^MODELS/, join(shared, 'models'))
        .replace(/^BEFORE(?=$|\/)/, before ?? ''),
    )
    .map((word) =>
      word
        .replaceAll('BACKBONE', join(shared, 'models/mobilenetv2-1.0-224.onnx'))
        .replace(/^DIGITS$/, digitsFolder)
        .replace(/^TWIN$/, twinFolder)
        .replace(/^LIST\/(.*)$/, (_, name) => listFile(name, seed)),
    );
  return JSON.parse(
    execFileSync(process.execPath, [join(root, 'dist/cli/main.js'), ...words], {
      stdio: ['ignore', 'pipe', 'inherit'],
      maxBuffer: 2 ** 28,
      env: { ...process.env, PUPIL_CACHE: cacheFolder },
    }),
  );
}

/** The embedded digits as files, for commands that take a folder; there only when all are. */
async function writeDigits() {
  const { samples } = await openDigits();
  mkdirSync(dirname(digitsFolder), { recursive: true });
  const folder = mkdtempSync(`${digitsFolder}-`);
  await Promise.all(
    samples.map(async ({ path, source }) => {
      const [, ...below] = path.split('/'),
        file = join(folder, `${below.join('/')}.png`);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, await encodePng(source.image));
    }),
  );
  renameSync(folder, digitsFolder);
}

/** Flowers with fewer images of some classes; there only when all are. */
function writeTwin() {
  const { data, shares } = imbalanced[twinName];
  const from = join(shared, 'data', data);
  mkdirSync(dirname(twinFolder), { recursive: true });
  const folder = mkdtempSync(`${twinFolder}-`);
  const list = (...path) => readdirSync(join(from, ...path)).sort();
  for (const split of list()) {
    for (const [i, name] of list(split).entries()) {
      const files = list(split, name);
      const kept = split === 'train' ? files.slice(0, Math.round(files.length * shares[i])) : files;
      mkdirSync(join(folder, split, name), { recursive: true });
      for (const file of kept) copyFileSync(join(from, split, name, file), join(folder, split, name, file));
    }
  }
  renameSync(folder, twinFolder);
}

/**
 * Lists of flowers, a seed each: the labels that `--labels-per-class 10` keeps, some of the other training images, and
 * val.
 */
async function writeLists() {
  const { classes, samples } = await openDataset(join(shared, 'data', imbalanced[twinName].data));
  mkdirSync(dirname(listFile('', 0)), { recursive: true });
  const of = (split) => samples.filter((sample) => sample.split === split);
  for (const [name, shares] of Object.entries(listShares)) {
    for (const seed of rows[`flowers-10-${name}-learn`].seeds) {
      const labelled = keepLabels(of('train'), 10, seed).labelled;
      const others = classes.flatMap((_, label) => {
        const own = of('train').filter((sample) => sample.label === label);
        const known = own.filter((sample) => labelled.includes(sample));
        const free = own.filter((sample) => !labelled.includes(sample));
        return free.slice(0, Math.round(own.length * shares[label]) - known.length);
      });
      const line = ({ path, split }, label) => [path, label, split].join();
      const lines = [...labelled, ...of('val')].map((sample) => line(sample, classes[sample.label]));
      const text = ['path,label,split', ...lines, ...others.map((sample) => line(sample, '')), ''].join('\n');
      writeFileSync(listFile(name, seed), text);
    }
  }
}
const listFile = (name, seed) => join(root, '.cache', 'results', `flowers-${name}-${seed}.csv`);

/** The run that rows begin from (a teacher, a backbone); rows that begin alike share it. */
function prepared(command, seed, again) {
  const folder = join(
    prepareFolder,
    createHash('sha256').update(`${command} --seed ${seed}`).digest('hex').slice(0, 12),
  );
  if (again || !existsSync(join(folder, 'result.json'))) {
    rmSync(folder, { recursive: true, force: true });
    pupil(command, seed, folder);
  }
  return folder;
}

/** Whether other rows begin from what this command makes: then it is made once for all. */
const isBefore = (command) => Object.values(rows).some(({ before }) => before === command);

/** Stages of a ladder or of rounds: what each gave on the images that nothing was chosen on. */
const stagesOf = ({ rungs, rounds }) =>
  (rungs ?? rounds)?.flatMap(({ name, student, round, test, kept, seconds }) => {
    const top1 = test?.top1;
    return top1 === undefined
      ? []
      : [
          {
            name: name ?? (round === 0 ? `teacher ${student}` : `${round}: ${student}`),
            top1,
            ...(kept !== undefined && { kept }),
            seconds,
          },
        ];
  });

const machine = () => ({
  machine: `${cpus()[0].model.trim()}, ${availableParallelism()} threads`,
  versions: {
    pupil: version,
    node: process.version,
    onnxruntime: JSON.parse(readFileSync(join(root, 'node_modules/pupil-onnxruntime/package.json'), 'utf8')).version,
  },
  date: new Date().toISOString().slice(0, 10),
});

/** A search: its cells and winner, and its picture beside the page. */
function measureSearch(name, again, finished) {
  const { command, seeds } = rows[name];
  if (!again && !finished && read()[name]?.command === command) return;
  const folder = finished ?? mkdtempSync(join(tmpdir(), `pupil-results-${name}-`));
  if (!finished) pupil(command, seeds[0], join(folder, 'run'));
  const run = finished ?? join(folder, 'run');
  const json = (name) => JSON.parse(readFileSync(join(run, name), 'utf8'));
  const { cells, best, seconds } = json('result.json'),
    heldOut = json('search.json').heldOut.reduce((sum, count) => sum + count, 0);
  copyFileSync(join(run, 'heat-map.png'), join(root, 'results', `${name}.png`));
  writeFileSync(
    file,
    JSON.stringify(
      {
        ...read(),
        [name]: { search: { cells, best, seconds, heldOut }, seeds: { [seeds[0]]: {} }, command, ...machine() },
      },
      null,
      1,
    ) + '\n',
  );
  if (!finished) rmSync(folder, { recursive: true, force: true });
}

function measure(name, again, finished) {
  const row = rows[name];
  if (row.search) return measureSearch(name, again, finished);
  let begun = !again;
  for (const seed of row.seeds) {
    const all = read();
    if (!again && all[name]?.seeds?.[seed] && all[name].command === row.command) continue;
    const folder = mkdtempSync(join(tmpdir(), `pupil-results-${name}-`));
    try {
      let before = row.before && prepared(row.before, seed, again);
      if (row.then) {
        const out = join(folder, 'then');
        pupil(row.then, seed, out, before);
        before = out;
      }
      let run = join(folder, 'run');
      if (isBefore(row.command)) run = prepared(row.command, seed, again);
      else pupil(row.command, seed, run, before);
      const result = JSON.parse(readFileSync(join(run, 'result.json'), 'utf8'));
      const measured = result.test ?? result.val;
      const metrics = join(run, 'metrics.jsonl'),
        stages = stagesOf(result);
      const epochs = !existsSync(metrics)
        ? undefined
        : readFileSync(metrics, 'utf8')
            .split('\n')
            .filter((line) => line.includes('"type":"epoch"')).length;
      const latest = read();
      const entry = latest[name]?.command === row.command && begun ? latest[name] : { seeds: {} };
      begun = true;
      const { top1, loss, ece, count } = measured;
      entry.seeds[seed] = {
        top1,
        loss,
        ece,
        count,
        seconds: result.seconds,
        epochs,
        best: result.best,
        ...(stages && { stages }),
      };
      latest[name] = {
        ...entry,
        command: row.command,
        before: row.before,
        then: row.then,
        ...machine(),
      };
      writeFileSync(file, JSON.stringify(latest, null, 1) + '\n');
      console.error(`${name} seed ${seed}: top-1 ${top1.toFixed(4)} in ${result.seconds.toFixed(0)} s`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

function describeSearch(name, { what }, { cells, best, seconds, heldOut }) {
  const share = (x) => (x === null || x === undefined ? '' : x.toFixed(4));
  return [
    `## <a id="${name}"></a>Search \`${name}\``,
    '',
    `${sentence(what)}. Accuracy on ${heldOut} held-out training images. The best policy was chosen on the ` +
      'same images, so its number is too high; the interval is that over the images.',
    `Policies with fewer epochs were stopped early by successive halving. Chosen: \`--augment ` +
      `${best.augment}\`. ${Math.round(seconds / 60)} minutes, on a shared machine.`,
    '',
    '| policy | epochs | accuracy | interval (±) |',
    '|---|---|---|---|',
    ...cells.map((cell) => `| \`${cell.policy}\` | ${cell.epochs} | ${share(cell.top1)} | ${share(cell.interval)} |`),
    '',
    `![accuracy by N and M](${name}.png)`,
  ];
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}`;

/** The stages of all seeds by name; gains are over the stage before, seed by seed. */
function describeStages(name, { what }, runs) {
  const names = [...new Set(runs.flatMap(({ stages }) => stages.map((stage) => stage.name)))];
  const number = ({ mean, interval }) =>
    `${mean.toFixed(4)}${Number.isNaN(interval) ? '' : ` ± ${interval.toFixed(4)}`}`;
  const at = (run, stage) => run.stages.find((one) => one.name === stage);
  return [
    `## Stages of \`${name}\``,
    '',
    `${sentence(what)}. "kept" counts the seeds that kept the stage.`,
    '',
    '| stage | accuracy | gain over the stage before | seconds | kept |',
    '|---|---|---|---|---|',
    ...names.map((stage, i) => {
      const there = runs.filter((run) => at(run, stage)),
        both = there.filter((run) => i > 0 && at(run, names[i - 1]));
      const seconds = there.reduce((sum, run) => sum + at(run, stage).seconds, 0) / there.length;
      const kept =
        at(there[0], stage).kept === undefined
          ? ''
          : `${there.filter((run) => at(run, stage).kept).length} of ${there.length}`;
      const accuracy = number(meanInterval(there.map((run) => at(run, stage).top1)));
      const gains = both.map((run) => at(run, stage).top1 - at(run, names[i - 1]).top1);
      const gain = gains.length > 0 ? number(meanInterval(gains)) : '';
      return `| ${stage} | ${accuracy} | ${gain} | ${seconds.toFixed(0)} | ${kept} |`;
    }),
  ];
}

/** What scripts/suggestions.js measured: a table for each set. */
function describeSuggestions(measured) {
  const number = ({ mean, interval }) => `${mean.toFixed(3)} ± ${interval.toFixed(3)}`;
  const learners = { probe: 'labels alone (`--mode probe`)', consensus: 'all images (`--mode consensus`)' };
  const chance = 'random, so many of each class',
    best = 'suggest, in rounds';
  const lines = [
    '## <a id="suggestions"></a>Which images to label',
    '',
    'Accuracy on val of the last layer of MobileNetV2, by which images have labels: mean ± 95% interval over ' +
      'seeds. A seed leaves out a fifth of the training images, and all methods choose from the others. Only ' +
      '"so many of each class" knows classes before it chooses. "In rounds": the labels of a line are those of ' +
      'the line before and more, chosen with `--data`. TypiClust (Hacohen et al. 2022) is the k-means of the ' +
      'paper, in the space that suggest uses. "Gain": in rounds over so many of each class, seed by seed.',
    'The share of uncertainty and the balance of classes were chosen on flowers, its imbalanced twin and scenes ' +
      '(other seeds, three each); hymenoptera had no part in it. Made by `node scripts/suggestions.js ' +
      `${Object.keys(measured).join(' ')}\`.`,
  ];
  for (const [set, seeds] of Object.entries(measured)) {
    const runs = Object.values(seeds);
    const methods = Object.keys(runs[0]);
    lines.push(
      '',
      `### Suggestions on ${set}, ${runs.length} seeds`,
      '',
      `| labels | learned from | ${methods.join(' | ')} | gain |`,
      `|---|---|${methods.map(() => '---|').join('')}---|`,
    );
    for (const [learner, says] of Object.entries(learners)) {
      for (const [i, { labels }] of runs[0][chance].entries()) {
        const of = (method) => runs.map((run) => run[method][i][learner]);
        const gain = meanInterval(of(best).map((x, seed) => x - of(chance)[seed]));
        const cells = methods.map((method) => number(meanInterval(of(method))));
        lines.push(`| ${labels} | ${says} | ${cells.join(' | ')} | ${number(gain)} |`);
      }
    }
  }
  return lines;
}

/** What scripts/consensus.js measured: a table of all sets for each of the two things it measures. */
function describeConsensus(measured) {
  const number = ({ mean, interval }) => `${mean.toFixed(3)} ± ${interval.toFixed(3)}`;
  const heading = (name) => `${name.replace(/-\d+$/, '')}, ${Object.keys(measured[name]).length} seeds`;
  const table = (names, of) => [
    '',
    `| | ${names.map(heading).join(' | ')} |`,
    `|---|${names.map(() => '---|').join('')}`,
    ...Object.keys(Object.values(measured[names[0]])[0]).map((row) => {
      const cells = names.map((name) => number(meanInterval(Object.values(measured[name]).map((run) => run[row][of]))));
      return `| ${row} | ${cells.join(' | ')} |`;
    }),
  ];
  // Of other numbers of labels than ten the number ends the name.
  const names = Object.keys(measured).filter((name) => !/-\d+$/.test(name)),
    few = Object.keys(measured).filter((name) => name.endsWith('-2'));
  return [
    '## <a id="consensus"></a>Parts of the consensus',
    '',
    'What each part of `--mode consensus` brings, with ten labels of each class and MobileNetV2: a row has what ' +
      'those above it have, and one thing more. Mean ± 95% interval over seeds, which say what is labelled. ' +
      'Flowers-imbalanced has classes of 1 : 0.5 : 0.2 : 0.5 : 1. Made by ' +
      `\`node scripts/consensus.js ${names.join(' ')}\`.`,
    '',
    'Labels of the other training images that are right:',
    ...table(names, 'labels'),
    '',
    'Accuracy on val of the last layer solved on these labels:',
    ...table(names, 'val'),
    '',
    'The same labels with two labels of each class in place of ten ' +
      `(\`node scripts/consensus.js --labels-per-class 2 ${few.map((name) => name.slice(0, -2)).join(' ')}\`):`,
    ...table(few, 'labels'),
  ];
}

/** What scripts/shares.js measured: pools of unlabelled images beside the same labels. */
function describeShares(measured) {
  const number = ({ mean, interval }) => `${mean.toFixed(3)} ± ${interval.toFixed(3)}`;
  const sets = Object.keys(measured);
  const lines = [
    '## <a id="shares"></a>Unlike shares of the unlabelled images',
    '',
    'What the consensus loses where the classes of the unlabelled images stand at 1 : .5 : .2 : .5 : 1 (in turn, ' +
      'where there are more or fewer classes), beside the same ten labels of each class and in as many images; ' +
      'MobileNetV2, mean ± 95% interval over seeds. "Adjusted": half of the logarithm of the shares found is taken ' +
      'from the logits of the last layer (Menon et al. 2021), which Pupil does not do. Made by ' +
      `\`node scripts/shares.js ${sets.join(' ')}\`.`,
    '',
    '| set | unlabelled images | images | labels that are right | accuracy on val | adjusted |',
    '|---|---|---|---|---|---|',
  ];
  for (const set of sets) {
    const runs = Object.values(measured[set]);
    const pools = Object.keys(runs[0]);
    const [, alike, unlike] = pools;
    const add = (name, images, of) => {
      const cells = ['labels', 'val', 'adjusted'].map((key) => number(meanInterval(runs.map((run) => of(run, key)))));
      lines.push(`| ${[`${set}, ${runs.length} seeds`, name, images, ...cells].join(' | ')} |`);
    };
    for (const pool of pools) add(pool, runs[0][pool].images, (run, key) => run[pool][key]);
    add('difference of the last two', '', (run, key) => run[unlike][key] - run[alike][key]);
  }
  return lines;
}

/** What scripts/strangers.js measured: images of a class without labels among the unlabelled ones. */
function describeStrangers(measured) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const percent = (share) => `${(100 * share).toFixed(1)}%`;
  const sets = Object.keys(measured);
  const measures = ['mixture', 'nearest label', 'mahalanobis', 'relative mahalanobis'];
  const lines = [
    '## <a id="strangers"></a>A class without labels',
    '',
    'Each class in turn has no labels, and its images are among the unlabelled ones (beside ants and bees, ' +
      'those of a kind of scenes): 25 of 150, or all of them among all training images. How well the consensus ' +
      'orders them before the others (AUROC, for which 0.5 is chance; with distances that others use beside ' +
      'it), in how many sets it believes that there are any, the share of them that it sets aside, the share of ' +
      'the other images that it sets aside too, and the share that it sets aside where there are none of them. ' +
      'Last, all unlabelled images are of one class that has labels, each in turn, and none is to be set aside. ' +
      'MobileNetV2. Designed on scenes and hymenoptera; flowers were only measured. ' +
      `Made by \`node scripts/strangers.js ${sets.join(' ')}\`.`,
    '',
    `| set | labels a class, unlabelled images | sets | ${measures.map((name) => `AUROC: ${name}`).join(' | ')} | ` +
      'noticed | set aside | others with them | without them |',
    `|${'---|'.repeat(7 + measures.length)}`,
  ];
  for (const set of sets)
    for (const setting of Object.keys(Object.values(measured[set])[0])) {
      const rows = Object.values(measured[set]).flatMap((run) => run[setting]);
      const cells = [
        ...[set, setting, rows.length],
        ...measures.map((name) => (rows[0].auroc ? mean(rows.map(({ auroc }) => auroc[name])).toFixed(2) : '')),
        rows.filter(({ strangers, without }) => (strangers ?? without) > 0).length,
        ...['strangers', 'others', 'without'].map((key) =>
          rows[0][key] === undefined ? '' : percent(mean(rows.map((row) => row[key]))),
        ),
      ];
      lines.push(`| ${cells.join(' | ')} |`);
    }
  return lines;
}

/** What scripts/studio/replays.js measured: whether the studio's estimate can be trusted. */
function describeReplays(measured) {
  const lines = [
    '## <a id="replays"></a>The studio\'s estimate',
    '',
    'Labelling is replayed with the proposals of the [studio](../docs/studio.md), on up to 400 training images of a ' +
      'set for each seed: 80 labels, 20 at a time, one in five drawn at random; in some replays the person also ' +
      'accepts, after each batch, the right ones of the suggestions that are at least 90% sure. "covered" counts the ' +
      'replays in which the 95% interval of the estimate holds the accuracy on up to 300 images of val, which were ' +
      'neither proposed nor labelled. "images" is how many the estimate was measured on, "half width" that of its ' +
      'interval, "difference" estimate less accuracy (points, ± 95% of the mean); all of them means. MobileNetV2. ' +
      'Made by `node scripts/studio/replays.js`, and again with `--accept 0.9`.',
    '',
    '| replays | set | covered | images | half width | estimate | accuracy on val | difference |',
    '|---|---|---|---|---|---|---|---|',
  ];
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const points = (value) => (100 * value).toFixed(1);
  for (const [setting, sets] of Object.entries(measured))
    for (const [set, seeds] of Object.entries(sets)) {
      const rows = Object.values(seeds);
      const covered = rows.filter(({ interval: [low, high], truth }) => low <= truth && truth <= high).length;
      const { mean: by, interval } = meanInterval(rows.map(({ accuracy, truth }) => accuracy - truth));
      const percent = (of) => `${points(mean(rows.map(of)))}%`;
      const cells = [
        ...[setting, set, `${covered} of ${rows.length}`, mean(rows.map(({ images }) => images)).toFixed(1)],
        points(mean(rows.map(({ interval: [low, high] }) => (high - low) / 2))),
        ...[percent(({ accuracy }) => accuracy), percent(({ truth }) => truth)],
        `${points(by)} ± ${points(interval)}`,
      ];
      lines.push(`| ${cells.join(' | ')} |`);
    }
  return lines;
}

/** What more time brings `pupil learn`, seed by seed. */
function describeTimes(all) {
  const lines = [
    '## <a id="times"></a>More time for `learn`',
    '',
    'Accuracy with the longer time less that with the shorter one, in points, seed by seed: mean ± 95% interval.',
    '',
    '| images, 10 labels per class | time | seeds | difference |',
    '|---|---|---|---|',
  ];
  for (const set of ['flowers', 'scenes']) {
    const measured = [1, 3, 10].map((minutes) => ({
      minutes,
      seeds: all[`${set}-10-learn${minutes === 10 ? '' : `-${minutes}`}`]?.seeds ?? {},
    }));
    for (const [i, { minutes, seeds }] of measured.slice(1).entries()) {
      const before = measured[i];
      const both = Object.keys(seeds).filter((seed) => before.seeds[seed] !== undefined);
      const { mean, interval } = meanInterval(both.map((seed) => 100 * (seeds[seed].top1 - before.seeds[seed].top1)));
      lines.push(
        `| ${set} | ${minutes} minutes in place of ${before.minutes} | ${both.length} | ` +
          `${mean.toFixed(1)} ± ${interval.toFixed(1)} |`,
      );
    }
  }
  return lines;
}

function render() {
  const all = read();
  const lines = [
    '# Results',
    '',
    'Each row is the result of one command. [docs/results.md](../docs/results.md) names the images and ' +
      'weights; the commands are at the [end of this page](#commands); `npm run results -- ROW` measures a row ' +
      'again.',
    '',
    '- **accuracy**: top-1 on images that were used for nothing else (neither for training nor for choosing ' +
      "anything), the mean over seeds ± its 95% interval (Student's t). One seed has no interval. Training only " +
      'the last layer has one exact solution: where all labels are used, every seed gives the same result and ' +
      'the interval is zero.',
    '- **goal**: the accuracy that was aimed for before the row was measured.',
    '- **compared with**: another row, with the difference seed by seed (paired) where both have several ' +
      'seeds; or the accuracy of an independent program on the same images.',
    '- **ECE**: expected calibration error, how far confidences are from accuracies.',
    '- **seconds**: the whole command, to the report, on a machine with other work. Images may have been ' +
      'decoded by a command before; features are computed anew.',
    '- **images**: how many images the accuracy was measured on.',
    '',
    '| row | what | accuracy | seeds | goal | compared with | ECE | seconds | images |',
    '|---|---|---|---|---|---|---|---|---|',
  ];
  for (const [name, row] of Object.entries(rows)) {
    const entry = all[name];
    if (!entry || entry.search) continue;
    const seeds = Object.values(entry.seeds);
    const { mean, interval } = meanInterval(seeds.map((seed) => seed.top1));
    const average = (key) => seeds.reduce((sum, seed) => sum + seed[key], 0) / seeds.length;
    // Against another row with the same seeds: the mean of the differences, seed by seed.
    const other = all[row.reference]?.seeds;
    const shared = other ? Object.keys(entry.seeds).filter((seed) => other[seed]) : [];
    const paired =
      shared.length > 1 ? meanInterval(shared.map((seed) => entry.seeds[seed].top1 - other[seed].top1)) : undefined;
    const against = paired ? ` (difference ${paired.mean.toFixed(4)} ± ${paired.interval.toFixed(4)})` : '';
    lines.push(
      `| <a id="${name}"></a>\`${name}\` | ${row.what} | ` +
        `${mean.toFixed(4)}${Number.isNaN(interval) ? '' : ` ± ${interval.toFixed(4)}`} | ${seeds.length} | ` +
        `${row.goal ?? ''} | ${row.reference}${against} | ${average('ece').toFixed(3)} | ` +
        `${average('seconds').toFixed(0)} | ${seeds[0].count} |`,
    );
  }
  const unmeasured = Object.keys(rows).filter((name) => all[name] === undefined);
  if (unmeasured.length > 0)
    lines.push('', `Not measured yet: ${unmeasured.map((name) => `\`${name}\` (${rows[name].what})`).join('; ')}.`);
  lines.push('', ...describeTimes(all));
  for (const [name, row] of Object.entries(rows)) {
    const runs = Object.values(all[name]?.seeds ?? {});
    if (runs[0]?.stages) lines.push('', ...describeStages(name, row, runs));
  }
  for (const [name, row] of Object.entries(rows)) {
    const search = all[name]?.search;
    if (search) lines.push('', ...describeSearch(name, row, search));
  }
  if (existsSync(suggestionsFile))
    lines.push('', ...describeSuggestions(JSON.parse(readFileSync(suggestionsFile, 'utf8'))));
  if (existsSync(consensusFile)) lines.push('', ...describeConsensus(JSON.parse(readFileSync(consensusFile, 'utf8'))));
  if (existsSync(sharesFile)) lines.push('', ...describeShares(JSON.parse(readFileSync(sharesFile, 'utf8'))));
  if (existsSync(strangersFile)) lines.push('', ...describeStrangers(JSON.parse(readFileSync(strangersFile, 'utf8'))));
  if (existsSync(replaysFile)) lines.push('', ...describeReplays(JSON.parse(readFileSync(replaysFile, 'utf8'))));
  lines.push('', '## Commands', '');
  for (const [name, entry] of Object.entries(all)) {
    if (!rows[name]) continue;
    const steps = [entry.before, entry.then, entry.command].filter((command) => command !== undefined);
    lines.push(
      `- \`${name}\` (${entry.date}; ${entry.machine}; pupil ${entry.versions.pupil}, Node ` +
        `${entry.versions.node}, onnxruntime ${entry.versions.onnxruntime}; seeds ` +
        `${Object.keys(entry.seeds).join(', ')}): ${steps.map((step) => `\`pupil ${step}\``).join(', then ')}`,
    );
  }
  writeFileSync(page, lines.join('\n') + '\n');
}

const {
  values: { again, run: finished, render: onlyRender },
  positionals: names,
} = parseArgs({
  allowPositionals: true,
  options: { again: { type: 'boolean', default: false }, run: { type: 'string' }, render: { type: 'boolean' } },
});
const unknown = names.filter((name) => !rows[name]);
if (onlyRender) render();
else if (names.length === 0 || unknown.length > 0) {
  console.error(`${unknown.length > 0 ? `unknown: ${unknown.join(', ')}; ` : ''}rows: ${Object.keys(rows).join(', ')}`);
  process.exitCode = unknown.length > 0 ? 2 : 0;
} else {
  if (!existsSync(join(shared, 'data'))) throw new Error(`no images in ${shared}; set PUPIL_SHARED`);
  const isNeeded = (word) => names.some((name) => [rows[name].before, rows[name].command].join(' ').includes(word));
  if (isNeeded('DIGITS') && !existsSync(digitsFolder)) await writeDigits();
  if (isNeeded('LIST')) await writeLists();
  if (isNeeded('TWIN') && !existsSync(twinFolder)) writeTwin();
  for (const name of names) {
    measure(name, again, finished);
    render();
  }
}
