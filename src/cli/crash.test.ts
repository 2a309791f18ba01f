import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { pupil } from '../testing/command-line.js';
import { temporaryFolder, writeTree } from '../testing/image-files.js';

const program = fileURLToPath(new URL('./main.js', import.meta.url));
const net = ['--mode', 'scratch', '--model', 'resnet8', '--engine', 'ort', '--threads', '1', '--workers', '1'];

/** A folder of a few images: its path. */
async function imagesIn(t: TestContext): Promise<string> {
  const folder = await temporaryFolder(t);
  await writeTree(folder, {
    ...{ 'data/train/a/1.png': 1, 'data/train/a/2.png': 2, 'data/train/b/1.png': 3, 'data/train/b/2.png': 4 },
    ...{ 'data/val/a/1.png': 5, 'data/val/b/1.png': 6 },
  });
  return folder;
}

/**
 * Loaded into every thread: the one that is named dies in its own way, those of images at once
 * unless they fill their memory, the engine's (what it is given is shared memory) and the main one when there is a run.
 */
const saboteur = `
const { isMainThread, workerData } = require('node:worker_threads');
const { existsSync } = require('node:fs');
const kind = isMainThread ? 'main' : workerData instanceof SharedArrayBuffer ? 'engine' : 'images';
const die = () => {
  if (process.env.HOW === 'exit') process.exit(7);
  if (process.env.HOW === 'throw') throw new Error('injected');
  if (process.env.HOW === 'reject') Promise.reject(new Error('injected'));
  if (process.env.HOW === 'abort') process.kill(process.pid, 'SIGABRT');
  const all = [];
  while (process.env.HOW === 'fill') all.push(new Array(1e5).fill(String(all.length)));
};
if (kind === process.env.CRASH) {
  const waiting = setInterval(() => {
    const atOnce = kind === 'images' && process.env.HOW !== 'fill';
    if (!atOnce && !existsSync('run/metrics.jsonl')) return;
    clearInterval(waiting);
    die();
  }, 1);
  waiting.unref();
}`;

const endings: readonly (readonly [kind: string, how: string, status: number | null, says: RegExp])[] = [
  ['images', 'throw', 1, /^pupil: an image worker failed: injected; [^\n]*$/m],
  ['engine', 'exit', 1, /^pupil: the engine ended with code 7; [^\n]*continue with pupil train --resume \S+run$/m],
  ['engine', 'throw', 1, /^pupil: the engine failed: injected; [^\n]*continue with pupil train --resume \S+run$/m],
  ['images', 'fill', 1, /^pupil: an image worker ran out of memory [^\n]*continue with pupil train --resume \S+run$/m],
  ['engine', 'fill', 1, /^pupil: the engine ran out of memory [^\n]*continue with pupil train --resume \S+run$/m],
  ['main', 'reject', 1, /^pupil: internal error: injected \([^\n]*pupil train --resume \S+run\)$/m],
  [
    'main',
    'abort',
    null,
    /^pupil: killed, or crashed in native code [^\n]*continue with pupil train --resume \S+run$/m,
  ],
];

for (const [kind, how, status, says] of endings) {
  const skip = process.platform === 'win32' && how === 'abort' && 'hardware: Windows has no signals';
  test(`a command in which ${kind} ${how}s ends with one line that says how to go on`, { skip }, async (t) => {
    const folder = await imagesIn(t);
    await writeFile(join(folder, 'saboteur.cjs'), saboteur);
    const ended = spawnSync(process.execPath, [program, 'train', 'data', ...net, '--epochs', '9999', '--out', 'run'], {
      cwd: folder,
      env: { ...process.env, NODE_OPTIONS: '--require ./saboteur.cjs --max-old-space-size=200', CRASH: kind, HOW: how },
      encoding: 'utf8',
      timeout: 120_000,
    });
    assert.deepEqual([ended.status, ended.signal], [status, status === null ? 'SIGABRT' : null], ended.stderr);
    assert.match(ended.stderr, says);
    assert.equal(ended.stderr.match(/^pupil: /gm)?.length, 1, ended.stderr);
  });
}

test('a run whose images were renamed or swapped does not go on', async (t) => {
  const folder = await imagesIn(t);
  const run = join(folder, 'run'),
    at = (name: string): string => join(folder, 'data/train', name);
  const trained = await pupil('train', join(folder, 'data'), ...net, '--epochs', '1', '--out', run);
  assert.equal(trained.code, 0, trained.err);
  const moves = [
    [['a/1.png', 'a/3.png']],
    [
      ['a/1.png', 'a/3.png'],
      ['a/2.png', 'a/1.png'],
      ['a/3.png', 'a/2.png'],
    ],
  ] as const;
  for (const steps of moves) {
    for (const [from, to] of steps) await rename(at(from), at(to));
    const { code, err } = await pupil('train', '--resume', run);
    assert.equal(code, 2);
    assert.match(
      err,
      /^pupil: the images in \S+data were renamed or swapped since .*restore them, or start a new run\n$/,
    );
    if (steps.length === 1) await rename(at('a/3.png'), at('a/1.png'));
  }
});
