import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { encodePng } from '../image/decode.js';
import { Random } from '../random.js';
import { temporaryFolder, writeTree } from '../testing/image-files.js';
import { collect as collectJob, useOwnCache } from '../testing/kit.js';
import { withoutDnnl } from '../testing/onednn.js';
import type { RunEvent } from './events.js';
import type { TrainOptions } from './resolve.js';
import { train } from './train.js';

useOwnCache();

const cli = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const options = {
  mode: 'scratch',
  model: 'resnet8',
  size: 16,
  batchSize: 8,
  epochs: 2,
  threads: 1,
  workers: 0,
} as const;

/** Noise images of two classes. */
async function writeData(t: TestContext): Promise<{ folder: string; data: string }> {
  const folder = await temporaryFolder(t),
    files: Record<string, Uint8Array> = {};
  for (let i = 0; i < 48; i++) {
    const random = new Random(i, 'image'),
      label = i % 2;
    const data = Uint8Array.from(
      { length: 16 * 16 * 3 },
      (_, at) => random.integer(150) + (at % 3 === 2 * label ? 80 : 0),
    );
    files[`data/${i < 32 ? 'train' : 'val'}/${label ? 'blue' : 'red'}/${i}.png`] = await encodePng({
      width: 16,
      height: 16,
      data,
    });
  }
  await writeTree(folder, files);
  return { folder, data: join(folder, 'data') };
}

/** Trains; with `epochs`, interrupts after so many. */
async function collect(data: string | undefined, told: TrainOptions, epochs = Infinity): Promise<RunEvent[]> {
  const stop = new AbortController();
  const job = train(data, {
    ...(data === undefined ? undefined : options),
    threads: 1,
    workers: 0,
    ...told,
    signal: stop.signal,
  });
  const { events } = await collectJob(job, (event) => {
    if (event.type === 'evaluation' && event.epoch >= epochs) stop.abort();
  });
  return events;
}

const interrupted = { code: 'interrupted' };
const planOf = (events: readonly RunEvent[]): string =>
  events.flatMap((event) => (event.type === 'plan' ? event.lines : [])).find((line) => line.startsWith('engine'))!;
const warningsOf = (events: readonly RunEvent[]): string[] =>
  events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));
const configOf = async (
  run: string,
): Promise<{ engine: string; ranOn: unknown; settings: { engine: string; precision: string } }> =>
  JSON.parse(await readFile(join(run, 'run.json'), 'utf8')) as {
    engine: string;
    ranOn: unknown;
    settings: { engine: string; precision: string };
  };

test('without the library a run says how to be faster, stdout stays JSON, resuming keeps the engine', async (t) => {
  const { folder, data } = await writeData(t),
    out = join(folder, 'run');
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [
      cli,
      'train',
      data,
      '--mode',
      'scratch',
      '--model',
      'convnet-small',
      '--size',
      '16',
      '--epochs',
      '1',
      '--batch-size',
      '8',
      '--threads',
      '1',
      '--workers',
      '0',
      '--json',
      '--out',
      out,
    ],
    { encoding: 'utf8', env: { ...process.env, PUPIL_ONEDNN: '/nonexistent/libdnnl.so' } },
  );
  assert.equal(status, 0, stderr);
  assert.equal((JSON.parse(stdout) as { run: string }).run, out);
  assert.match(
    stderr,
    /^engine {5}onnxruntime .*, 1 thread; PUPIL_ONEDNN=\/nonexistent\/libdnnl\.so cannot be used, (`engine`|--engine) onednn says why$/m,
  );
  const config = await configOf(out);
  assert.deepEqual(config.ranOn, { name: 'ort', precision: 'f32' });
  assert.deepEqual([config.settings.engine, config.settings.precision], ['auto', 'auto']);
  await rm(join(out, 'model.onnx'));
  const resumed = await collect(undefined, { resume: out });
  assert.match(planOf(resumed), /^engine {5}onnxruntime/);
  assert.deepEqual(warningsOf(resumed), []);
});

test(
  'a run on oneDNN is resumed there, or told how to go on where the library is gone',
  { skip: withoutDnnl },
  async (t) => {
    const { folder, data } = await writeData(t),
      whole = join(folder, 'whole'),
      out = join(folder, 'run');
    assert.match(planOf(await collect(data, { out: whole })), /^engine {5}oneDNN \d\S+, (float32|bfloat16), 1 thread$/);
    await assert.rejects(collect(data, { out }, 1), interrupted);
    const begun = await configOf(out);
    assert.equal((begun.ranOn as { name: string }).name, 'onednn');

    const path = process.env['PUPIL_ONEDNN'];
    process.env['PUPIL_ONEDNN'] = '/nonexistent/libdnnl.so';
    try {
      await assert.rejects(collect(undefined, { resume: out }), (error: Error & { code: string }) => {
        assert.equal(error.code, 'unsupported');
        assert.match(
          error.message,
          /run ran on oneDNN \d.*, which cannot go on here \(.*\/nonexistent\/libdnnl\.so does not exist.*\); .*`engine: ort` and `precision: f32` go on with other rounding$/,
        );
        return true;
      });
    } finally {
      if (path === undefined) delete process.env['PUPIL_ONEDNN'];
      else process.env['PUPIL_ONEDNN'] = path;
    }
    const resumed = await collect(undefined, { resume: out });
    assert.deepEqual(warningsOf(resumed), []);
    assert.deepEqual(
      await readFile(join(out, 'model.onnx')),
      await readFile(join(whole, 'model.onnx')),
      'the same bytes as without the interruption',
    );
  },
);

test('told another engine, a resumed run says so and keeps it', { skip: withoutDnnl }, async (t) => {
  const { folder, data } = await writeData(t),
    out = join(folder, 'run');
  await assert.rejects(collect(data, { out }, 1), interrupted);
  const events = await collect(undefined, { resume: out, engine: 'ort', precision: 'f32' });
  assert.equal(
    warningsOf(events).filter((message) =>
      /^the run began on oneDNN .* and goes on on onnxruntime .*: its numbers will differ in rounding$/.test(message),
    ).length,
    1,
  );
  assert.match(planOf(events), /^engine {5}onnxruntime [^;]*$/);
  const config = await configOf(out);
  assert.match(config.engine, /^onnxruntime/);
  assert.deepEqual(config.ranOn, { name: 'ort', precision: 'f32' });
  assert.equal(config.settings.engine, 'ort');
});

test('a probe solves its head in float32', async () => {
  await assert.rejects(collect('nowhere', { mode: 'probe', precision: 'bf16' }), {
    code: 'usage',
    message: /`precision: bf16`: `mode: probe` solves the last layer in float32; leave it out/,
  });
});
