import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDataset } from '../data/dataset.js';
import { readManifest } from '../data/manifest.js';
import { Random } from '../random.js';
import { temporaryFolder, writeTree } from '../testing/image-files.js';
import { openStudio, openWindow } from '../testing/studio-client.js';
import type { CheckQueues, Folder, LabelAnswer, LabelChange, Labels, Proposal, StudioImage } from './protocol.js';

const change = (id: number, was: string | null, to: LabelChange['to']): LabelChange => ({
  ...{ id, was, to },
  source: 'person',
});

test('labels are in labels.csv at once, which pupil learn reads without a word', async (t) => {
  const folder = await temporaryFolder(t);
  await writeTree(folder, { '1.png': 1, '2, "two".png': 2, 'é/3.png': 3, '=4.png': 4 });
  const { window } = await openStudio(t, { folder });
  const images = await window.get<StudioImage[]>('/api/images');
  assert.equal(images.length, 4);
  const { version } = await window.get<Labels>('/api/labels');
  const made = await window.post<LabelAnswer>('/api/labels', [
    ...images.slice(0, 2).map(({ id }) => change(id, null, 'daisy')),
    change(images[2]!.id, null, 'rose, red'),
    change(images[3]!.id, null, { skip: true }),
  ]);
  assert.equal(made.status, 200);
  assert.ok(made.value.version > version);
  const text = await readFile(join(folder, 'labels.csv'), 'utf8');
  assert.ok(text.startsWith('\ufeffpath,label,source,random\n'), 'Excel takes it for UTF-8');
  const { classes, samples, notes } = await openDataset(join(folder, 'labels.csv'));
  assert.deepEqual(classes, ['daisy', 'rose, red']);
  assert.deepEqual(
    samples.map(({ label }) => label).sort((a, b) => a - b),
    [-1, 0, 0, 1],
  );
  assert.deepEqual(notes, []);
  const answer = await window.get<Labels>('/api/labels');
  assert.deepEqual(answer.skipped, [images[3]!.id]);
});

test('two windows do not overwrite each other, and nothing of a refused request is written', async (t) => {
  const folder = await temporaryFolder(t);
  await writeTree(folder, { '1.png': 1, '2.png': 2 });
  const { window } = await openStudio(t, { folder });
  await window.get('/api/images');
  await window.post('/api/labels', [change(0, null, 'a')]);
  const late = await window.post<LabelAnswer>('/api/labels', [change(1, null, 'b'), change(0, null, 'b')]);
  assert.equal(late.status, 409);
  assert.deepEqual(late.value.conflicts, [{ id: 0, now: 'a' }]);
  assert.deepEqual(
    (await window.get<Labels>('/api/labels')).labels.map(({ id, label }) => [id, label]),
    [[0, 'a']],
  );
});

test('class folders give labels, classes keep their order, and a studio that is opened again knows all', async (t) => {
  const folder = await temporaryFolder(t);
  await writeTree(folder, { 'wasp/1.png': 1, 'bee/2.png': 2, 'bee/3.png': 3 });
  const first = await openStudio(t, { folder });
  const images = await first.window.get<StudioImage[]>('/api/images');
  const before = await first.window.get<Labels>('/api/labels');
  assert.deepEqual(
    before.labels.map(({ id, label, source }) => [images[id]!.path, label, source]).sort((a, b) => (a < b ? -1 : 1)),
    [
      ['bee/2.png', 'bee', 'folder'],
      ['bee/3.png', 'bee', 'folder'],
      ['wasp/1.png', 'wasp', 'folder'],
    ],
  );
  await first.window.post('/api/classes', { add: 'ant' });
  await first.window.post('/api/labels', [change(0, 'bee', null)]);
  assert.equal((await first.window.post('/api/classes', { remove: 'wasp' })).status, 400);
  await first.window.post('/api/classes', { rename: 'wasp', to: 'hornet' });
  await first.close();
  const again = await openStudio(t, { folder });
  await again.window.get('/api/images');
  const after = await again.window.get<Labels>('/api/labels');
  assert.deepEqual(after.classes, ['bee', 'hornet', 'ant']);
  assert.deepEqual(
    new Set(after.labels.map(({ label }) => label)),
    new Set(['bee', 'hornet']),
    'what was taken away stays away',
  );
});

test('what others wrote to labels.csv meanwhile is kept beside it, and so are their columns', async (t) => {
  const folder = await temporaryFolder(t);
  await writeTree(folder, { '1.png': 1, 'labels.csv': 'path,label,place\n1.png,cat,garden\n' });
  const { window } = await openStudio(t, { folder });
  await window.get('/api/images');
  const text = '\ufeffpath,label,place\n1.png,dog,house\n';
  await writeFile(join(folder, 'labels.csv'), text);
  await window.post('/api/labels', [change(0, 'cat', 'bird')]);
  assert.match(await readFile(join(folder, 'labels.csv'), 'utf8'), /1\.png,bird,person,,garden/);
  const { readdir } = await import('node:fs/promises');
  const kept = (await readdir(join(folder, '.pupil'))).find((name) => name.startsWith('labels-'));
  assert.equal(await readFile(join(folder, '.pupil', kept!), 'utf8'), text);
});

test('without a network the images to label are drawn at random, and remembered as such', async (t) => {
  const folder = await temporaryFolder(t);
  await writeTree(folder, Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`${i}.png`, i])));
  const { window } = await openStudio(t, { folder, model: 'hf:nobody/nothing-here' });
  const images = await window.get<StudioImage[]>('/api/images');
  const proposed = await window.get<Proposal[]>('/api/next?count=4');
  assert.deepEqual(new Set(proposed.map(({ why }) => why)), new Set(['random']));
  assert.equal(new Set(proposed.map(({ id }) => id)).size, 4);
  assert.deepEqual(await window.get<Proposal[]>('/api/next?count=4'), proposed, 'those that wait come first');
  await window.post('/api/labels', [change(proposed[0]!.id, null, 'a')]);
  assert.deepEqual(
    (await window.get<Labels>('/api/labels')).labels.map(({ random }) => random),
    [true],
  );
  // Somebody who trains on the list is told of the same sample: it ends before the second one, which waits.
  await window.post('/api/labels', [change(proposed[2]!.id, null, 'a')]);
  const { placed } = await readManifest(join(folder, 'labels.csv'));
  assert.deepEqual(
    placed.filter(({ drawn }) => drawn).map(({ entry }) => entry.path),
    images.filter(({ id }) => id === proposed[0]!.id).map(({ path }) => path),
  );
});

test('a suggestion that was accepted becomes a label of the person who keeps it in a check', async (t) => {
  const folder = await temporaryFolder(t);
  await writeTree(folder, { 'one.png': 1, 'two.png': 2 });
  const { window } = await openStudio(t, { folder });
  await window.get('/api/images');
  await window.post(
    '/api/labels',
    [0, 1].map((id) => ({ id, was: null, to: 'cat', source: 'accepted' })),
  );
  const { status } = await window.post('/api/check', { queue: 'labels', id: 1, decision: 'keep' });
  assert.equal(status, 200);
  await window.post('/api/check', { queue: 'alike', id: 0, decision: 'keep' });
  assert.match(await readFile(join(folder, 'labels.csv'), 'utf8'), /one\.png,cat,accepted,\ntwo\.png,cat,person,\n/);
});

test('a keep is taken back: the question comes again, and the label is of who gave it', async (t) => {
  const folder = await temporaryFolder(t);
  await writeTree(folder, { 'one.png': 1, 'two.png': 1 });
  const { window, ready, close } = await openStudio(t, { folder });
  await ready;
  const pairs = async (from = window): Promise<number> => (await from.get<CheckQueues>('/api/check')).alike.length;
  assert.equal(await pairs(), 1);
  await window.post('/api/check', { queue: 'alike', id: 1, decision: 'keep' });
  await window.post('/api/labels', [{ id: 0, was: null, to: 'cat', source: 'accepted' }]);
  await window.post('/api/check', { queue: 'labels', id: 0, decision: 'keep' });
  const back = { kept: 'cat', source: 'accepted' };
  await window.post('/api/check', { queue: 'labels', id: 0, decision: back });
  const list = (): Promise<string> => readFile(join(folder, 'labels.csv'), 'utf8');
  assert.match(await list(), /one\.png,cat,accepted,\n/);
  // Another window has given another label meanwhile, which is its person's.
  await window.post('/api/labels', [change(0, 'cat', 'dog')]);
  await window.post('/api/check', { queue: 'labels', id: 0, decision: back });
  assert.match(await list(), /one\.png,dog,person,\n/);
  assert.equal((await window.post('/api/check', { queue: 'labels', id: 0, decision: { kept: 1 } })).status, 400);
  // Two are asked about as long as neither is kept, also by a studio that is opened again.
  await window.post('/api/check', { queue: 'alike', id: 1, decision: { kept: null, source: 'person' } });
  assert.equal(await pairs(), 1);
  await close();
  const again = await openStudio(t, { folder });
  await again.ready;
  assert.equal(await pairs(again.window), 1);
});

test('labels that are sent again are made once, also after the server was killed, over no newer ones', async (t) => {
  const folder = await temporaryFolder(t);
  await writeTree(folder, { '1.png': 1, '2.png': 2 });
  const { window, close } = await openStudio(t, { folder });
  const list = join(folder, 'labels.csv');
  const labelsOf = async ({ window: { get } }: { readonly window: typeof window }): Promise<(string | null)[]> => {
    await get('/api/images');
    const { labels } = await get<Labels>('/api/labels');
    return [0, 1].map((id) => labels.find((one) => one.id === id)?.label ?? null);
  };
  const send = (to: typeof window, step: string, changes: readonly LabelChange[], again = ''): Promise<number> =>
    to.post(`/api/labels?step=${step}${again}`, changes).then(({ status }) => status);
  const made = async (): Promise<number> =>
    (await readFile(join(folder, '.pupil/history.jsonl'), 'utf8')).split('\n').filter((line) => line !== '').length;
  assert.deepEqual(await labelsOf({ window }), [null, null]);
  const first = [change(0, null, 'a'), change(1, null, 'b')];
  assert.deepEqual(
    await Promise.all([send(window, 'step-one', first), send(window, 'step-one', first, '&again=1')]),
    [200, 200],
  );
  assert.equal(await made(), 1);
  // Another window takes one away: what is sent again does not bring it back, here or on a server started anew.
  await window.post('/api/labels', [change(0, 'a', null)]);
  assert.equal(await send(window, 'step-one', first, '&again=1'), 200);
  const kept = await readFile(list);
  assert.equal(await send(window, 'step-two', [change(1, 'b', { skip: true })]), 200);
  assert.equal(
    await send(window, 'step-two-b', [change(1, null, 'b')]),
    409,
    'what was set aside is not without a mark',
  );
  await close();
  const second = await openStudio(t, { folder });
  assert.deepEqual(await labelsOf(second), [null, null]);
  assert.equal(await send(second.window, 'step-one', first, '&again=1'), 200);
  assert.deepEqual(await labelsOf(second), [null, null]);
  assert.equal(await made(), 3);
  await second.close();
  // The server was killed between the history and the list: the step is made now.
  await writeFile(list, kept);
  const third = await openStudio(t, { folder });
  assert.deepEqual(await labelsOf(third), [null, 'b']);
  assert.equal(await send(third.window, 'step-two', [change(1, 'b', { skip: true })], '&again=1'), 200);
  assert.deepEqual((await third.window.get<Labels>('/api/labels')).skipped, [1]);
  assert.equal(await send(third.window, 'no%20key', first), 400);
  // What cannot be written is not made, and is taken once it can.
  const history = join(folder, '.pupil/history.jsonl');
  await rename(history, `${history}.aside`);
  await mkdir(history);
  assert.equal(await send(third.window, 'step-three', [change(0, null, 'c')]), 500);
  assert.deepEqual(await labelsOf(third), [null, null]);
  await rm(history, { recursive: true });
  assert.equal(await send(third.window, 'step-three', [change(0, null, 'c')], '&again=1'), 200);
  assert.match(await readFile(list, 'utf8'), /^1\.png,c,person,$/m);
});

test('a studio that is opened again is where it was before', async (t) => {
  const folder = await temporaryFolder(t);
  const first = await openStudio(t, { folder });
  const { identity, key } = await first.window.get<Folder>('/api/folder');
  await first.close();
  const second = await openStudio(t, { folder });
  assert.equal(second.window.port, first.window.port);
  const now = await second.window.get<Folder>('/api/folder');
  assert.equal(now.identity, identity);
  assert.notEqual(now.key, key);
  const { window: other } = await openStudio(t, { folder: await temporaryFolder(t) });
  assert.notEqual((await other.get<Folder>('/api/folder')).identity, identity);
  assert.notEqual(other.port, first.window.port);
});

/** PUPIL_KILLS=100 kills more often. */
const kills = Number(process.env['PUPIL_KILLS'] ?? 20);

test(`a server that is killed ${kills} times while labels come has lost none that it acknowledged`, async (t) => {
  const folder = await temporaryFolder(t);
  await writeTree(folder, Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`${i}.png`, i])));
  const script = `
    import { startStudio } from ${JSON.stringify(new URL('./server.js', import.meta.url).href)};
    const { address } = await startStudio({ folder: ${JSON.stringify(folder)}, model: 'hf:nobody/nothing-here' });
    console.log(address);`;
  const random = new Random(1, 'kills');
  const acknowledged = new Map<number, string>();
  for (let round = 0; round < kills; round++) {
    const server = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise((resolve) => server.once('exit', resolve));
    const address = await new Promise<string>((resolve) =>
      server.stdout.once('data', (text: Buffer) => resolve(text.toString().trim())),
    );
    const window = await openWindow(address);
    await window.get('/api/images');
    const { labels } = await window.get<Labels>('/api/labels');
    const now = new Map(labels.map(({ id, label }) => [id, label]));
    for (const [id, label] of acknowledged) assert.ok(now.get(id)! >= label, `round ${round}: image ${id}`);
    // Every other time while the first label is written.
    const kill = (): unknown => setTimeout(() => server.kill('SIGKILL'), random.integer(120));
    if (round % 2 === 0) kill();
    for (let step = 0; server.exitCode === null && server.signalCode === null; step++) {
      const id = step % 8,
        was = now.get(id) ?? null,
        // Grows, so that a later one is told from an earlier one.
        to = `label ${String(1000 * round + step).padStart(6, '0')}`;
      const answer = await window.post<LabelAnswer>('/api/labels', [change(id, was, to)]).catch(() => undefined);
      if (answer?.status !== 200) break;
      if (step === 0 && round % 2 === 1) kill();
      now.set(id, to);
      acknowledged.set(id, to);
    }
    await ended;
  }
  assert.ok(acknowledged.size > 0);
});
