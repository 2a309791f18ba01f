import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { blobTraining } from '../testing/blobs.js';
import { startFileServer } from '../testing/file-server.js';
import { temporaryFolder, writeTar } from '../testing/image-files.js';
import { refused, useOwnCache } from '../testing/kit.js';
import { train } from './train.js';

useOwnCache();

test('a run keeps no signature of an address, and goes on with the address given anew', async (t) => {
  const folder = await temporaryFolder(t);
  const seeds = ['red', 'green'].flatMap((label, l) =>
    Array.from({ length: 11 }, (_, i) => [`${i < 8 ? 'train' : 'val'}/${label}/${i}.png`, 100 * l + i] as const),
  );
  await writeTar(join(folder, 'x.tar'), Object.fromEntries(seeds));
  const host = await startFileServer(t, { 'x.tar': await readFile(join(folder, 'x.tar')) });
  const signed = (word: string): string => `${host.address}/x.tar?signature=${word}`;
  const training = { ...blobTraining, engine: 'ort', epochs: 3, preview: false } as const;

  const whole = await train(signed('once'), { ...training, out: join(folder, 'whole') });
  const out = join(folder, 'run');
  const stop = new AbortController();
  let steps = 0;
  await assert.rejects(
    async () => {
      for await (const { type } of train(signed('secret'), { ...training, out, signal: stop.signal }))
        if (type === 'step' && ++steps === 5) stop.abort();
    },
    refused('interrupted', /./),
  );
  const { settings } = JSON.parse(await readFile(join(out, 'run.json'), 'utf8')) as { settings: { data: string } };
  assert.equal(settings.data, `${host.address}/x.tar`);
  host.files.delete('x.tar');
  await assert.rejects(
    async () => await train(undefined, { resume: out, threads: 1, workers: 0 }),
    refused('not-found', /x\.tar: the host has no such file.*; a run keeps addresses without their query/),
  );
  host.files.set('x.tar', await readFile(join(folder, 'x.tar')));
  host.log.length = 0;
  const resumed = await train(signed('renewed'), { resume: out, threads: 1, workers: 0 });
  assert.ok(host.log.length > 0 && host.log.every((line) => line.includes('?signature=renewed')), host.log.join('\n'));
  assert.ok((await readFile(resumed.model)).equals(await readFile(whole.model)), 'the same bytes');
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile())
      assert.doesNotMatch(await readFile(join(entry.parentPath, entry.name), 'latin1'), /signature=/, entry.name);
});
