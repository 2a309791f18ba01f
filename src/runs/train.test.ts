import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { loadModel } from '../evaluate/load.js';
import { evaluate } from '../evaluate/evaluate.js';
import { decode, encodePng } from '../image/decode.js';
import { readOnnx } from '../onnx/read.js';
import { featuresFolder } from '../techniques/stored-features.js';
import { blob, temporaryFolder, writeTree } from '../testing/image-files.js';
import { collect as collectJob, hashOf, useOwnCache } from '../testing/kit.js';
import type { RunEvent, TrainResult } from './events.js';
import { train } from './train.js';
import type { TrainOptions } from './resolve.js';

useOwnCache();

const cli = fileURLToPath(new URL('../cli/main.js', import.meta.url));

/** Red and blue images, named with characters that paths seldom hold. */
async function writeBlobs(root: string, counts: Readonly<Record<string, number>>): Promise<string> {
  const files: Record<string, Uint8Array> = {};
  let seed = 0;
  for (const [split, count] of Object.entries(counts)) {
    for (const [label, name] of ['red "hot"', 'blue ü'].entries()) {
      for (let i = 0; i < count; i++) files[`${split}/${name}/${i}.png`] = await encodePng(blob(2 * label, seed++));
    }
  }
  await writeTree(root, files);
  return root;
}

const collect = (
  data: string | undefined,
  options: TrainOptions,
): Promise<{ readonly result: TrainResult; readonly events: RunEvent[] }> =>
  collectJob(train(data, { threads: 1, workers: 0, ...options }));

const tiny = {
  mode: 'scratch',
  model: 'convnet-small',
  size: 16,
  batchSize: 8,
  optimizer: 'adamw',
  lr: 0.003,
  flip: false,
} as const;

test('training from scratch learns, and writes the run folder and the model file of the contract', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await writeBlobs(join(folder, 'data'), { train: 20, val: 8, test: 8 });
  const { result } = await collect(data, { ...tiny, epochs: 4, out: join(folder, 'run'), seed: 1 });
  assert.ok(result.val!.top1 >= 0.9, `val ${result.val!.top1}`);
  assert.ok(result.test!.top1 >= 0.9, `test ${result.test!.top1}`);
  assert.equal(result.test!.count, 16);
  for (const name of ['run.json', 'metrics.jsonl', 'model.onnx', 'report.html', 'evaluation.json', 'checkpoints']) {
    assert.ok(existsSync(join(result.run, name)), name);
  }
  const file = await readOnnx(result.model);
  assert.equal(file.irVersion, 8);
  assert.deepEqual([...file.opsets.keys()], ['']);
  assert.ok(file.opsets.get('')! <= 17);
  assert.deepEqual(
    file.graph.inputs.map(({ name, dtype, shape }) => [name, dtype, shape]),
    [['pixels', 'uint8', ['N', 16, 16, 3]]],
  );
  assert.deepEqual(
    file.graph.outputs.map(({ name }) => name),
    ['logits', 'probabilities'],
  );
  assert.deepEqual(JSON.parse(file.metadata.get('labels')!), ['blue ü', 'red "hot"']);
  assert.equal((JSON.parse(file.metadata.get('provenance')!) as { seed: number }).seed, 1);

  const model = await loadModel(result.run, { threads: 1 });
  const { metrics } = await evaluate(model, data, { workers: 0 });
  await model.close();
  assert.deepEqual(metrics.confusion, result.test!.confusion);
  assert.ok(Math.abs(metrics.loss - result.test!.loss) < 1e-5);

  // An existing run is never overwritten.
  const before = await hashOf(result.model);
  await assert.rejects(collect(data, { ...tiny, epochs: 1, out: result.run }), { code: 'exists' });
  assert.equal(await hashOf(result.model), before);
});

test('a second training on the same images runs the backbone on none of them, with the same result', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await writeBlobs(join(folder, 'data'), { train: 12, val: 4, unlabelled: 10 });
  const { result: first } = await collect(data, { ...tiny, epochs: 1, out: join(folder, 'first') });
  const computed = async (name: string, options: TrainOptions): Promise<number> => {
    // What commands share is another matter (`jobs/learn/once.test.ts`).
    await rm(join(process.env['PUPIL_CACHE']!, featuresFolder), { recursive: true, force: true });
    const { events } = await collect(data, { model: first.model, out: join(folder, name), ...options });
    const progress = events.flatMap((event) =>
      event.type === 'progress' && event.what === 'features' ? [event.total - event.done] : [],
    );
    assert.equal(progress.at(-1), 0);
    return progress[0]!;
  };
  const featureCache = join(folder, 'shared');
  assert.equal(await computed('alone', { mode: 'consensus' }), 52);
  assert.equal(await computed('probe', { mode: 'probe', featureCache }), 32);
  assert.equal(await computed('consensus', { mode: 'consensus', featureCache }), 20, 'those without labels');
  assert.equal(await computed('again', { mode: 'probe', featureCache }), 0);
  assert.equal(await computed('finetune', { mode: 'finetune', epochs: 1, featureCache }), 0);
  const hash = (name: string): Promise<string> => hashOf(join(folder, name, 'model.onnx'));
  assert.equal(await hash('again'), await hash('probe'));
  assert.equal(await hash('consensus'), await hash('alone'));
  assert.ok(existsSync(join(folder, 'alone', 'features')));
  assert.ok(!existsSync(join(folder, 'probe', 'features')));
  assert.doesNotMatch(await readFile(join(folder, 'probe', 'run.json'), 'utf8'), /shared/);
});

test('a run is the model of the next: probe and fine-tuning start from a run folder or its model.onnx', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await writeBlobs(join(folder, 'a'), { train: 20, val: 8 });
  const other = await writeBlobs(join(folder, 'b'), { train: 12, val: 6, test: 4 });
  const first = (await collect(data, { ...tiny, epochs: 3, out: join(folder, 'first') })).result;
  const probe = (await collect(other, { mode: 'probe', model: first.run, out: join(folder, 'probe') })).result;
  assert.ok(probe.val!.top1 >= 0.9, `probe ${probe.val!.top1}`);
  assert.equal(probe.best.epoch, 1);
  const tuned = (
    await collect(other, {
      mode: 'finetune',
      model: first.model,
      epochs: 2,
      batchSize: 8,
      lr: 1e-3,
      ema: 0.9,
      layerDecay: 0.7,
      clipNorm: 1,
      augment: 'none',
      out: join(folder, 'tuned'),
    })
  ).result;
  assert.ok(tuned.val!.top1 >= 0.9, `fine-tuned ${tuned.val!.top1}`);
  // Same classes: the head goes on too, and evaluating without training gives the same answers from
  // both.
  const [fromRun, fromFile] = [
    await loadModel(first.run, { threads: 1 }),
    await loadModel(first.model, { threads: 1 }),
  ];
  const pixels = new Uint8Array(16 * 16 * 3).fill(90);
  assert.deepEqual(
    [...(await fromRun.run(pixels, 1)).probabilities],
    [...(await fromFile.run(pixels, 1)).probabilities],
  );
  await fromRun.close();
  await fromFile.close();
});

test('few labels: folds estimate and calibrate, phases unfreeze from the head down', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await writeBlobs(join(folder, 'data'), { train: 20, test: 5 });
  const { result, events } = await collect(data, {
    ...tiny,
    epochs: 4,
    labelsPerClass: 5,
    gradualUnfreeze: 1,
    out: join(folder, 'run'),
    balance: true,
    accumulate: 2,
    batchSize: 4,
  });
  const phases = events.flatMap((event) => (event.type === 'phase' ? [event.name] : []));
  assert.ok(phases.includes('fold 5 of 5'), phases.join());
  assert.ok(
    phases.some((name) => name.startsWith('down to head')),
    phases.join(),
  );
  assert.equal(result.val!.count, 10, 'out-of-fold predictions of the ten labels');
  const epochs = events.flatMap((event) => (event.type === 'epoch' ? [event.epoch] : []));
  assert.deepEqual(epochs.slice(-4), [1, 2, 3, 4]);
});

test('images are varied, mixed and erased, the first batch is a picture', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await writeBlobs(join(folder, 'data'), { train: 20, val: 8 });
  const out = join(folder, 'run');
  const { result, events } = await collect(data, {
    ...tiny,
    epochs: 3,
    augment: 'randaugment:n=1,m=5',
    cutmix: 1,
    mixup: 0.2,
    mixProbability: 0.9,
    erase: 0.25,
    labelSmoothing: 0.1,
    preview: true,
    out,
  });
  assert.ok(result.val!.top1 >= 0.8, `val ${result.val!.top1}`);
  assert.ok(events.some((event) => event.type === 'note' && event.message.startsWith(join(out, 'preview.png'))));
  const plan = events.find((event) => event.type === 'plan');
  assert.match(
    plan!.lines.join('\n'),
    /augmentation randaugment:.*, erase 0\.25, cutmix 1 or mixup 0\.2 on 90% of the batches/,
  );
  const picture = await decode(await readFile(join(out, 'preview.png')), 'preview.png');
  assert.ok(picture.width > 200 && picture.height > 200, `${picture.width}x${picture.height}`);
  const { settings } = JSON.parse(await readFile(join(out, 'run.json'), 'utf8')) as {
    settings: Record<string, unknown>;
  };
  assert.equal((settings['augment'] as { base: string }).base, 'basic');
  assert.deepEqual([settings['cutmix'], settings['mixup'], settings['erase']], [1, 0.2, 0.25]);
});

test('what cannot be is refused before anything is opened', async () => {
  for (const [options, says] of [
    [{ augment: 'baisc' }, /baisc.*basic/],
    [{ cutmix: -1 }, /`cutmix` takes a number of at least 0, got -1/],
    [{ epoch: 3 } as object, /there is no option "epoch"; did you mean `epochs`\?/],
    [{ optimizer: 'adamw', momentum: 0.9 }, /`momentum`: adamw has no use for it \(sgd, rmsprop have\)/],
    [{ mixProbability: 0.5 }, /`mixProbability`: it has no use without `cutmix` or `mixup`/],
    [{ mode: 'scratch', backboneLr: 1e-4 }, /`backboneLr`: mode scratch has no use for it \(finetune has\)/],
    [{ erase: 1.5 }, /`erase` takes a number from 0 to 1, got 1\.5/],
    [
      { mode: 'probe', augment: 'basic', preview: true },
      /`augment`: mode probe has no use for it \(scratch, finetune have\); leave it out/,
    ],
  ] as const) {
    await assert.rejects(
      collect('no such folder', options),
      (error: Error & { code: string }) => error.code === 'usage' && says.test(error.message),
    );
  }
  await assert.rejects(collect('no such folder', { mode: 'probe', augment: 'none', cutmix: 0 }), { code: 'not-found' });
});

test('a diverging training stops, names the batch and leaves no model', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await writeBlobs(join(folder, 'data'), { train: 20, val: 4 });
  await assert.rejects(
    collect(data, { ...tiny, optimizer: 'sgd', lr: 1e30, warmup: 0, epochs: 5, out: join(folder, 'run') }),
    (error: Error & { code: string }) => {
      assert.equal(error.code, 'diverged');
      assert.match(error.message, /step \d+.*\.png.*lower `lr`/);
      return true;
    },
  );
  assert.ok(!existsSync(join(folder, 'run', 'model.onnx')));
});

/** Runs the command line. Returns exit code and stderr. */
function pupil(args: readonly string[]): Promise<{ code: number | null; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stderr }));
  });
}

/** Resolves when a file of the run exists. */
async function appears(path: string, minimum = 0): Promise<void> {
  while (((await stat(path).catch(() => undefined))?.size ?? -1) <= minimum)
    await new Promise((resolve) => setTimeout(resolve, 5));
}

test('killed at any moment, a resumed run ends in the same bytes; Ctrl-C saves and exits 130', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await writeBlobs(join(folder, 'data'), { train: 16, val: 6 });
  const options = [
    '--mode',
    'scratch',
    '--model',
    'convnet-small',
    '--size',
    '16',
    '--epochs',
    '4',
    '--batch-size',
    '8',
    '--optimizer',
    'adamw',
    '--lr',
    '0.003',
    '--threads',
    '1',
    '--workers',
    '1',
    '--ema',
    '0.9',
    '--cutmix',
    '--mixup',
    '0.4',
  ];
  const whole = join(folder, 'whole');
  assert.equal((await pupil(['train', data, ...options, '--out', whole])).code, 0);
  const expected = await hashOf(join(whole, 'model.onnx'));
  const metrics = await readFile(join(whole, 'metrics.jsonl'), 'utf8');

  // Killed as soon as a file is there: before the first step, within an epoch, after a checkpoint.
  for (const [name, file, size] of [
    ['a', 'run.json', 0],
    ['b', 'metrics.jsonl', 200],
    ['c', 'checkpoints/000002.json', 0],
  ] as const) {
    const out = join(folder, name);
    const child = spawn(process.execPath, [cli, 'train', data, ...options, '--out', out], { stdio: 'ignore' });
    const ended = new Promise<NodeJS.Signals | null>((resolve) => child.on('close', (_, signal) => resolve(signal)));
    await Promise.race([appears(join(out, file), size), ended]);
    child.kill('SIGKILL');
    assert.equal(await ended, 'SIGKILL', `${name} ended before it could be killed`);
    assert.ok(!existsSync(join(out, 'model.onnx')), name);
    const { code, stderr } = await pupil(['train', '--resume', out]);
    assert.equal(code, 0, stderr);
    assert.equal(await hashOf(join(out, 'model.onnx')), expected, `${name}: other weights`);
    assert.equal(await readFile(join(out, 'metrics.jsonl'), 'utf8'), metrics, `${name}: other metrics`);
  }

  const out = join(folder, 'interrupted');
  const child = spawn(process.execPath, [cli, 'train', data, ...options, '--out', out], { stdio: 'ignore' });
  const ended = new Promise<number | null>((resolve) => child.on('close', (code) => resolve(code)));
  await Promise.race([appears(join(out, 'metrics.jsonl'), 50), ended]);
  child.kill('SIGINT');
  assert.equal(await ended, 130);
  assert.equal((await pupil(['train', '--resume', out])).code, 0);
  assert.equal(await hashOf(join(out, 'model.onnx')), expected);

  for (const [told, says] of [
    [['--augment', 'light'], /--augment was "basic", not "light"/],
    [['--cutmix', '0.5'], /--cutmix was 1, not 0\.5/],
    [['--erase'], /--erase was not given, not 0\.25/],
    [['--shuffle-buffer', '8'], /--shuffle-buffer was not given, not 8; leave it out, or start a new run/],
  ] as const) {
    const refused = await pupil(['train', '--resume', out, ...told]);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, says);
  }
  const { code, stderr } = await pupil(['train', '--resume', join(folder, 'nothing')]);
  assert.equal(code, 2);
  assert.match(stderr, /^pupil: .*is no run folder/m);
});

test('leaving the loop saves, awaiting says so; resuming gives the same bytes, one process at a time', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await writeBlobs(join(folder, 'data'), { train: 8, val: 4 });
  const options: TrainOptions = { ...tiny, epochs: 3, threads: 1, workers: 0 };
  const whole = await train(data, { ...options, out: join(folder, 'whole') });
  const out = join(folder, 'left');
  const run = train(data, { ...options, out });
  for await (const event of run) {
    if (event.type !== 'epoch') continue;
    assert.equal(event.epoch, 1);
    await assert.rejects(train(undefined, { resume: out }).then(), { code: 'busy' });
    break;
  }
  await assert.rejects(run.then(), { code: 'interrupted', message: /saved as .*continue with `resume`/ });
  const { seconds: before } = JSON.parse(await readFile(join(out, 'work-time.json'), 'utf8')) as { seconds: number };
  const began = performance.now();
  const { model, seconds } = await train(undefined, { resume: out, threads: 1, workers: 0 });
  const own = (performance.now() - began) / 1000;
  assert.equal(await hashOf(model), await hashOf(whole.model));
  assert.ok(before > 0 && seconds > before && seconds < before + own, `${before} s, then ${own} s: ${seconds} s`);
  const result = JSON.parse(await readFile(join(out, 'result.json'), 'utf8')) as { seconds: number };
  assert.deepEqual([result.seconds, existsSync(join(out, 'work-time.json'))], [seconds, false]);
});

test('a fold that is interrupted goes on within itself, to the same bytes', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await writeBlobs(join(folder, 'data'), { train: 12 });
  const options: TrainOptions = { ...tiny, epochs: 3, folds: 3, threads: 1, workers: 0 };
  const whole = await collect(data, { ...options, out: join(folder, 'whole') });
  const out = join(folder, 'left');
  let training: string | undefined;
  for await (const event of train(data, { ...options, out })) {
    if (event.type === 'phase') training = event.training?.name ?? training;
    if (event.type === 'epoch' && event.epoch === 2 && training === 'fold 2 of 3') break;
  }
  assert.ok(existsSync(join(out, 'checkpoints', 'fold-2')));
  const { result, events } = await collect(undefined, { resume: out });
  const trainings = events.flatMap((event) => (event.type === 'phase' ? (event.training?.name ?? []) : []));
  assert.deepEqual(trainings, ['fold 2 of 3', 'fold 3 of 3', 'all labels']);
  const steps = events.flatMap((event) => (event.type === 'start' ? [event.step / event.totalSteps] : []));
  assert.deepEqual([steps[0]! >= 2 / 3, ...steps.slice(1)], [true, 0, 0], steps.join());
  assert.equal(await hashOf(result.model), await hashOf(whole.result.model));
  assert.deepEqual(result.val, whole.result.val);
  const metrics = (run: string): Promise<string> => readFile(join(run, 'metrics.jsonl'), 'utf8');
  assert.equal(await metrics(out), await metrics(whole.result.run));
  assert.ok(!existsSync(join(out, 'checkpoints', 'fold-2')));
});
