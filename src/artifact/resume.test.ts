import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createOrtEngine } from '../engine/ort/index.js';
import { trainTiny } from '../testing/train-tiny.js';
import { loadCheckpoint, type Checkpoint } from './checkpoint.js';

const program = fileURLToPath(new URL('../testing/train-tiny.js', import.meta.url));
const epochs = 6;

/**
 * Runs the training in a process of its own, killed (kill -9) `delay` ms after the given step;
 * returns the last step it told of.
 */
const runAndKill = (folder: string, step: number, delay: number): Promise<number> =>
  new Promise((resolve) => {
    const child = fork(program, [folder, String(epochs)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    let last = 0;
    child.on('message', (done) => {
      last = done as number;
      if (last === step) setTimeout(() => child.kill('SIGKILL'), delay);
    });
    child.on('exit', () => resolve(last));
  });

test('resume: a run killed several times ends in the same bits as one that was not', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pupil-resume-'));
  const engine = await createOrtEngine({ threads: 1 });
  try {
    const finish = async (where: string): Promise<{ last: Checkpoint; best: Checkpoint }> => {
      let steps = 0;
      for await (const event of trainTiny(engine, where, epochs)) if (event.type === 'step') steps = event.step;
      assert.equal(steps, epochs * 4);
      return { last: await loadCheckpoint(where), best: await loadCheckpoint(where, 'best') };
    };
    const whole = await finish(join(folder, 'whole'));
    const killed = join(folder, 'killed');
    for (const [step, delay] of [
      [3, 0],
      [9, 4],
      [14, 9],
    ] as const) {
      const reached = await runAndKill(killed, step, delay);
      assert.ok(reached >= step && reached < epochs * 4, `killed after step ${reached}`);
    }
    const resumed = await finish(killed);
    for (const which of ['last', 'best'] as const) {
      const timeless = ({ meta }: Checkpoint): unknown => ({ ...(meta as object), seconds: 0 });
      assert.deepEqual(timeless(resumed[which]), timeless(whole[which]));
      assert.deepEqual([...resumed[which].tensors.keys()], [...whole[which].tensors.keys()]);
      for (const [name, { data }] of whole[which].tensors)
        assert.deepEqual(resumed[which].tensors.get(name)!.data, data, name);
    }
  } finally {
    await engine.close();
    await rm(folder, { recursive: true });
  }
});
