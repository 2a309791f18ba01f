// Whole commands against PyTorch programs that do the same (peers/job.py), from the start of the
// process to its end: flowers on the weights of the same ONNX file, decoding and augmentation
// included.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ratio, fastest } from '../harness/alternate.js';
import { passive, python } from '../harness/child.js';
import { alternateCommands, cli, shared, workers } from '../harness/command.js';
import { summary } from '../harness/statistics.js';

const script = fileURLToPath(new URL('../peers/job.py', import.meta.url));
const engines = {
  'pupil ort': ['--engine', 'ort'],
  'pupil onednn': ['--engine', 'onednn', '--precision', 'f32'],
  'pupil onednn bf16': ['--engine', 'onednn', '--precision', 'bf16'],
};

function commands(folder, { mode, epochs, theirEpochs = epochs, threads, seed = 0, place }) {
  const data = join(folder, 'data', 'flowers'),
    model = join(folder, 'models', 'mobilenetv2-1.0-224.onnx');
  // A probe's head is solved in float32 only.
  const mine = Object.fromEntries(
    Object.entries(engines)
      .filter(([name]) => mode !== 'probe' || !name.endsWith('bf16'))
      .map(([name, words]) => [
        name,
        {
          command: process.execPath,
          words: (round) => [
            cli,
            'train',
            data,
            '--mode',
            mode,
            '--model',
            model,
            '--normalize',
            'symmetric',
            '--report-on',
            'val',
            ...(mode === 'finetune' ? ['--epochs', String(epochs)] : []),
            '--threads',
            String(threads),
            '--seed',
            String(seed),
            '--json',
            '--out',
            join(place, `${name.replaceAll(' ', '-')}-${round}-${seed}`),
            ...words,
          ],
        },
      ]),
  );
  const theirs = Object.fromEntries(
    (mode === 'probe' ? ['f32'] : ['f32', 'bf16']).map((precision) => [
      `torch ${precision} channels_last`,
      {
        // Threads that sleep while they wait leave the cores to the loader's processes.
        command: python,
        environment: passive,
        words: [
          script,
          JSON.stringify({
            work: mode,
            data,
            model,
            epochs: theirEpochs,
            threads,
            workers,
            batch: 32,
            precision,
            seed,
          }),
        ],
      },
    ]),
  );
  return { ...theirs, ...mine };
}

const parse = (output) => JSON.parse(output.trim().split('\n').at(-1));
const top1 = (output) => {
  const result = parse(output);
  return (result.val ?? result.test ?? result).top1;
};

async function inFolder(work) {
  const folder = shared();
  if (folder === undefined)
    return { missing: 'no ../shared/data (docs/results.md); PUPIL_SHARED names another folder' };
  const place = mkdtempSync(join(tmpdir(), 'pupil-bench-'));
  try {
    return await work(folder, place);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/** Kept: times and accuracies, not what was printed. */
const withoutOutputs = (variants) =>
  Object.fromEntries(
    Object.entries(variants).map(([name, { outputs, ...rest }]) => [
      name,
      outputs ? { ...rest, top1: outputs.map(top1) } : rest,
    ]),
  );

function comparisons(variants, wanted) {
  return wanted.map(({ ours, precision, goal }) => {
    const theirs = `torch ${precision} channels_last`;
    const missing = variants[ours]?.error ?? variants[theirs]?.error;
    return {
      ours,
      theirs,
      goal,
      ...(missing === undefined
        ? {
            ratio: ratio(variants[theirs], variants[ours]),
            processorRatio: ratio(variants[theirs], variants[ours], 'processor'),
          }
        : { missing }),
    };
  });
}

const peerEpochs = 20;

/**
 * Ours computes features once and solves the head; a plain loop decodes and runs the backbone in
 * each of its 20 epochs.
 */
const probe = {
  name: 'job-probe',
  group: 'job',
  title: "frozen backbone: flowers to the head's optimum",
  measure: ({ rounds, threads, log }) =>
    inFolder(async (folder, place) => {
      const variants = await alternateCommands(commands(folder, { mode: 'probe', theirEpochs: 1, threads, place }), {
        rounds: Math.min(rounds, 3),
        log,
      });
      const theirs = variants['torch f32 channels_last'];
      if (theirs.error === undefined) {
        // One epoch was timed: the other 19 last as long, the start and the report do not repeat.
        const { wall, processor } = theirs.rounds;
        const more = wall.map((_, i) => (peerEpochs - 1) * parse(theirs.outputs[i]).epochSeconds[0]);
        theirs.rounds = {
          wall: wall.map((time, i) => time + more[i]),
          processor: processor.map((time, i) => time * (1 + more[i] / wall[i])),
        };
      }
      const title = `frozen backbone to the head's optimum, against ${peerEpochs} epochs of PyTorch (one timed)`;
      return finish(title, variants, [
        { ours: fastest(variants, Object.keys(engines)) ?? 'pupil onednn', precision: 'f32', goal: 10 },
      ]);
    }),
};

function finish(title, variants, wanted) {
  for (const entry of Object.values(variants)) {
    if (entry.rounds)
      Object.assign(entry, { wall: summary(entry.rounds.wall), processor: summary(entry.rounds.processor) });
  }
  return { title, unit: 's', comparisons: comparisons(variants, wanted), variants: withoutOutputs(variants) };
}

const goals = [
  { ours: 'pupil ort', precision: 'f32', goal: 1.0 },
  { ours: 'pupil onednn', precision: 'f32', goal: 1.3 },
  { ours: 'pupil onednn bf16', precision: 'f32', goal: 2.0 },
  { ours: 'pupil onednn bf16', precision: 'bf16', goal: 1.2 },
];

const finetune = {
  name: 'job-finetune',
  group: 'job',
  long: true,
  title: 'fine-tuning on flowers, one epoch, from the start of the process to the finished run',
  measure: ({ threads, log }) =>
    inFolder(async (folder, place) => {
      const variants = await alternateCommands(commands(folder, { mode: 'finetune', epochs: 1, threads, place }), {
        rounds: 2,
        log,
      });
      return finish('fine-tuning, 1 epoch', variants, goals);
    }),
};

/** Long: only when it is named. */
const accuracy = {
  name: 'accuracy-finetune',
  group: 'job',
  named: true,
  title: 'fine-tuning on flowers, five epochs, with the accuracy',
  measure: ({ threads, log }) =>
    inFolder(async (folder, place) => {
      const variants = await alternateCommands(commands(folder, { mode: 'finetune', epochs: 5, threads, place }), {
        rounds: 1,
        log,
      });
      return finish('fine-tuning, 5 epochs', variants, goals);
    }),
};

export const jobRows = [probe, finetune, accuracy];
