import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, open, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { PupilError } from '../errors.js';
import { Random } from '../random.js';
import { noise, temporaryFolder, writeTar, writeTree } from '../testing/image-files.js';
import { refused } from '../testing/kit.js';
import { datasetOf, openDataset } from './dataset.js';
import { describeDataset, formatDescription } from './describe.js';
import { scanTar } from './tar.js';

/** Data that is made to take all memory or time is named in a line each. */

test('links that lead to each other multiply nothing; a folder keeps its place', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, { 'data/a/1.png': 1, 'data/b/2.png': 2, 'elsewhere/3.png': 3 });
  const count = 12;
  for (let i = 0; i < count; i++) await mkdir(join(root, 'data', 'a', `d${i}`));
  for (let i = 0; i < count; i++)
    for (let j = 0; j < count; j++)
      if (i !== j) await symlink(join('..', `d${j}`), join(root, 'data', 'a', `d${i}`, `l${j}`));
  await symlink(join(root, 'elsewhere'), join(root, 'data', 'c'));
  await symlink(join(root, 'data', 'b'), join(root, 'data', 'A link to b'));
  const { classes, samples, notes } = await openDataset(join(root, 'data'));
  assert.deepEqual(classes, ['a', 'b', 'c']);
  assert.equal(samples.length, 3);
  assert.match(notes.join(), /133 links lead to folders that are read elsewhere .* each folder is read once/);
});

/** The sum of a header's bytes, as if the sum itself were blanks, where it belongs. */
function writeChecksum(header: Buffer): void {
  header.fill(' ', 148, 156);
  const sum = header.reduce((all, byte) => all + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
}

test('150 archives with wrong bytes are read or refused in one line', async (t) => {
  const root = await temporaryFolder(t);
  const file = join(root, 'whole.tar');
  await writeTar(file, { 'a/1.png': 1, 'a/2.png': 2, 'b/3.png': 3, 'b/4.png': 4 });
  const whole = await readFile(file);
  const headers = [...whole.keys()].filter(
    (at) => at % 512 === 0 && whole.toString('latin1', at + 257, at + 262) === 'ustar',
  );
  const random = new Random(5, 'archives');
  const count = { tries: 0, read: 0, refused: 0 };
  for (let i = 0; i < 150; i++) {
    const bytes = Buffer.from(whole);
    for (let k = random.integer(6); k >= 0; k--) {
      const at = headers[random.integer(headers.length)]!;
      bytes[at + random.integer(512)] = random.integer(256);
      if (random.chance(0.7)) writeChecksum(bytes.subarray(at, at + 512));
    }
    const damaged = join(root, `${i}.tar`);
    await writeFile(damaged, random.chance(0.2) ? bytes.subarray(0, random.integer(bytes.length)) : bytes);
    count.tries++;
    try {
      const { samples } = await openDataset(damaged);
      assert.ok(samples.length <= headers.length);
      count.read++;
    } catch (error) {
      assert.ok(error instanceof PupilError && ['bad-data', 'unsupported'].includes(error.code), String(error));
      assert.ok(!error.message.includes('\n'));
      count.refused++;
    }
  }
  t.diagnostic(JSON.stringify(count));
  assert.ok(count.read > 20 && count.refused > 20);
});

const isWindows = process.platform === 'win32';
test('pipes and devices are named, not waited for', { skip: isWindows ? 'no pipes in folders' : false }, async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, { 'data/a/1.png': 1, 'data/b/2.png': 2 });
  execFileSync('mkfifo', [join(root, 'data', 'a', 'pipe.png')]);
  await symlink('/dev/zero', join(root, 'data', 'a', 'zero.png'));
  const wanted = ['pipe.png', 'zero.png'].map((name) => ({
    path: join(root, 'data', 'a', name),
    reason: 'a pipe, socket or device, not a file',
  }));
  assert.deepEqual((await openDataset(join(root, 'data'))).unreadable, wanted);
  await writeFile(join(root, 'a.csv'), 'path,label\ndata/a/pipe.png,a\n/dev/zero,a\ndata/b/2.png,b\n');
  const { unreadable } = await openDataset(join(root, 'a.csv'));
  assert.deepEqual(new Set(unreadable.map(({ reason }) => reason)), new Set([wanted[0]!.reason]));
});

test('a file of gigabytes is not read, in a folder or an archive, and what is behind it is', async (t) => {
  const root = await temporaryFolder(t);
  await writeTree(root, { 'data/a/1.png': 1, 'data/b/2.png': 2, 'data/b/huge.jpg': Buffer.from([0xff, 0xd8, 0xff]) });
  await truncate(join(root, 'data', 'b', 'huge.jpg'), 3e9);
  const problem = /a file of 2\.8 GiB; images of up to 512 MiB are read/;
  assert.match((await openDataset(join(root, 'data'))).unreadable[0]!.reason, problem);

  const size = 3_000_000_000;
  await writeTar(join(root, 'a.tar'), { 'a/1.png': 1 });
  await writeTar(join(root, 'b.tar'), { 'b/2.png': 2 });
  const [first, last] = [await readFile(join(root, 'a.tar')), await readFile(join(root, 'b.tar'))];
  const header = Buffer.from(first.subarray(0, 512));
  header.fill(0, 0, 100);
  header.write('a/huge.jpg');
  header.write(`${size.toString(8).padStart(11, '0')} `, 124);
  header.fill(' ', 148, 156);
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  const archive = join(root, 'all.tar');
  const file = await open(archive, 'w');
  await file.write(Buffer.concat([first.subarray(0, -1024), header]));
  await file.write(last, 0, last.length, first.length - 1024 + 512 + Math.ceil(size / 512) * 512);
  await file.close();
  const { entries } = await scanTar(archive);
  assert.deepEqual(
    entries.map(({ name }) => name),
    ['a/1.png', 'a/huge.jpg', 'b/2.png'],
  );
  assert.match(entries[1]!.problem ?? '', problem);
  assert.equal(entries[2]!.problem, undefined);
  await truncate(archive, first.length + 1000);
  await assert.rejects(scanTar(archive), refused('bad-data', /not a whole tar archive/));
  await truncate(archive, first.length - 1024);
  await truncate(archive, 2 ** 27);
  await assert.rejects(scanTar(archive), refused('bad-data', /no file in 64 MiB of it/));
});

test('very many classes, and paths that lead nowhere, are counted', async (t) => {
  const root = await temporaryFolder(t);
  const count = 20_000;
  const rows = Array.from({ length: count }, (_, i) => `nowhere/${i}.jpg,class ${i}\n`);
  await writeFile(join(root, 'a.csv'), `path,label\n${rows.join('')}`);
  const { classes, unreadable } = await openDataset(join(root, 'a.csv'));
  assert.deepEqual([classes.length, unreadable.length], [count, count]);
  const many = Array.from({ length: 200_000 }, (_, i) => `class ${i}`);
  const one = datasetOf('many', many, [{ image: noise(1), label: 0, split: 'train' }]);
  const samples = many.map((name, label) => ({ ...one.samples[0]!, label, hash: name, path: name }));
  const lines = formatDescription(describeDataset({ ...one, samples }));
  assert.ok(lines.length < 1100 && lines.some((line) => line.includes('and 199000 more')));
});
