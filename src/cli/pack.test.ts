import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { openDataset, openImages } from '../data/dataset.js';
import { readSource } from '../data/read-source.js';
import { draftOf } from '../drafts.js';
import { decodeSample } from '../evaluate/readers.js';
import { packShards, type PackResult } from '../jobs/pack.js';
import { pupil } from '../testing/command-line.js';
import { withFullDisk } from '../testing/full-disk.js';
import { noisePng, temporaryFolder, writeTar, writeTree } from '../testing/image-files.js';
import { writeNewFolder } from './new-folder.js';

test('packed archives are the data set that was packed, and the same bytes every time', async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  await writeTree(at('data'), {
    ...Object.fromEntries(Array.from({ length: 7 }, (_, i) => [`train/red fox/${i}.png`, i])),
    ...Object.fromEntries(Array.from({ length: 5 }, (_, i) => [`train/owl/${i}.png`, 20 + i])),
    'test/owl/a.b.png': 40,
    'test/owl/notes.jpg': 'no image',
  });
  const packed = await pupil('shards', at('data'), '--per-shard', '5', '--out', at('packed'), '--json');
  assert.equal(packed.code, 0, packed.err);
  const result = JSON.parse(packed.out) as PackResult;
  assert.deepEqual([result.images, result.skipped.length, result.classes], [13, 1, ['owl', 'red fox']]);
  const names = readdirSync(at('packed')).sort();
  assert.deepEqual(names, ['shards.json', 'test-000000.tar', ...[0, 1, 2].map((i) => `train-00000${i}.tar`)]);
  for (const { file, bytes, sha256 } of result.shards) {
    const content = readFileSync(file);
    assert.deepEqual([content.length, createHash('sha256').update(content).digest('hex')], [bytes, sha256]);
  }
  const [before, after] = [await openDataset(at('data')), await openDataset(at('packed'))];
  assert.deepEqual([after.classes, after.unreadable, after.hash], [before.classes, [], before.hash]);
  const again = await pupil('shards', at('data'), '--per-shard', '5', '--out', at('again'), '--json');
  const digests = (text: string): string[] => (JSON.parse(text) as PackResult).shards.map(({ sha256 }) => sha256);
  assert.deepEqual(digests(again.out), digests(packed.out));
  const taken = await pupil('shards', at('data'), '--out', at('again'));
  assert.deepEqual([taken.code, /again already exists; choose another --out/.test(taken.err)], [2, true]);
});

test('packed in random order: the same data set, all classes in each archive, one order for each seed', async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  await writeTree(
    at('data'),
    Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`train/${i < 20 ? 'fox' : 'owl'}/${i}.png`, i])),
  );
  const packed = async (out: string, ...more: string[]): Promise<readonly string[]> => {
    const {
      code,
      out: told,
      err,
    } = await pupil(...['shards', at('data'), '--per-shard', '10', '--out', at(out), ...more, '--json']);
    assert.equal(code, 0, err);
    return (JSON.parse(told) as PackResult).shards.map(({ sha256 }) => sha256);
  };
  const [plain, shuffled] = [await packed('plain'), await packed('shuffled', '--shuffle')];
  assert.deepEqual(await packed('same', '--shuffle', '--seed', '0'), shuffled);
  const other = await packed('other', '--shuffle', '--seed', '1');
  assert.equal(new Set([...plain, ...shuffled, ...other]).size, 12);
  const [before, after] = [await openDataset(at('data')), await openDataset(at('shuffled'))];
  assert.deepEqual([after.classes, after.samples.length, after.hash], [before.classes, 40, before.hash]);
  for (let i = 0; i < 4; i++) {
    const { classes } = await openDataset(at(`shuffled/train-00000${i}.tar`));
    assert.deepEqual(classes, ['fox', 'owl'], `archive ${i}`);
  }
  const refused = await pupil('shards', at('data'), '--seed', '1', '--out', at('refused'));
  assert.deepEqual([refused.code, /--seed has no use without --shuffle/.test(refused.err)], [2, true]);
});

test('images are made smaller, unreadable ones named and skipped within a limit', async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  await writeTree(at('camera'), {
    'large.png': await noisePng(1, 90, 60),
    'small.png': await noisePng(2, 20, 30),
    'deep/cut.png': (await noisePng(3)).subarray(0, 900),
  });
  const words = ['shards', at('camera'), '--no-labels', '--resize', '32'];
  const strict = await pupil(...words, '--skip', '0', '--out', at('strict'));
  assert.equal(strict.code, 2);
  assert.match(strict.err, /1 file or image cannot be read, more than --skip 0: .*cut\.png/);
  assert.ok(!existsSync(at('strict')), 'no archives that would be read as a whole data set');
  const packed = await pupil(...words, '--skip', '1', '--out', at('packed'));
  assert.equal(packed.code, 0, packed.err);
  assert.match(packed.err, /cut\.png/);
  const { samples } = await openImages([at('packed')]);
  const images = await Promise.all(samples.map(decodeSample));
  assert.deepEqual(
    images.map(({ width, height }) => [width, height]),
    [
      [48, 32],
      [20, 30],
    ],
  );
  const kept = samples[1]!.source;
  assert.ok(
    kept.kind === 'range' && Buffer.from(await readSource(kept, '')).equals(readFileSync(at('camera/small.png'))),
  );
});

test('a disk that is full, or an interruption, leaves nothing, and the same command then does all', async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  for (let i = 0; i < 12; i++) await writeTree(at('data'), { [`owl/${i}.png`]: await noisePng(i, 40, 40) });
  const words = ['shards', at('data'), '--per-shard', '4'];
  assert.equal((await pupil(...words, '--out', at('calm'))).code, 0);
  const archive = readFileSync(at('calm/train-000001.tar'));
  // Nothing fits, half of the second archive fits.
  for (const bytes of [0, 1.5 * archive.length]) {
    const failed = await withFullDisk(bytes, () => pupil(...words, '--out', at('packed')));
    assert.equal(failed.code, 1, 'tried again by schedulers');
    assert.match(failed.err, /cannot write \S*\/packed\/train-00000\d\.tar: the disk is full; free some space/);
    assert.deepEqual(readdirSync(folder).sort(), ['calm', 'data']);
  }
  for await (const event of packShards(at('data'), { perShard: 4, out: at('packed') }))
    if (event.type === 'progress' && event.done > 4) break;
  assert.deepEqual(readdirSync(folder).sort(), ['calm', 'data']);
  // Left by a process that was killed.
  const left = `.pupil-${basename(draftOf('packed')).slice(7, 15)}-999999999-1-00000000-packed`;
  await writeTree(at(left), { 'train-000000.tar': 'half' });
  assert.equal((await pupil(...words, '--out', at('packed'))).code, 0);
  assert.deepEqual(readdirSync(folder).sort(), ['calm', 'data', 'packed']);
  assert.ok(readFileSync(at('packed/train-000001.tar')).equals(archive));
});

test('a folder that another process writes meanwhile is left to it, in one line', async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  const others = (name: string): Promise<void> => writeTree(at(name), { 'index.html': 'of another process' });
  for (let i = 0; i < 4; i++) await writeTree(at('data'), { [`owl/${i}.png`]: await noisePng(i, 40, 40) });
  const refusal = (name: string): object => ({
    code: 'bad-path',
    message: `cannot write ${at(name)}: a folder has that name by now; choose another name (ENOTEMPTY)`,
  });
  await assert.rejects(async () => {
    for await (const event of packShards(at('data'), { out: at('packed') }))
      if (event.type === 'progress') await others('packed');
  }, refusal('packed'));
  await others('page');
  await assert.rejects(writeNewFolder(at('page'), new Map([['index.html', Buffer.from('ours')]])), refusal('page'));
  assert.deepEqual(readdirSync(folder).sort(), ['data', 'packed', 'page']);
  for (const name of ['packed', 'page'])
    assert.equal(readFileSync(at(`${name}/index.html`), 'utf8'), 'of another process');
});

test("others' archives in WebDataset's layout: labels are in files beside the images", async (t) => {
  const folder = await temporaryFolder(t);
  await writeTar(join(folder, 'train-000.tar'), {
    '0001.png': 1,
    '0001.cls': '3\n',
    '0002.seg.png': 2,
    '0002.json': '{"label": "a/b", "other": 1}',
    '0002.cls': '7',
    '0003.png': 3,
    '0003.txt': 'a caption',
    'lonely.json': '{}',
  });
  const { classes, samples, unreadable } = await openDataset(join(folder, 'train-000.tar'));
  assert.deepEqual(classes, ['3', 'a-b']);
  assert.deepEqual(
    samples.map(({ path, label, split }) => [path.split('/').at(-1), classes[label], split]),
    [
      ['0001.png', '3', 'train'],
      ['0002.seg.png', 'a-b', 'train'],
    ],
  );
  assert.deepEqual(unreadable, []);
  const { samples: all, unreadable: odd, notes } = await openImages([join(folder, 'train-000.tar')]);
  assert.deepEqual([all.length, odd], [3, []]);
  assert.match(notes.join('\n'), /1 file beside the images is no image and is passed over: .*lonely\.json$/);
});
