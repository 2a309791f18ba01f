import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder, writeTree } from '../testing/image-files.js';
import { ask, openStudio, type Window } from '../testing/studio-client.js';
import { openDecisions } from './decisions.js';
import type { CheckQueues, Folder, Labels, Proposal, StudioImage } from './protocol.js';

const formats = fileURLToPath(new URL('../../fixtures/image/formats/', import.meta.url));
const offline = { model: 'hf:nobody/nothing-here' };

test('pictures that browsers do not show come as JPEG, large and small', async (t) => {
  const folder = await temporaryFolder(t);
  for (const name of ['plain.heic', 'plain.tiff']) copyFileSync(join(formats, name), join(folder, name));
  const { window, ready } = await openStudio(t, { folder, ...offline });
  await ready;
  const images = await window.get<StudioImage[]>('/api/images');
  assert.deepEqual(
    images.map(({ path }) => path),
    ['plain.heic', 'plain.tiff'],
  );
  for (const { id, path, width, height } of images) {
    assert.ok(width > 0 && height > 0, path);
    for (const address of [`/api/picture/${id}`, `/api/thumbnail/${id}`]) {
      const { status, headers } = await ask(window.port, address, { headers: { cookie: window.cookie } });
      assert.deepEqual([status, headers['content-type']], [200, 'image/jpeg'], `${address} (${path})`);
    }
  }
});

test('images that come or go are found on demand; ids and labels stay', async (t) => {
  const folder = await temporaryFolder(t);
  await writeTree(folder, { 'b.png': 1, 'c.png': 2 });
  const { window, ready } = await openStudio(t, { folder, ...offline });
  await ready;
  await window.get('/api/images');
  await window.post('/api/labels', [{ id: 1, was: null, to: 'cat', source: 'person' }]);
  await writeTree(folder, { 'a.png': 3, 'broken.png': 'no image' });
  rmSync(join(folder, 'b.png'));
  const { status, value } = await window.post<Folder>('/api/rescan', {});
  assert.equal(status, 200);
  assert.equal(value.images, 2);
  assert.deepEqual(
    value.unreadable.map(({ path }) => path),
    ['broken.png'],
  );
  const images = await window.get<StudioImage[]>('/api/images');
  assert.deepEqual(
    images.map(({ id, path, absent }) => [id, path, absent]),
    [
      [0, 'b.png', true],
      [1, 'c.png', undefined],
      [2, 'a.png', undefined],
    ],
  );
  assert.deepEqual(
    (await window.get<Labels>('/api/labels')).labels.map((label) => [label.id, label.label]),
    [[1, 'cat']],
  );
  assert.deepEqual(
    (await window.get<Proposal[]>('/api/next?count=5')).map(({ id }) => id),
    [2],
  );
  const thumbnail = await ask(window.port, '/api/thumbnail/2', { headers: { cookie: window.cookie } });
  assert.equal(thumbnail.status, 200);
});

test('what cannot be decoded is named once, and is in no list, count or training', async (t) => {
  const folder = await temporaryFolder(t);
  const whole = await readFile(join(formats, 'plain.jpg'));
  const cut = whole.subarray(0, whole.length / 2);
  await writeTree(folder, {
    'cats/1.png': 1,
    'cats/cut.jpg': cut,
    'cats/copy of cut.jpg': cut,
    'dogs/2.png': 2,
    'dogs/none.jpg': 'no image',
  });
  const { window, ready } = await openStudio(t, { folder, ...offline });
  await ready;
  const broken = ['cats/copy of cut.jpg', 'cats/cut.jpg'];
  const check = async (): Promise<void> => {
    const { images, labelled, unreadable, alike } = await window.get<Folder>('/api/folder');
    assert.deepEqual([images, labelled, alike], [2, 2, []]);
    assert.deepEqual(unreadable.map(({ path }) => path).sort(), [...broken, 'dogs/none.jpg']);
    assert.match(unreadable.find(({ path }) => path === broken[1])!.reason, /decode|end|truncated|premature/i);
  };
  await check();
  const all = await window.get<StudioImage[]>('/api/images');
  assert.deepEqual(
    all.flatMap(({ path, absent }) => (absent ? [path] : [])),
    broken,
  );
  const absent = new Set(all.flatMap(({ id, absent: is }) => (is ? [id] : [])));
  assert.ok((await window.get<Labels>('/api/labels')).labels.every(({ id }) => !absent.has(id)));
  await window.post('/api/rescan', {});
  await check();
});

test('a thumbnail that was removed, or emptied by a power cut, is made again', async (t) => {
  const folder = await temporaryFolder(t);
  await writeTree(folder, { '1.png': 1, '2.png': 2, '3.png': 3 });
  const cache = join(folder, '.pupil/thumbnails');
  const thumbnails = (): string[] => readdirSync(cache).filter((name) => name.endsWith('.jpg'));
  const first = await openStudio(t, { folder, ...offline });
  await first.ready;
  const [removed, emptied] = thumbnails();
  const spoil = (): void => {
    rmSync(join(cache, removed!));
    writeFileSync(join(cache, emptied!), '');
  };
  const check = async ({ port, cookie }: Window): Promise<void> => {
    for (const id of [0, 1, 2]) {
      const { status, bytes } = await ask(port, `/api/thumbnail/${id}`, { headers: { cookie } });
      assert.deepEqual([status, [...bytes.subarray(0, 2)]], [200, [0xff, 0xd8]], `image ${id}`);
    }
    assert.equal(thumbnails().length, 3);
  };
  spoil();
  await check(first.window);
  await first.close();
  spoil();
  const again = await openStudio(t, { folder, ...offline });
  await again.ready;
  await check(again.window);
});

test('who opens a folder a second time is told where it is open', async (t) => {
  const folder = await temporaryFolder(t);
  await writeTree(folder, { '1.png': 1 });
  const { address } = await openStudio(t, { folder, ...offline });
  const place = new URL('/', address).href;
  await assert.rejects(openStudio(t, { folder, ...offline }), (error: Error) => {
    assert.ok(error.message.includes(`open the address that it printed (${place} in the browser`), error.message);
    assert.ok(!error.message.includes(new URL(address).searchParams.get('token')!));
    return true;
  });
});

test('what was decided to keep is not asked again after a restart, even after a crash', async (t) => {
  const folder = await temporaryFolder(t);
  await writeTree(folder, { '1.png': 1, '2.png': 1, '3.png': 2, '4.png': 2, '.pupil/decisions.jsonl': '["alike","no' });
  const first = await openStudio(t, { folder, ...offline });
  await first.ready;
  assert.equal((await first.window.get<CheckQueues>('/api/check')).alike.length, 2);
  await first.window.post('/api/check', { queue: 'alike', id: 0, decision: 'keep' });
  await first.window.post('/api/labels', [{ id: 3, was: null, to: { skip: true }, source: 'person' }]);
  await first.close();
  assert.match(await readFile(join(folder, '.pupil/decisions.jsonl'), 'utf8'), /\n\["alike","1\.png"\]$/);
  const again = await openStudio(t, { folder, ...offline });
  await again.ready;
  assert.deepEqual((await again.window.get<CheckQueues>('/api/check')).alike, []);
  assert.deepEqual((await again.window.get<Labels>('/api/labels')).skipped, [3]);
});

test('what could not be written down is written when it is said again', async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, '.pupil/decisions.jsonl');
  await mkdir(join(folder, '.pupil'));
  const decisions = await openDecisions(folder);
  await decisions.keep('alike', '1.png', null);
  await rm(file);
  await mkdir(file);
  await assert.rejects(decisions.ask('alike', '1.png', null), { code: 'bad-path' });
  await rm(file, { recursive: true });
  await decisions.ask('alike', '1.png', null);
  assert.equal(await readFile(file, 'utf8'), '\n{"again":["alike","1.png"]}');
});

test('of a folder that is gone no picture is there, which is no bug', async (t) => {
  const folder = join(await temporaryFolder(t), 'photos');
  await writeTree(folder, { '1.png': 1 });
  const { window, ready } = await openStudio(t, { folder, ...offline });
  await ready;
  await rename(folder, `${folder}-elsewhere`);
  const { status, text } = await window.getBytes('/api/picture/0');
  await rename(`${folder}-elsewhere`, folder);
  assert.deepEqual([status, /no longer in the folder/.test(text)], [404, true]);
});

const layouts: readonly (readonly [string, readonly string[], readonly string[], RegExp])[] = [
  ['by date', ['2024-01-05/1.png', '2024-01-06/2.png'], [], /look like dates/],
  ["a camera's", ['100CANON/1.png', '101CANON/2.png'], [], /camera/],
  [
    'of classes, and one for all sorts',
    ['cat/1.png', 'dog/2.png', 'unsorted/3.png'],
    ['cat', 'dog'],
    /unsorted have no/,
  ],
  ['of classes', ['cat/1.png', 'dog/2.png'], ['cat', 'dog'], /2 images have the names of their folders/],
  ['one alone', ['all/1.png', 'all/2.png'], [], /No labels were taken/],
  ['that hold the same folders', ['a/x/1.png', 'a/y/2.png', 'b/x/3.png', 'b/y/4.png'], [], /same folders/],
];
for (const [what, paths, classes, note] of layouts)
  test(`folders ${what}: labels come from them only where they are classes, and the page is told`, async (t) => {
    const folder = await temporaryFolder(t);
    await writeTree(folder, Object.fromEntries(paths.map((path, i) => [path, i + 1])));
    const { window, ready } = await openStudio(t, { folder, ...offline });
    await ready;
    assert.deepEqual((await window.get<Labels>('/api/labels')).classes, classes);
    assert.match((await window.get<Folder>('/api/folder')).note ?? '', note);
  });
