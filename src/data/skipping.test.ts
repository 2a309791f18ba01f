import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { temporaryFolder, writeTar } from '../testing/image-files.js';
import { startFileServer } from '../testing/file-server.js';
import { refused } from '../testing/kit.js';
import { openDataset, openImages } from './dataset.js';

/** Three archives, of which the second breaks off in its third image, and the third has a header that is wrong. */
async function damagedArchives(t: TestContext): Promise<string> {
  const folder = await temporaryFolder(t);
  for (const [i, name] of ['x-000.tar', 'x-001.tar', 'x-002.tar'].entries())
    await writeTar(
      join(folder, name),
      Object.fromEntries([0, 1, 2, 3].map((n) => [`${n % 2 ? 'owl' : 'fox'}/${i}${n}.png`, 10 * i + n] as const)),
    );
  const cut = await readFile(join(folder, 'x-001.tar'));
  await writeFile(join(folder, 'x-001.tar'), cut.subarray(0, 6000));
  const odd = await readFile(join(folder, 'x-002.tar'));
  odd.write('99', 148); // the checksum of the first header
  await writeFile(join(folder, 'x-002.tar'), odd);
  return folder;
}

test('damaged archives are named and skipped within a limit, what is before the damage is used', async (t) => {
  const folder = await damagedArchives(t);
  await assert.rejects(openDataset(folder), refused('bad-data', /x-00[12]\.tar: not a whole tar archive .+`skip: 1`/));
  const { samples, unreadable, classes } = await openDataset(folder, { skip: 2 });
  assert.deepEqual(classes, ['fox', 'owl']);
  assert.deepEqual(
    samples.map(({ path }) => path.slice(folder.length + 1)),
    ['x-000.tar/fox/00.png', 'x-000.tar/fox/02.png', 'x-000.tar/owl/01.png', 'x-000.tar/owl/03.png'].concat(
      ['x-001.tar/fox/10.png', 'x-001.tar/fox/12.png', 'x-001.tar/owl/11.png'].filter((name) =>
        samples.some(({ path }) => path.endsWith(name)),
      ),
    ),
  );
  assert.ok(samples.length > 4 && samples.length < 8, 'part of the second is there');
  assert.deepEqual(
    unreadable.map(({ path, reason }) => [path.slice(folder.length + 1), reason.replace(/\(.*/, '')]),
    [
      ['x-001.tar', `damaged after ${samples.length - 4} files: Unexpected end of data`],
      ['x-002.tar', unreadable[1]!.reason],
    ],
  );
  assert.match(unreadable[1]!.reason, /^damaged after 0 files: .*(checksum|header)/i);
  await assert.rejects(
    openDataset(folder, { skip: 1 }),
    refused(
      'bad-data',
      /2 files or images cannot be read, more than `skip: 1`: .*x-001\.tar \(.*; .*x-002\.tar \(damaged/,
    ),
  );
  assert.equal((await openImages([folder], { skip: 2 })).samples.length, samples.length);
  await assert.rejects(openImages([folder], { skip: 0 }), refused('bad-data', /more than `skip: 0`/));
});

test('of an archive whose checksum is wrong nothing is used', async (t) => {
  const folder = await damagedArchives(t);
  const whole = await readFile(join(folder, 'x-000.tar'));
  const host = await startFileServer(t, {
    'x-000.tar': whole,
    'x-001.tar': whole,
    'x-001.tar.sha256': Buffer.from(`${'0'.repeat(64)}  x-001.tar\n`),
  });
  process.env['PUPIL_CACHE'] = join(folder, 'cache');
  t.after(() => delete process.env['PUPIL_CACHE']);
  const { samples, unreadable } = await openDataset(`${host.address}/x-{000,001}.tar`, { skip: 1 });
  assert.equal(samples.length, 4);
  assert.deepEqual(
    unreadable.map(({ path, reason }) => [path, /^its checksum is [0-9a-f]{64}, but x-001\.tar\.sha256/.test(reason)]),
    [[`${host.address}/x-001.tar`, true]],
  );
});
