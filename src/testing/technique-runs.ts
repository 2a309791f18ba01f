/** Run folders with what semi-supervised techniques leave, made up for tests of the report. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodePng } from '../image/decode.js';
import { imageOf } from '../image/image.js';
import { Random } from '../random.js';
import type { LadderFile, PseudoLabelRound, RoundsFile, UnlabelledEpoch } from '../artifact/formats.js';

export interface TechniqueRun {
  readonly classes: readonly string[];
  readonly epochs: number;
  /** Rounds of pseudo-labels. */
  readonly rounds: number;
  /** Whether the truth of unlabelled images is known. */
  readonly truth?: boolean;
}

const students: RoundsFile = {
  kept: 2,
  stopped: 'round 3 no longer helps: -0.5 points, below its interval',
  rounds: [
    {
      round: 0,
      student: 'resnet8',
      parameters: 78042,
      selection: { top1: 0.712, interval: 0.03, count: 200 },
      test: { top1: 0.704 },
      seconds: 12,
    },
    {
      round: 1,
      student: 'resnet8',
      parameters: 78042,
      selection: { top1: 0.765, interval: 0.028, count: 200 },
      test: { top1: 0.751 },
      seconds: 48,
      gain: { mean: 0.053, interval: 0.021 },
      helped: true,
      run: 'rounds/1',
    },
    {
      round: 2,
      student: 'resnet20',
      parameters: 272474,
      selection: { top1: 0.801, interval: 0.026, count: 200 },
      test: { top1: 0.79 },
      seconds: 131,
      gain: { mean: 0.036, interval: 0.02 },
      helped: true,
      run: 'rounds/2',
    },
    {
      round: 3,
      student: 'resnet56',
      parameters: 855770,
      selection: { top1: 0.796, interval: 0.027, count: 200 },
      test: { top1: 0.8 },
      seconds: 402,
      gain: { mean: -0.005, interval: 0.015 },
      helped: false,
      run: 'rounds/3',
    },
  ],
};

const ladder: LadderFile = {
  kept: 'fixmatch',
  budgetMinutes: 30,
  seconds: 812,
  rungs: [
    {
      name: 'probe',
      what: 'head on frozen features',
      model: 'mobilenetv2',
      parameters: 2236682,
      selection: { top1: 0.75, interval: 0.03 },
      test: { top1: 0.743 },
      kept: true,
      reason: 'first rung',
      seconds: 13,
      expectedSeconds: 15,
      run: 'rungs/1-probe',
    },
    {
      name: 'finetune',
      what: 'every weight, the backbone slowly',
      model: 'mobilenetv2',
      parameters: 2236682,
      selection: { top1: 0.792, interval: 0.028 },
      test: { top1: 0.781 },
      gain: { mean: 0.042, interval: 0.02 },
      kept: true,
      reason: 'helps by more than its interval',
      seconds: 140,
      expectedSeconds: 120,
      run: 'rungs/2-finetune',
    },
    {
      name: 'randaugment',
      what: 'fine-tuning with N=2, M=9',
      model: 'mobilenetv2',
      parameters: 2236682,
      selection: { top1: 0.785, interval: 0.028 },
      test: { top1: 0.788 },
      gain: { mean: -0.007, interval: 0.018 },
      kept: false,
      reason: 'within the noise',
      seconds: 151,
      expectedSeconds: 140,
      run: '../elsewhere',
    },
    {
      name: 'fixmatch',
      what: 'consistency under strong augmentation',
      model: 'mobilenetv2',
      parameters: 2236682,
      selection: { top1: 0.846, interval: 0.025 },
      test: { top1: 0.839 },
      gain: { mean: 0.054, interval: 0.022 },
      kept: true,
      reason: 'helps by more than its interval',
      seconds: 488,
      expectedSeconds: 450,
    },
    {
      name: 'distillation',
      what: 'into a small student',
      model: 'mobilenetv3-small',
      parameters: 1528106,
      selection: { top1: 0.838, interval: 0.025 },
      gain: { mean: -0.008, interval: 0.012 },
      kept: false,
      reason: 'smaller, but less accurate',
      seconds: 20,
    },
    {
      name: 'self-training',
      kept: false,
      skipped: true,
      reason: 'expected 22 min, 16 min are left',
      expectedSeconds: 1320,
    },
  ],
};

/** Writes a run at `folder`, with small images, and returns what its files hold. */
export async function writeTechniqueRun(
  folder: string,
  { classes, epochs, rounds, truth = true }: TechniqueRun,
): Promise<{
  readonly ladder: LadderFile;
  readonly students: RoundsFile;
  readonly labels: readonly PseudoLabelRound[];
}> {
  const random = new Random(3, 'technique-runs');
  const save = (name: string, value: unknown): Promise<void> => writeFile(join(folder, name), JSON.stringify(value));
  const shown = await writeImages(join(folder, 'images'), classes);
  await save('run.json', { command: 'learn', seed: 3 });
  const metrics = Array.from({ length: epochs }, (_, i) => ({
    type: 'epoch',
    epoch: i + 1,
    step: 10 * (i + 1),
    train: { loss: 2 / (i + 2), accuracy: 1 - 1 / (i + 2) },
    unlabelled: unlabelledEpoch(classes, (i + 1) / epochs, truth),
  }));
  await writeFile(join(folder, 'metrics.jsonl'), metrics.map((line) => JSON.stringify(line) + '\n').join(''));
  const labels = Array.from({ length: rounds }, (_, i) => pseudoLabelRound(i + 1, classes, shown, random, truth));
  if (rounds > 0) await save('pseudo-labels.json', { rounds: labels });
  await save('rounds.json', students);
  await save('ladder.json', ladder);
  await mkdir(join(folder, 'rungs/1-probe'), { recursive: true });
  await writeFile(join(folder, 'rungs/1-probe/report.html'), '');
  return { ladder, students, labels };
}

/** Six images of each class, one colour and a disc that grows; their paths by class. */
async function writeImages(images: string, classes: readonly string[]): Promise<Map<string, string[]>> {
  await mkdir(images, { recursive: true });
  const shown = new Map<string, string[]>();
  for (const [k, name] of classes.entries()) {
    const paths: string[] = [];
    for (let i = 0; i < 6; i++) {
      const path = join(images, `${k}-${i}.png`),
        colour = [0, 1, 2].map((c) => Math.floor(55 + 200 * ((Math.sin(k * 2.4 + c * 2.1) + 1) / 2)));
      const size = 40 + 20 * (i % 3);
      const data = Uint8Array.from({ length: size * 40 * 3 }, (_, p) =>
        Math.max(
          0,
          colour[p % 3]! -
            (((((p / 3) | 0) % size) - 14) ** 2 + (((p / 3 / size) | 0) - 20) ** 2 < 90 + 20 * i ? 90 : 0),
        ),
      );
      await writeFile(path, await encodePng(imageOf(size, 40, data)));
      paths.push(path);
    }
    shown.set(name, paths);
  }
  return shown;
}

/** A training at `progress` in (0, 1]: every second class is learned later. */
function unlabelledEpoch(classes: readonly string[], progress: number, truth: boolean): UnlabelledEpoch {
  const keptOf = (k: number): number =>
    Math.round(1000 * (1 - Math.exp(-progress * (1 + (5 * ((k * 7) % classes.length)) / classes.length)))) / 1000;
  const kept = classes.reduce((sum, _, k) => sum + keptOf(k), 0) / classes.length;
  return {
    kept,
    weight: 0.9 * kept,
    right: truth ? 0.99 - 0.08 * (1 - progress) : undefined,
    known: truth ? 2000 : undefined,
    perClass: Object.fromEntries(
      classes.map((name, k) => [name, { kept: keptOf(k), predicted: (1 + 0.5 * Math.sin(k)) / classes.length }]),
    ),
    thresholds: Object.fromEntries(classes.map((name, k) => [name, 0.95 * keptOf(k)])),
  };
}

function pseudoLabelRound(
  round: number,
  classes: readonly string[],
  shown: ReadonlyMap<string, readonly string[]>,
  random: Random,
  truth: boolean,
): PseudoLabelRound {
  const perClass = Object.fromEntries(
    classes.map((name, k) => {
      // The last of several classes is one that nobody predicts.
      const predicted = k > 1 && k === classes.length - 1 ? 0 : 20 + Math.floor(random.uniform() * 180),
        accepted = Math.round(predicted * (0.5 + 0.12 * round));
      const copies = predicted === 0 ? 0 : Math.max(accepted, 120);
      return [
        name,
        {
          predicted,
          accepted,
          copies,
          meanConfidence: predicted === 0 ? NaN : 0.7 + 0.05 * round,
          known: truth ? predicted : undefined,
          right: truth ? Math.round(predicted * 0.85) : undefined,
        },
      ];
    }),
  );
  const sum = (key: 'predicted' | 'accepted'): number =>
    Object.values(perClass).reduce((total, item) => total + item[key], 0);
  const total = sum('predicted'),
    accepted = sum('accepted');
  const histogram = [0, 2, 4, 6, 8, 10, 12, 14, 18, 26].map((share) => Math.round((share * total) / 100));
  const paths = [...shown.values()].flat();
  return {
    round,
    teacher: `runs/flowers/rounds/${round - 1}`,
    threshold: 0.6,
    total,
    accepted,
    meanConfidence: 0.74 + 0.04 * round,
    histogram,
    acceptedHistogram: histogram.map((count, i) => (i < 6 ? 0 : count)),
    perClass,
    truth: truth
      ? {
          known: total,
          right: Math.round(total * (0.8 + 0.03 * round)),
          acceptedKnown: accepted,
          acceptedRight: Math.round(accepted * (0.88 + 0.03 * round)),
        }
      : undefined,
    samples: Object.fromEntries([...shown].filter(([name]) => perClass[name]!.predicted > 0)),
    doubtful: paths.filter((_, i) => i % 5 === 1).slice(0, 12),
    outOfDistribution: {
      count: 12,
      paths: [...paths.filter((_, i) => i % 7 === 3).slice(0, 6), join('gone', 'away.png')],
    },
  };
}
