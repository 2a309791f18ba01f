// How long it takes until something happens: the command line's help, and a training session of
// ResNet-50.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { start as startChild, python } from '../harness/child.js';
import { alternateCommands, cli } from '../harness/command.js';
import { round } from '../harness/statistics.js';

const help = {
  name: 'start-help',
  group: 'start',
  title: 'pupil --help, from the start of the process to its end',
  async measure({ rounds, log }) {
    const results = await alternateCommands(
      {
        'pupil --help': { command: process.execPath, words: [cli, '--help'] },
        'import torch': { command: python, words: ['-c', 'import torch'] },
      },
      { rounds: 2 * rounds, log },
    );
    for (const entry of Object.values(results)) delete entry.outputs;
    return { title: 'pupil --help', unit: 's', variants: results, limits: [{ ours: 'pupil --help', goal: 0.3 }] };
  },
};

/** One session in a fresh process; `folder` keeps the choices that were timed. */
async function session(job, folder) {
  const child = await startChild(job, { environment: { PUPIL_CACHE: folder } });
  if (child.error !== undefined) return { error: child.error };
  try {
    const {
      wall: [wall],
      processor: [processor],
    } = await child.ask({ steps: 1 });
    return { wall: wall / 1000, processor: processor / 1000 };
  } catch (error) {
    return { error: error.message };
  } finally {
    await child.close();
  }
}

/**
 * From weights in memory to where the first batch could be fed. The first time on a machine,
 * choices of convolutions are timed.
 */
const creation = {
  name: 'start-session',
  group: 'start',
  title: 'creating the training session of ResNet-50 (224x224, batch 16)',
  async measure({ rounds, threads, log }) {
    const variants = {};
    const kinds = [
      ['pupil ort', { engine: 'ort' }],
      ['pupil onednn', { engine: 'onednn' }],
      ['pupil onednn bf16', { engine: 'onednn', precision: 'bf16' }],
    ];
    const folders = Object.fromEntries(kinds.map(([name]) => [name, mkdtempSync(join(tmpdir(), 'pupil-bench-'))]));
    try {
      const turns = {};
      for (let turn = 0; turn <= rounds; turn++) {
        for (const [name, options] of kinds) {
          const result = await session(
            { work: 'session', model: 'resnet50', size: 224, batch: 16, classes: 1000, threads, ...options },
            folders[name],
          );
          log(`  ${name}: ${result.error ?? `${result.wall.toFixed(2)} s`}`);
          const entry = (turns[turn === 0 ? `${name}, the first time` : name] ??= []);
          entry.push(result);
        }
      }
      for (const [name, list] of Object.entries(turns)) {
        const error = list.find((one) => one.error)?.error;
        if (error !== undefined) {
          variants[name] = { error };
          continue;
        }
        const of = (clock) => list.map((one) => round(one[clock])).sort((a, b) => a - b);
        variants[name] = Object.fromEntries(
          ['wall', 'processor'].map((clock) => [
            clock,
            { median: of(clock)[of(clock).length >> 1], spread: [of(clock)[0], of(clock).at(-1)] },
          ]),
        );
      }
    } finally {
      for (const folder of Object.values(folders)) rmSync(folder, { recursive: true, force: true });
    }
    return {
      title: 'training session of ResNet-50',
      unit: 's',
      variants,
      limits: kinds.map(([name]) => ({ ours: name, goal: 2 })),
    };
  },
};

export const startRows = [help, creation];
