import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { noisePng, temporaryFolder } from '../testing/image-files.js';
import { createLookers } from './lookers.js';
import { projectApi } from './project-api.js';
import type { Project } from './project.js';

test('while a label is written, only images are decoded that somebody waits to see', { timeout: 60_000 }, async (t) => {
  const folder = await temporaryFolder(t);
  const request = (name: string) => ({ path: join(folder, 'noise.png'), name, to: join(folder, `${name}.jpg`) });
  await writeFile(join(folder, 'noise.png'), await noisePng(1));
  const lookers = createLookers();
  t.after(() => lookers.close());
  const made: string[] = [];
  const look = async (key: string, isUrgent = false): Promise<void> => {
    await lookers.look(request(key), { key, isUrgent });
    made.push(key);
  };
  let write = (): void => undefined;
  const label = lookers.yieldTo(new Promise<void>((resolve) => (write = resolve)));
  const all = ['1', '2', '3'].map((key) => look(key));
  const urgent = look('urgent', true);
  lookers.hurry('3');
  await Promise.all([urgent, all[2]]);
  await setTimeout(300);
  assert.deepEqual([...made].sort(), ['3', 'urgent']);
  write();
  await label;
  await Promise.all(all);
  assert.equal(made.length, 4);
  await assert.rejects(lookers.yieldTo(Promise.reject(new Error('the disk is full'))), /the disk is full/);
  await look('after a label that failed');
});

test('thumbnails wait for a label from its arrival until it is saved', async () => {
  const heard: string[] = [];
  const images = {
    paths: ['1.jpg'],
    async yieldTo<T>(work: Promise<T>): Promise<T> {
      heard.push('held');
      return await work.finally(() => heard.push('free'));
    },
  };
  const labels = {
    async change() {
      await setTimeout(20);
      heard.push('saved');
      return { version: 1 };
    },
  };
  const project = { images, labels, attached: Promise.resolve() } as unknown as Project;
  const answer = await projectApi(project, () => ({ at: '', canChoose: false })).request('/api/labels', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify([{ id: 0, was: null, to: 'ants', source: 'person' }]),
  });
  assert.equal(answer.status, 200, await answer.text());
  assert.deepEqual(heard, ['held', 'saved', 'free']);
});
