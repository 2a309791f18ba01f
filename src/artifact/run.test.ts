import assert from 'node:assert/strict';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { draftOf, thisProcess } from '../drafts.js';
import { PupilError } from '../errors.js';
import { temporaryFolder } from '../testing/image-files.js';
import { createRun, openRun, readMetrics, resumeRun } from './run.js';

const config = { command: 'train', settings: { seed: 3 }, versions: {} };

test('a run is created once, logged to, opened again and never overwritten', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pupil run "'));
  try {
    const path = join(folder, 'my run\n1');
    const run = await createRun(path, 'train', config);
    await run.log({ epoch: 1 });
    const mark = await run.metricsMark();
    await run.log({ epoch: 2 });
    await run.checkMetrics(mark);
    await run.truncateMetrics(mark.bytes);
    await run.log({ epoch: 2, again: true });
    assert.deepEqual(await readMetrics(path), [{ epoch: 1 }, { epoch: 2, again: true }]);
    await appendFile(run.file('metrics.jsonl'), '{"half');
    assert.equal((await readMetrics(path)).length, 2);
    // Where it was begun is there from the first write on: a kill after it loses nothing.
    assert.deepEqual((await openRun(path)).config, { ...config, begun: { folder: process.cwd(), run: path } });
    await assert.rejects(
      createRun(path, 'train', config),
      (error) => error instanceof PupilError && error.code === 'exists',
    );
    await assert.rejects(resumeRun(path), { code: 'busy' });
    await run.close();
    const resumed = await resumeRun(path);
    await resumed.updateConfig({ ...config, engine: 'another' });
    await resumed.close();
    assert.equal((await openRun(path)).config.engine, 'another');
    await writeFile(run.file('run.json'), '{');
    await assert.rejects(openRun(path), { code: 'bad-data' });
    await assert.rejects(openRun(folder), { code: 'not-found' });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('an output that is a file is refused', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pupil-run-'));
  try {
    await writeFile(join(folder, 'file'), 'mine');
    await assert.rejects(createRun(join(folder, 'file'), 'train', config), { code: 'exists' });
    await assert.rejects(
      createRun(join(folder, 'file', 'below'), 'train', config),
      (error) => error instanceof PupilError,
    );
    assert.equal(await readFile(join(folder, 'file'), 'utf8'), 'mine');
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('what a process left that was killed before there was a run does not take the name', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'killed'),
    dead = draftOf(join(path, 'run.json')).replace(`-${process.pid}-`, '-4194999-');
  const lock = { ...thisProcess, pid: 4194999, since: 'before' };
  await mkdir(path);
  await writeFile(dead, '{');
  await writeFile(join(path, 'lock-0123456789abcdef.json'), JSON.stringify(lock));
  await assert.rejects(resumeRun(path), { code: 'not-found', message: /stopped before it began.*`out: .*killed`/ });
  await (await createRun(path, 'train', config)).close();
  assert.deepEqual(await readdir(path), ['run.json']);
  // What it leaves later is removed when the run goes on, also in the runs inside.
  await mkdir(join(path, 'rounds', '1'), { recursive: true });
  for (const below of ['', 'rounds', 'rounds/1']) {
    await writeFile(join(path, below, basename(dead)), '');
    await writeFile(join(path, below, 'lock-0123456789abcdef.json'), JSON.stringify(lock));
  }
  await (await resumeRun(path)).close();
  assert.deepEqual((await readdir(path, { recursive: true })).sort(), ['rounds', 'rounds/1', 'run.json']);
});

test('a run whose run.json or metrics were edited does not go on', async (t) => {
  const path = join(await temporaryFolder(t), 'run');
  const run = await createRun(path, 'train', config);
  await run.log({ epoch: 1 });
  const mark = await run.metricsMark();
  await run.log({ epoch: 2 });
  await run.checkMetrics(mark);
  const metrics = await readFile(run.file('metrics.jsonl'), 'utf8');
  for (const [changed, message] of [
    [metrics.replace('1', '3'), /metrics\.jsonl was edited/],
    ['', /metrics\.jsonl has 0 bytes of 12/],
  ] as const) {
    await writeFile(run.file('metrics.jsonl'), changed);
    await assert.rejects(run.checkMetrics(mark), { code: 'bad-data', message });
  }
  await run.close();
  const text = await readFile(run.file('run.json'), 'utf8');
  await writeFile(run.file('run.json'), text.replace('"seed": 3', '"seed": 4'));
  await assert.rejects(resumeRun(path), { code: 'bad-data', message: /run\.json was edited.*start a new run/ });
  await writeFile(run.file('run.json'), text.replace(/,\n  "checksum[^\n]*/, ''));
  await assert.rejects(resumeRun(path), { code: 'bad-data', message: /run\.json was edited/ });
  await writeFile(run.file('run.json'), text);
  await (await resumeRun(path)).close();
});
