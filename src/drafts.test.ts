import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { draftOf, isDraft, isRunning, sweepDrafts, thisProcess } from './drafts.js';
import { temporaryFolder } from './testing/image-files.js';

/** A draft of a process that has ended. */
function draftOfTheDead(path: string): string {
  const script = `import { draftOf } from ${JSON.stringify(new URL('./drafts.js', import.meta.url).href)};
    console.log(draftOf(${JSON.stringify(path)}));`;
  return spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }).stdout.trim();
}

test('drafts of processes that have ended are removed, also deep in a folder; nothing else is', async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, 'rounds', '0'), { recursive: true });
  const dead = draftOfTheDead(join(folder, 'run.json')),
    deep = join(folder, 'rounds', '0', dead.slice(folder.length + 1)),
    own = draftOf(join(folder, 'run.json'));
  // Of another computer: kept for a day.
  const elsewhere = own.replace(/-[0-9a-f]{8}-/, '-00000000-'),
    old = elsewhere.replace('-00000000-', '-11111111-');
  for (const path of [dead, deep, own, elsewhere, old]) await writeFile(path, '');
  for (const name of ['run.json', '.pupil-1-00000000-run.json']) await writeFile(join(folder, name), '');
  await utimes(old, 0, 0);
  assert.equal(dirname(dead), folder);
  assert.ok(isDraft(dead.slice(folder.length + 1)) && !isDraft('run.json'));
  assert.equal(await sweepDrafts(folder), 2);
  assert.equal((await readdir(join(folder, 'rounds', '0'))).length, 1);
  assert.equal(await sweepDrafts(folder, { deep: true }), 1);
  assert.deepEqual(await readdir(join(folder, 'rounds', '0')), []);
  assert.equal((await readdir(folder)).length, 5);
  assert.equal(await sweepDrafts(join(folder, 'missing'), { deep: true }), 0);
});

test('a process is known by its number and the time at which it began', () => {
  assert.equal(isRunning(thisProcess), true);
  assert.equal(isRunning({ ...thisProcess, start: thisProcess.start + 1 }), false);
  assert.equal(isRunning({ ...thisProcess, host: 'elsewhere' }), undefined);
  assert.equal(isRunning({ ...thisProcess, pid: process.ppid, start: 0 }), true);
  if (process.platform === 'linux') assert.equal(isRunning({ ...thisProcess, pid: process.ppid, start: 1 }), false);
});

test(
  'a process that nobody has waited for, as in a container without an init, has ended',
  { skip: process.platform !== 'linux' && 'needs /proc' },
  async (t) => {
    // The shell's child ends at its next line; what replaces the shell waits for no child.
    const parent = spawn('sh', ['-c', 'read line <&3 & echo $!; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
    });
    t.after(() => parent.kill());
    const [line] = (await once(parent.stdout!, 'data')) as [Buffer];
    const pid = Number(line);
    assert.equal(isRunning({ ...thisProcess, pid, start: 0 }), true);
    (parent.stdio[3] as NodeJS.WritableStream).end('\n');
    const state = (): string | undefined => /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1];
    while (state() !== 'Z') await new Promise((resolve) => setTimeout(resolve, 5));
    process.kill(pid, 0); // as if it ran
    assert.equal(isRunning({ ...thisProcess, pid, start: 0 }), false);
  },
);
