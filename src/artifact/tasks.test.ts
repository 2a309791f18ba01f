import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { thisProcess } from '../drafts.js';
import { temporaryFolder } from '../testing/image-files.js';
import { TaskFolder } from './tasks.js';

interface Task {
  readonly title: string;
}

const task: Task & Readonly<Record<string, unknown>> = {
  title: 'a fold',
  out: 'rungs/a-fold-1',
  hash: 'h',
  samples: [0, [1, { split: 'val' }]],
  options: { epochs: 1 },
  begun: { folder: '/', run: '/run' },
};

/** The tasks of a run as two processes see them. */
async function folders(t: TestContext): Promise<[TaskFolder<Task>, TaskFolder<Task>, string]> {
  const run = await temporaryFolder(t);
  const pace = { beat: 20, silence: 200 };
  const [one, other] = [new TaskFolder<Task>(run, 'task', pace), new TaskFolder<Task>(run, 'task', pace)];
  return [one, other, one.path];
}

test('of those who want a task at once one gets it, until it ends or is withdrawn', async (t) => {
  const [leader, helper, path] = await folders(t);
  assert.equal(await helper.isLed(), false);
  const lead = await leader.lead();
  assert.equal(await helper.isLed(), true);
  const presence = await helper.join();
  assert.equal(await leader.helpers(), 1);
  await leader.offer('a-fold-1', task);
  assert.deepEqual([await helper.names(), await helper.read('a-fold-1')], [['a-fold-1'], task]);
  const claims = await Promise.all(Array.from({ length: 20 }, () => helper.claim('a-fold-1')));
  const [claim, ...others] = claims.filter((one) => one !== undefined);
  assert.equal(others.length, 0);
  assert.equal(await leader.claim('a-fold-1', { takesOver: true }), undefined, 'somebody is at it');
  await claim!.release();
  const again = await helper.claim('a-fold-1');
  await again!.fail();
  await again!.release();
  assert.equal(await helper.claim('a-fold-1'), undefined, 'it failed: others leave it alone');
  const own = await leader.claim('a-fold-1', { takesOver: true });
  assert.ok(own);
  await again!.release();
  assert.ok(existsSync(join(path, 'a-fold-1.claim')), "nobody ends another's claim");
  await leader.withdraw('a-fold-1');
  assert.deepEqual([await helper.isOffered('a-fold-1'), await helper.names()], [false, []]);
  mkdirSync(join(path, 'a-fold-1-0123', 'a-fold-1'), { recursive: true });
  await leader.clear();
  assert.deepEqual(readdirSync(path), ['leader.claim'], 'that of who leads until the end stays');
  await presence.release();
  await leader.leave();
  assert.equal(await helper.isLed(), true);
  await lead.release();
  await leader.leave();
  assert.ok(!existsSync(path));
});

test('claims of the dead are taken over: here at once, elsewhere when nobody touched them for long', async (t) => {
  const [leader, helper, path] = await folders(t);
  const lead = await leader.lead();
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  const claimBy = (name: string, holder: object): void =>
    writeFileSync(join(path, `${name}.claim`), JSON.stringify({ ...thisProcess, id: '0', ...holder }));
  claimBy('dead', { pid });
  claimBy('helper-0123', { pid });
  assert.equal(await leader.helpers(), 0);
  assert.equal(await helper.claim('dead'), undefined, 'only who leads takes over');
  await (await leader.claim('dead', { takesOver: true }))!.release();
  claimBy('far', { host: 'elsewhere' });
  assert.equal(await leader.claim('far', { takesOver: true }), undefined);
  await sleep(300);
  await (await leader.claim('far', { takesOver: true }))!.release();
  writeFileSync(join(path, 'half.claim'), '{"pid":');
  assert.equal(await leader.claim('half', { takesOver: true }), undefined, 'it may still be written');
  await sleep(300);
  await (await leader.claim('half', { takesOver: true }))!.release();
  // One at work touches its claim.
  const claim = await helper.claim('busy');
  const seen = (): number => Number(existsSync(join(path, 'busy.claim')));
  await sleep(300);
  assert.equal(await leader.claim('busy', { takesOver: true }), undefined);
  assert.equal(seen(), 1);
  await claim!.release();
  await lead.release();
});
