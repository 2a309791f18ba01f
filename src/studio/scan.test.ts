import assert from 'node:assert/strict';
import files from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { noisePng, temporaryFolder, writeTree } from '../testing/image-files.js';
import { openStudio } from '../testing/studio-client.js';
import { createScanner, inPieces, rowsAtOnce, type Row } from './scan.js';

const images = 2 * rowsAtOnce + 100;

/** Many files with other contents each, half of them in each of two class folders. */
async function many(t: TestContext): Promise<string> {
  const folder = join(await temporaryFolder(t), 'many');
  const png = await noisePng(1, 2, 2);
  const contents = (i: number): Uint8Array => Uint8Array.from([...png, i >> 8, i & 255]);
  const names = Array.from({ length: images }, (_, i) => `${i % 2 === 0 ? 'even' : 'odd'}/${i}.png`);
  await writeTree(folder, {
    ...Object.fromEntries(names.map((name, i) => [name, contents(i)])),
    'odd/broken.png': 'no image',
    'odd/notes.txt': 'text',
  });
  return folder;
}

/** Counts the turns of the event loop: at each of them the server answers requests. */
function turns(t: TestContext): { readonly now: () => number } {
  let count = 0,
    isOver = false;
  const next = (): void => {
    count++;
    if (!isOver) setImmediate(next);
  };
  next();
  t.after(() => void (isOver = true));
  return { now: () => count };
}

test('the images of a folder are taken over in small pieces, and requests are answered between them', async (t) => {
  const folder = await many(t),
    { now } = turns(t),
    scanner = createScanner();
  const pieces: { readonly rows: readonly Row[]; readonly at: number }[] = [];
  const take = (rows: readonly Row[]): void => void pieces.push({ rows, at: now() });
  const { rows, note } = await scanner.scan(folder, { report: () => undefined, take });
  assert.equal(rows, images + 1, 'a text is no row');
  assert.deepEqual(
    pieces.map((piece) => piece.rows.length),
    [rowsAtOnce, rowsAtOnce, 101],
  );
  assert.equal(new Set(pieces.map(({ at }) => at)).size, 3);
  const all = pieces.flatMap((piece) => piece.rows);
  assert.equal(all.filter(({ className }) => className === 'even').length, images / 2);
  assert.deepEqual(
    all.filter(({ image }) => 'problem' in image).map(({ name }) => name),
    ['odd/broken.png'],
  );
  assert.match(note!, /images have the names of their folders as labels: even, odd/);
  await scanner.close();
});

test('a scan that the studio closes fails, and does not go on', async (t) => {
  const folder = await many(t),
    scanner = createScanner();
  const scanned = scanner.scan(folder, { report: () => undefined, take: () => undefined });
  const failed = assert.rejects(scanned, /the scan of the folder was closed/);
  await scanner.close();
  await failed;
});

test('a list is gone through with a moment for requests after every few', async (t) => {
  const { now } = turns(t);
  const at: number[] = [];
  for await (const _ of inPieces(Array.from({ length: images }))) at.push(now());
  assert.equal(at.length, images);
  for (const turn of new Set(at)) assert.ok(at.filter((one) => one === turn).length <= rowsAtOnce);
});

test('thumbnails of a folder are begun a few at a time, not all at once', async (t) => {
  const folder = await many(t),
    { now } = turns(t);
  // Each thumbnail begins with a look at where its file is.
  const begun = new Map<number, number>();
  const { realpath } = files;
  let enough: () => void;
  const some = new Promise<void>((resolve) => (enough = resolve));
  files.realpath = (async (path: string) => {
    if (path.endsWith('.png')) begun.set(now(), (begun.get(now()) ?? 0) + 1);
    if ([...begun.values()].reduce((sum, count) => sum + count, 0) >= 100) enough();
    return realpath(path);
  }) as typeof realpath;
  syncBuiltinESMExports();
  t.after(() => {
    files.realpath = realpath;
    syncBuiltinESMExports();
  });
  const { window } = await openStudio(t, { folder, model: 'hf:pupil-tests/no-such-model' });
  await window.get('/api/images');
  await some;
  assert.ok(Math.max(...begun.values()) < images / 4, `${Math.max(...begun.values())} at once`);
});
