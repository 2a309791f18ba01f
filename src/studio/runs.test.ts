import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { noisePng, temporaryFolder, writeTree } from '../testing/image-files.js';
import { ask, openStudio, openWindow, type Window } from '../testing/studio-client.js';
import { insects, label, model, skip, truth, until } from '../testing/studio-photos.js';
import type { Failure, Folder, RunDetail, RunState, RunSummary, StudioImage } from './protocol.js';

const main = fileURLToPath(new URL('../cli/main.js', import.meta.url));

const stateOf = (window: Window, state: RunState): Promise<RunDetail> =>
  until(
    () => window.get<RunDetail>('/api/runs/train-1'),
    (run) => run.state === state,
  );

test(
  'a run stops and goes on; when it is killed it says so; it goes on when the studio is opened again',
  { skip },
  async (t) => {
    const folder = await insects(t, 8);
    const program = spawn(process.execPath, [main, 'studio', folder, '--model', model, '--no-open', '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => program.kill('SIGKILL'));
    const ended = new Promise((resolve) => program.once('exit', resolve));
    const line = await new Promise<Buffer>((resolve) => program.stdout.once('data', resolve));
    const first = await openWindow((JSON.parse(line.toString()) as { address: string }).address);
    await until(
      () => first.get<Folder>('/api/folder'),
      ({ backbone }) => backbone !== null,
    );
    const images = await first.get<StudioImage[]>('/api/images');
    await label(
      first,
      images.map((image) => ({ id: image.id, to: truth(image) })),
    );
    const options = { mode: 'finetune', epochs: 500, folds: 2 };
    const begun = await first.post<RunSummary>('/api/runs', { command: 'train', options });
    assert.equal(begun.status, 200, JSON.stringify(begun.value));
    const isTraining = (window: Window): Promise<RunDetail> =>
      until(
        () => window.get<RunDetail>('/api/runs/train-1'),
        ({ state, curve }) => state === 'running' && curve.length > 0,
      );
    await isTraining(first);
    await first.post('/api/runs/train-1/stop', {});
    const stopped = await stateOf(first, 'stopped');
    assert.ok(stopped.curve.length > 0);
    await first.post('/api/runs/train-1/resume', {});
    await isTraining(first);

    const run = join(folder, '.pupil/runs/train-1');
    const lock = readdirSync(run).find((name) => name.startsWith('lock-'))!;
    process.kill((JSON.parse(readFileSync(join(run, lock), 'utf8')) as { pid: number }).pid, 'SIGKILL');
    const killed = await stateOf(first, 'failed');
    assert.match(killed.message!, /\(SIGKILL\); .* resume it/);
    await first.post('/api/runs/train-1/resume', {});
    await isTraining(first);

    program.kill('SIGINT');
    assert.equal(await ended, 130);
    const { window } = await openStudio(t, { folder, model });
    await isTraining(window);
    await window.post('/api/runs/train-1/stop', {});
    await stateOf(window, 'stopped');
  },
);

test('a training that waited when the studio was killed goes on with the labels of then', async (t) => {
  const folder = await temporaryFolder(t);
  const names = Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? `cat/${i}.png` : `dog/${i}.png`));
  const asked = { command: 'train', options: { mode: 'scratch', epochs: 1, size: 32, folds: 0 } };
  const rows = names.map((name) => `../../${name},${name.slice(0, 3)}`);
  await writeTree(folder, {
    ...Object.fromEntries(names.map((name, i) => [name, i])),
    '.pupil/going.json': JSON.stringify([
      { name: 'train-3', asked },
      { name: 'train-5', asked },
    ]),
    '.pupil/data/train-5.csv': ['path,label', ...rows.slice(0, 8), ''].join('\n'),
  });
  const { window } = await openStudio(t, { folder, model: 'hf:nobody/nothing-here' });
  for (const name of ['train-3', 'train-5']) {
    const run = await until(
      async () => (await window.get<RunSummary[]>('/api/runs')).find((one) => one.name === name),
      (one) => one?.state === 'finished' || one?.state === 'failed',
      180,
    );
    assert.equal(run?.state, 'finished', run?.message);
  }
  const rowsOf = (name: string): number =>
    readFileSync(join(folder, `.pupil/data/${name}.csv`), 'utf8')
      .trim()
      .split('\n').length - 1;
  assert.deepEqual(['train-3', 'train-5'].map(rowsOf), [12, 8]);
});

test('a training that cannot be written down is refused, and waits for nothing', async (t) => {
  const folder = await temporaryFolder(t);
  const names = Array.from({ length: 8 }, (_, i) => (i % 2 === 0 ? `cat/${i}.png` : `dog/${i}.png`));
  // Where a file of the studio would be stands a folder: it cannot be written.
  await writeTree(folder, { ...Object.fromEntries(names.map((name, i) => [name, i])), '.pupil/going.json/in.txt': '' });
  const { window, ready } = await openStudio(t, { folder, model: 'hf:nobody/nothing-here' });
  await ready;
  const asked = { command: 'train', options: { mode: 'scratch', epochs: 1, size: 32, folds: 0 } };
  const start = () => window.post<Partial<Failure>>('/api/runs', asked);
  const { status, value } = await start();
  assert.equal(status, 500);
  assert.match(value.error!.message, /going\.json/);
  assert.deepEqual(await window.get<RunSummary[]>('/api/runs'), []);
  await rm(join(folder, '.pupil/going.json'), { recursive: true });
  assert.equal((await start()).status, 200);
  assert.equal((await stateOf(window, 'finished')).message, undefined);
});

test('a folder that is gone is not made anew by what is written to it', async (t) => {
  const folder = join(await temporaryFolder(t), 'photos');
  await writeTree(folder, { 'cat/1.png': 1, 'cat/2.png': 2, 'dog/3.png': 3, 'dog/4.png': 4 });
  const { window, ready } = await openStudio(t, { folder, model: 'hf:pupil-tests/no-such-model' });
  await ready;
  const { cookie, port } = window;
  const headers = { cookie, 'origin': `http://127.0.0.1:${port}`, 'content-type': 'application/octet-stream' };
  const body = await noisePng(5);
  await rename(folder, `${folder} away`);
  try {
    const options = { mode: 'scratch' };
    const started = await window.post<Failure>('/api/runs', { command: 'train', options });
    assert.match(started.value.error.message, /^photos: the folder is gone/);
    const added = await ask(port, '/api/add?path=a.png', { method: 'POST', headers, body });
    assert.match(added.text, /"photos: the folder is gone/);
    const changes = [{ id: 0, was: 'cat', to: 'dog', source: 'person' }];
    assert.ok((await window.post('/api/labels', changes)).status >= 400);
    assert.equal(existsSync(folder), false);
  } finally {
    await rename(`${folder} away`, folder);
  }
});
