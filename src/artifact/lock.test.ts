import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { thisProcess } from '../drafts.js';
import { temporaryFolder } from '../testing/image-files.js';
import { lockFolder } from './lock.js';

// As a program of its own: `node lock.test.js FOLDER` takes the lock, says so and holds it until it is told to end.
if (process.send && process.argv[2] !== undefined) {
  const release = await lockFolder(process.argv[2]).catch((error: Error & { code?: string }) => {
    process.send!(error.code ?? error.message);
    return undefined;
  });
  if (release) {
    process.send('locked');
    await once(process, 'message');
    await release();
  }
  process.disconnect();
  process.exit();
}

const start = async (folder: string): Promise<{ child: ChildProcess; said: Promise<unknown> }> => {
  const child = fork(fileURLToPath(import.meta.url), [folder]);
  return { child, said: once(child, 'message').then(([message]) => message as unknown) };
};
const locks = async (folder: string): Promise<string[]> =>
  (await readdir(folder)).filter((name) => name.startsWith('lock-'));

test('one process at a time works in a folder, and one process only once', async (t) => {
  const folder = await temporaryFolder(t);
  const release = await lockFolder(folder);
  await assert.rejects(lockFolder(folder), { code: 'busy', message: new RegExp(`process ${process.pid} has been`) });
  assert.equal(await (await start(folder)).said, 'busy');
  await release();
  assert.deepEqual(await locks(folder), []);
  await (
    await lockFolder(folder)
  )();
});

test('of processes that come at the same time one gets the folder', async (t) => {
  const folder = await temporaryFolder(t);
  const started = await Promise.all([1, 2, 3, 4].map(() => start(folder)));
  const said = await Promise.all(started.map((one) => one.said));
  assert.deepEqual(said.map(String).sort(), ['busy', 'busy', 'busy', 'locked']);
  const holder = started[said.indexOf('locked')]!.child;
  holder.send('end');
  await once(holder, 'exit');
  await (
    await lockFolder(folder)
  )();
});

test('the lock of a process that was killed does not count', async (t) => {
  const folder = await temporaryFolder(t);
  const { child, said } = await start(folder);
  assert.equal(await said, 'locked');
  await assert.rejects(lockFolder(folder), { code: 'busy' });
  child.kill('SIGKILL');
  await once(child, 'exit');
  await (
    await lockFolder(folder)
  )();
  // A process of the same number that is this one (in a container, say) is not it.
  const stale = { pid: process.pid, host: hostname(), start: thisProcess.start, since: 'before' };
  // Nor is one of the number of a process that began at another time, nor what is no lock at all.
  const reused = { ...stale, pid: process.ppid, start: 1 };
  for (const left of [stale, reused, {}, { pid: 'x' }, 7]) {
    if (left === reused && process.platform !== 'linux') continue; // no start times
    await writeFile(join(folder, 'lock-0000000000000000.json'), JSON.stringify(left));
    await (
      await lockFolder(folder)
    )();
    assert.deepEqual(await locks(folder), []);
  }
});

test('a lock of another computer counts until it is deleted', async (t) => {
  const folder = await temporaryFolder(t);
  const elsewhere = { pid: 1, host: 'elsewhere', since: 'before' };
  await writeFile(join(folder, 'lock-0000000000000000.json'), JSON.stringify(elsewhere));
  await assert.rejects(lockFolder(folder), { code: 'busy', message: /process 1 on elsewhere .* delete .*lock-0{16}/ });
});
