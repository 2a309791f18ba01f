import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { thisProcess } from '../drafts.js';
import { temporaryFolder } from '../testing/image-files.js';
import type { RunConfig } from './formats.js';
import { lockFolder } from './lock.js';
import { createRun, readMetrics } from './run.js';

// As a program of its own: `node lock.test.js FOLDER` takes the lock, says so and holds it until it is told to end.
if (process.send && process.argv[2] !== undefined) {
  const lock = await lockFolder(process.argv[2]).catch((error: Error & { code?: string }) => {
    process.send!(error.code ?? error.message);
    return undefined;
  });
  if (lock) {
    process.send('locked');
    await once(process, 'message');
    await lock.release();
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
  const { release } = await lockFolder(folder);
  await assert.rejects(lockFolder(folder), { code: 'busy', message: new RegExp(`process ${process.pid} has been`) });
  assert.equal(await (await start(folder)).said, 'busy');
  await release();
  assert.deepEqual(await locks(folder), []);
  await (await lockFolder(folder)).release();
});

test('of processes that come at the same time one gets the folder', async (t) => {
  const folder = await temporaryFolder(t);
  const started = await Promise.all([1, 2, 3, 4].map(() => start(folder)));
  const said = await Promise.all(started.map((one) => one.said));
  assert.deepEqual(said.map(String).sort(), ['busy', 'busy', 'busy', 'locked']);
  const holder = started[said.indexOf('locked')]!.child;
  holder.send('end');
  await once(holder, 'exit');
  await (await lockFolder(folder)).release();
});

test('the lock of a process that was killed does not count', async (t) => {
  const folder = await temporaryFolder(t);
  const { child, said } = await start(folder);
  assert.equal(await said, 'locked');
  await assert.rejects(lockFolder(folder), { code: 'busy' });
  child.kill('SIGKILL');
  await once(child, 'exit');
  await (await lockFolder(folder)).release();
  // A process of the same number that is this one (in a container, say) is not it.
  const stale = { pid: process.pid, host: hostname(), start: thisProcess.start, since: 'before' };
  // Nor is one of the number of a process that began at another time, nor what is no lock at all.
  const reused = { ...stale, pid: process.ppid, start: 1 };
  for (const left of [stale, reused, {}, { pid: 'x' }, 7]) {
    if (left === reused && process.platform !== 'linux') continue; // no start times
    await writeFile(join(folder, 'lock-0000000000000000.json'), JSON.stringify(left));
    await (await lockFolder(folder)).release();
    assert.deepEqual(await locks(folder), []);
  }
});

const elsewhere = { pid: 1, host: 'elsewhere', since: 'before' };

test('a lock of another computer that tells no signs of life counts until it is deleted', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'lock-0000000000000000.json');
  for (const left of [elsewhere, { ...elsewhere, beats: 0 }]) {
    await writeFile(path, JSON.stringify(left));
    await utimes(path, 1, 1);
    await assert.rejects(lockFolder(folder), {
      code: 'busy',
      message: /process 1 on elsewhere .* delete .*lock-0{16}/,
    });
  }
});

test('a lock of another computer counts until three minutes after its last sign of life', async (t) => {
  const folder = await temporaryFolder(t);
  const inside = join(folder, 'rungs/probe');
  await mkdir(inside, { recursive: true });
  const paths = [folder, inside].map((place) => join(place, 'lock-0000000000000000.json'));
  const lastSign = async (ago: number): Promise<void> => {
    for (const path of paths) {
      await writeFile(path, JSON.stringify({ ...elsewhere, beats: 1 }));
      await utimes(path, Date.now() / 1000 - ago, Date.now() / 1000 - ago);
    }
  };
  await lastSign(170);
  await assert.rejects(lockFolder(folder), { code: 'busy', message: /3 minutes after its last sign of life\)$/ });
  await lastSign(190);
  const lock = await lockFolder(folder);
  assert.equal((await locks(folder)).length, 1);
  await lock.sweepBelow();
  assert.deepEqual(await locks(inside), []);
  await lastSign(170);
  await lock.sweepBelow();
  assert.equal((await locks(inside)).length, 1, 'somebody is at work there');
  await lock.release();
});

test('who is at work gives signs of life, and learns that another process took over', async (t) => {
  const folder = await temporaryFolder(t);
  const lock = await lockFolder(folder, { beat: 20, silence: 120_000 });
  const [name] = await locks(folder);
  const path = join(folder, name!);
  const before = await readFile(path, 'utf8');
  await utimes(path, 1, 1);
  await until(async () => (await stat(path)).mtimeMs > 1000);
  assert.equal(await readFile(path, 'utf8'), before);
  assert.match(before, /"beats":1/);
  lock.assertHeld();
  await rm(path);
  await until(() => isThrown(() => lock.assertHeld()));
  assert.throws(() => lock.assertHeld(), { code: 'busy', message: /took over, .* no sign of life for 2 minutes$/ });
  assert.deepEqual(await locks(folder), [], 'it does not come back');
  await lock.release();
});

test('a run that another process has taken over is written no further', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const config = { command: 'train', settings: {}, versions: {} } as unknown as RunConfig;
  const run = await createRun(join(await temporaryFolder(t), 'run'), 'train', config);
  await run.log({ step: 1 });
  await Promise.all((await locks(run.path)).map((name) => rm(join(run.path, name))));
  t.mock.timers.tick(10_000);
  await until(() => run.log({ step: 2 }).then(() => false, isBusy));
  const said = await readMetrics(run.path);
  await assert.rejects(run.log({ step: 3 }), { code: 'busy' });
  await assert.rejects(run.metricsMark(), { code: 'busy' });
  await assert.rejects(run.updateConfig(run.config), { code: 'busy' });
  assert.deepEqual(await readMetrics(run.path), said);
  await run.close();
});

const isBusy = (error: unknown): boolean => (error as { readonly code?: unknown }).code === 'busy';

const isThrown = (work: () => void): boolean => {
  try {
    work();
    return false;
  } catch {
    return true;
  }
};

/** Waits until something holds; ten seconds at most. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 500 && !(await holds()); tries++) await sleep(20);
  assert.ok(await holds());
}
