import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { PupilError } from '../errors.js';
import { createRun, openRun, readMetrics, resumeRun } from './run.js';

const config = { command: 'train', settings: { seed: 3 }, versions: {} };

test('a run is created once, logged to, opened again and never overwritten', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pupil run "'));
  try {
    const path = join(folder, 'my run\n1');
    const run = await createRun(path, 'train', config);
    await run.log({ epoch: 1 });
    const size = await run.metricsSize();
    await run.log({ epoch: 2 });
    await run.truncateMetrics(size);
    await run.log({ epoch: 2, again: true });
    assert.deepEqual(await readMetrics(path), [{ epoch: 1 }, { epoch: 2, again: true }]);
    await appendFile(run.file('metrics.jsonl'), '{"half');
    assert.equal((await readMetrics(path)).length, 2);
    assert.deepEqual((await openRun(path)).config, config);
    await assert.rejects(
      createRun(path, 'train', config),
      (error) => error instanceof PupilError && error.code === 'exists',
    );
    assert.deepEqual(JSON.parse(await readFile(join(path, 'run.json'), 'utf8')), config);
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
