import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { noisePng, temporaryFolder, writeTree } from '../testing/image-files.js';
import { ask, openStudio, type Window } from '../testing/studio-client.js';
import { until } from '../testing/studio-photos.js';
import { openInbox } from './inbox.js';
import { holdsImages } from './places.js';
import type { Added, Failure, Folder, Labels, Places, StudioImage } from './protocol.js';

async function send(window: Window, path: string, body: Uint8Array, headers: Record<string, string> = {}) {
  const answer = await ask(window.port, `/api/add?path=${encodeURIComponent(path)}`, {
    method: 'POST',
    headers: {
      'cookie': window.cookie,
      'origin': `http://127.0.0.1:${window.port}`,
      'content-type': 'application/octet-stream',
      ...headers,
    },
    body,
  });
  return { status: answer.status, value: JSON.parse(answer.text) as Added & Failure };
}

/** The first words of the answer to an image of so many bytes, of which none is sent. */
function announced({ port, cookie }: Window, bytes: number): Promise<string> {
  const headers = [
    'POST /api/add?path=x.png HTTP/1.1',
    `Host: 127.0.0.1:${port}`,
    `Origin: http://127.0.0.1:${port}`,
    `Cookie: ${cookie}`,
    'Content-Type: application/octet-stream',
    `Content-Length: ${bytes}`,
  ];
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(`${headers.join('\r\n')}\r\n\r\n`));
    socket.once('data', (data) => {
      resolve(data.toString('latin1'));
      socket.destroy();
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed without an answer')));
  });
}

/** A folder to choose from: two of images, one that is hidden, links that lead out. */
async function tree(t: TestContext): Promise<string> {
  const root = join(await temporaryFolder(t), 'pictures');
  await writeTree(root, {
    'holiday/1.png': 1,
    'holiday/2.png': 2,
    'insects/ants/3.png': 3,
    'insects/bees/4.png': 4,
    '.hidden/5.png': 5,
    '../outside/secret.png': 6,
  });
  await symlink(join(root, '../outside'), join(root, 'link'));
  await symlink(join(root, 'holiday'), join(root, 'inside'));
  return root;
}

test('a folder is chosen below the one that was given, and nowhere else', async (t) => {
  const root = await tree(t);
  const { window } = await openStudio(t, { root });
  const first = await window.get<Folder>('/api/folder');
  assert.deepEqual([first.at, first.canChoose, first.images], [null, true, 0]);
  assert.deepEqual(await readdir(root).then((names) => names.includes('.pupil')), false, 'nothing was written');
  const { root: name, folders, sets } = await window.get<Places>('/api/folders');
  assert.equal(name, 'pictures');
  assert.deepEqual(folders, [
    { name: 'holiday', images: 2, folders: 0 },
    { name: 'insects', images: 0, folders: 2 },
    { name: 'inside', images: 2, folders: 0 },
  ]);
  assert.deepEqual(
    sets.map((set) => set.name),
    ['digits'],
  );
  for (const at of [
    '..',
    '../outside',
    'link',
    '.hidden',
    '/etc',
    'holiday/..',
    'a\0b',
    'C:\\',
    'holiday//1',
    'x'.repeat(300),
  ]) {
    const { status } = await window.post('/api/open', { folder: at });
    assert.ok(status === 400 || status === 404, `${at}: ${status}`);
    const listed = await ask(window.port, `/api/folders?at=${encodeURIComponent(at)}`, {
      headers: { cookie: window.cookie },
    });
    assert.ok(listed.status === 400 || listed.status === 404, `${at}: ${listed.status}`);
    assert.ok(!listed.text.includes(root), 'tells where the folder is');
  }
  const opened = await window.post<Folder>('/api/open', { folder: 'insects' });
  assert.deepEqual([opened.status, opened.value.at, opened.value.name], [200, 'insects', 'insects']);
  assert.notEqual(opened.value.key, first.key);
  assert.deepEqual((await window.get<Labels>('/api/labels')).classes, ['ants', 'bees']);

  // A window that still shows the folder before does not label images of this one.
  const late = await ask(window.port, '/api/labels', {
    method: 'POST',
    headers: {
      'cookie': window.cookie,
      'origin': `http://127.0.0.1:${window.port}`,
      'content-type': 'application/json',
      'pupil-folder': first.key,
    },
    body: JSON.stringify([{ id: 0, was: 'ants', to: 'bees', source: 'person' }]),
  });
  assert.equal(late.status, 409);
  assert.ok((await window.get<Labels>('/api/labels')).labels.every(({ source }) => source === 'folder'));

  const made = await window.post<Folder>('/api/open', { folder: 'new one', make: true });
  assert.deepEqual([made.status, made.value.at, made.value.images], [200, 'new one', 0]);
  assert.equal((await window.post('/api/open', { folder: 'link/new', make: true })).status, 404);
  assert.deepEqual(await readdir(join(root, '../outside')), ['secret.png']);
});

test('images are added: over no other file, nowhere else, and nothing but images', async (t) => {
  const root = await tree(t);
  const { window, ready } = await openStudio(t, { folder: root });
  await ready;
  const [one, seven] = [await noisePng(1), await noisePng(7)];
  assert.deepEqual((await send(window, 'new/a/7.png', seven)).value, { path: 'new/a/7.png', isNew: true });
  assert.deepEqual((await send(window, 'new/a/7.png', seven)).value, { path: 'new/a/7.png', isNew: false });
  assert.deepEqual((await send(window, 'holiday/2.png', seven)).value, { path: 'holiday/2 (2).png', isNew: true });
  assert.deepEqual((await send(window, 'holiday/2.png', seven)).value, { path: 'holiday/2 (2).png', isNew: false });
  assert.ok((await readFile(join(root, 'holiday/2.png'))).equals(await noisePng(2)), 'it is as it was');
  const attacks: readonly (readonly [
    what: string,
    status: number,
    path: string,
    body?: Uint8Array,
    headers?: Record<string, string>,
  ])[] = [
    ['a path that leads out', 400, '../x.png'],
    ['a path that leads out, inside', 400, 'a/../../x.png'],
    ['a path from the top', 400, '/tmp/x.png'],
    ['a backslash', 400, '..\\x.png'],
    ['a link that leads out', 404, 'link/x.png'],
    ['a hidden file', 400, '.bashrc.png'],
    ["the studio's own folder", 400, '.pupil/x.png'],
    ['a file in place of a folder', 404, 'holiday/1.png/x.png'],
    ['the list of labels', 400, 'labels.csv'],
    ['a page', 400, 'x.html'],
    ['a page called an image', 400, 'x.png', Buffer.from('<script>alert(1)</script>')],
    ['nothing', 400, 'x.png', new Uint8Array()],
    ['no name', 400, ''],
    ['a name of a device', 400, 'con.png'],
    ['a long name', 400, `${'x'.repeat(250)}.png`],
    ['many levels', 400, `${'x/'.repeat(20)}x.png`],
    ['a body of another kind', 415, 'x.png', one, { 'content-type': 'text/plain' }],
    ['another origin', 403, 'x.png', one, { origin: 'http://evil.example' }],
    ['a folder that was open before', 409, 'x.png', one, { 'pupil-folder': 'another' }],
  ];
  for (const [what, status, path, body = one, headers] of attacks) {
    const { status: got, value } = await send(window, path, body, headers);
    assert.equal(got, status, `${what}: ${JSON.stringify(value)}`);
    assert.ok(!JSON.stringify(value).includes(root), `${what}: tells where the folder is`);
  }
  assert.match(await announced(window, 65 * 2 ** 20), /^HTTP\/1\.1 413 /, 'a large body');
  assert.deepEqual(await readdir(join(root, '.pupil/incoming')), []);
  assert.deepEqual(await readdir(join(root, '../outside')), ['secret.png']);
  await window.post('/api/rescan', {});
  const paths = (await window.get<StudioImage[]>('/api/images')).map(({ path }) => path);
  assert.deepEqual(paths.filter((path) => /7|\(2\)/.test(path)).sort(), ['holiday/2 (2).png', 'new/a/7.png']);
});

test('an inbox that is full, or has enough on its way, says so', async (t) => {
  const root = await temporaryFolder(t);
  const image = await noisePng(1);
  const inbox = openInbox(root, { files: 2, bytes: 10 ** 6, together: 1 });
  let go = (): void => undefined;
  const slow = inbox.add('1.png', () => new Promise((resolve) => (go = () => resolve(image))));
  await assert.rejects(
    inbox.add('2.png', () => Promise.resolve(image)),
    { code: 'busy' },
  );
  go();
  assert.deepEqual(await slow, { path: '1.png', isNew: true });
  await inbox.add('2.png', () => Promise.resolve(image));
  await assert.rejects(
    inbox.add('3.png', () => Promise.resolve(image)),
    { code: 'usage' },
  );
});

test('the digits come as a folder with ten labels of each, which is written once', async (t) => {
  const root = await temporaryFolder(t);
  await mkdir(join(root, 'taken'));
  const { window } = await openStudio(t, { root });
  assert.equal((await window.post('/api/open', { set: '../digits' })).status, 404);
  const { status, value } = await window.post<Folder>('/api/open', { set: 'digits' });
  assert.deepEqual([status, value.name], [200, 'digits']);
  const { labels, classes } = await window.get<Labels>('/api/labels');
  assert.deepEqual([labels.length, classes.length], [100, 10]);
  assert.equal((await window.get<StudioImage[]>('/api/images')).length, 1000);
  // What was labelled meanwhile stays.
  const { labels: before } = await window.get<Labels>('/api/labels');
  const free = [...Array(1000).keys()].find((id) => !before.some((label) => label.id === id))!;
  await window.post('/api/labels', [{ id: free, was: null, to: '7', source: 'person' }]);
  await window.post('/api/open', { folder: 'taken' });
  await until(
    () => window.post<Folder>('/api/open', { set: 'digits' }),
    (answer) => answer.status === 200,
  );
  assert.equal((await window.get<Labels>('/api/labels')).labels.length, 101);
  const other = await temporaryFolder(t);
  await writeTree(other, { 'digits/own.png': 1 });
  const { window: second } = await openStudio(t, { root: other });
  const taken = await second.post<Failure>('/api/open', { set: 'digits' });
  assert.deepEqual([taken.status, taken.value.error.code], [409, 'exists']);
  assert.deepEqual(await readdir(join(other, 'digits')), ['own.png']);
});

test('without a folder the current one is opened where it holds images', async (t) => {
  const root = await tree(t);
  assert.equal(await holdsImages(root), true);
  assert.equal(await holdsImages(join(root, 'insects')), true);
  const empty = await temporaryFolder(t);
  assert.equal(await holdsImages(empty), false);
  await writeFile(join(empty, 'notes.txt'), 'text');
  await mkdir(join(empty, 'a/b'), { recursive: true });
  assert.equal(await holdsImages(empty), false);
  await mkdir(join(empty, '.pupil'));
  assert.equal(await holdsImages(empty), true);
});
