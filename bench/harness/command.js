import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { summary } from './statistics.js';

export const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Images and weights that are no part of the project (docs/results.md), or undefined. */
export function shared() {
  const folder = process.env.PUPIL_SHARED ?? fileURLToPath(new URL('../../../shared', import.meta.url));
  return existsSync(join(folder, 'data')) ? folder : undefined;
}

const seconds = (text) => {
  const [, minutes, rest] = /^(\d+)m([\d.]+)s?$/.exec(text);
  return 60 * Number(minutes) + Number(rest);
};

/**
 * Runs a command to its end. Gives what it printed, the seconds by the clock and of the processor,
 * with those of all its children: a shell's `times` tells them. Throws with the last line of
 * complaint when it fails.
 */
export async function runCommand(command, words, environment = {}) {
  const script = '"$@"; code=$?; times >&2; exit $code';
  const from = performance.now();
  const child = spawn('/bin/sh', ['-c', script, 'sh', command, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  let output = '',
    complaint = '';
  child.stdout.on('data', (text) => {
    output += text;
  });
  child.stderr.on('data', (text) => {
    complaint = (complaint + text).slice(-8000);
  });
  const [code] = await once(child, 'close');
  const wall = (performance.now() - from) / 1000;
  const lines = complaint.trim().split('\n');
  if (code !== 0)
    throw new Error(
      `${command} ended with ${code}: ${lines.slice(0, -2).at(-1) ?? ''} ${output.trim().split('\n').at(-1)}`.trim(),
    );
  const processor = lines
    .at(-1)
    .trim()
    .split(/\s+/)
    .reduce((sum, text) => sum + seconds(text), 0);
  return { output, wall, processor };
}

/**
 * Commands in turns, `rounds` times each: by name `{wall, processor, rounds, outputs}` in seconds,
 * or `{error}`. `scale` multiplies the times of a command which does a part of the work.
 */
export async function alternateCommands(commands, { rounds, log = () => undefined }) {
  const turns = Object.fromEntries(
    Object.keys(commands).map((name) => [name, { wall: [], processor: [], outputs: [] }]),
  );
  for (let round = 0; round < rounds; round++) {
    for (const [name, { command, words, environment }] of Object.entries(commands)) {
      const entry = turns[name];
      if (entry.error !== undefined) continue;
      try {
        const { output, wall, processor } = await runCommand(
          command,
          typeof words === 'function' ? words(round) : words,
          environment,
        );
        entry.wall.push(wall);
        entry.processor.push(processor);
        entry.outputs.push(output);
        log(`  ${name}: ${wall.toFixed(2)} s, ${processor.toFixed(2)} s of the processor`);
      } catch (error) {
        entry.error = error.message;
        log(`  ${name}: ${error.message}`);
      }
    }
  }
  return Object.fromEntries(
    Object.entries(turns).map(([name, { wall, processor, outputs, error }]) => [
      name,
      error === undefined
        ? { wall: summary(wall), processor: summary(processor), rounds: { wall, processor }, outputs }
        : { error },
    ]),
  );
}

/** Threads that decode beside the ones that compute, on both sides. */
export const workers = Math.min(2, availableParallelism());
