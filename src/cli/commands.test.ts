import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { exportModel } from '../artifact/export.js';
import { loadCodec } from '../image/decode.js';
import { buildModel, resolveModel } from '../models/index.js';
import { defaultModel } from '../models/default-model.js';
import { parseHubSpec } from '../models/hub.js';
import { startHub } from '../testing/hub-server.js';
import { noisePng, temporaryFolder, writeTree } from '../testing/image-files.js';

const cli = fileURLToPath(new URL('./main.js', import.meta.url));

/**
 * Runs `pupil` in a process of its own (a local server of the test has to stay responsive
 * meanwhile).
 */
function pupil(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, ...args], { env: { ...process.env, ...environment } });
    let out = '',
      err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

/** Two classes of noise images with odd names, and a file that is cut short. */
async function writePhotos(root: string): Promise<string> {
  await writeTree(root, {
    ...Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`train/it's "one"/${i}.png`, i])),
    ...Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`train/zwei\nünï/${i}.png`, 10 + i])),
    'val/it\'s "one"/a.png': 30,
    'val/zwei\nünï/b.png': 31,
    'train/it\'s "one"/cut.png': (await noisePng(40)).subarray(0, 900),
    'train/zwei\nünï/notes.txt': 'not an image',
  });
  return root;
}

test('doctor, train, evaluate, predict, export and report on one folder, with JSON that can be read', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await writePhotos(join(folder, 'my "photos"\n2'));
  const doctor = await pupil(['doctor', data]);
  assert.equal(doctor.code, 0, doctor.err);
  assert.match(doctor.out, /cut\.png/);
  assert.match(doctor.out, /notes\.txt/);

  const run = join(folder, 'run');
  const trained = await pupil([
    'train',
    data,
    '--mode',
    'scratch',
    '--model',
    'convnet-small',
    '--size',
    '16',
    '--epochs',
    '2',
    '--batch-size',
    'auto',
    '--lr',
    'auto',
    '--seed',
    '4',
    '--out',
    run,
    '--json',
  ]);
  assert.equal(trained.code, 0, trained.err);
  assert.match(trained.err, /1 file cannot be read and is skipped: .*cut\.png/);
  assert.match(trained.err, /1 file beside the images is no image and is passed over: .*notes\.txt/);
  assert.match(trained.err, /chosen automatically: batch size \d+, learning rate/);
  const result = JSON.parse(trained.out) as {
    run: string;
    model: string;
    best: { epoch: number };
    val: { count: number; perClass: Record<string, unknown> };
  };
  assert.equal(result.run, run);
  assert.ok(result.best.epoch === 1 || result.best.epoch === 2);
  assert.deepEqual(Object.keys(result.val.perClass), ['it\'s "one"', 'zwei\nünï']);

  const evaluated = await pupil(['evaluate', run, data, '--split', 'train', '--tta', '--json']);
  assert.equal(evaluated.code, 0, evaluated.err);
  const metrics = JSON.parse(evaluated.out) as {
    count: number;
    confusion: number[][];
    learned: number;
    skipped: { path: string; reason: string }[];
  };
  assert.deepEqual(
    metrics.skipped.map(({ path, reason }) => [path.endsWith('cut.png'), reason.slice(0, 17)]),
    [[true, 'cannot be decoded']],
  );
  assert.equal(metrics.count, 12);
  assert.equal(metrics.learned, 12);
  const told = await pupil(['evaluate', run, data, '--split', 'train']);
  assert.match(told.out, /^the model learned from all of these 12 images: on new ones expect less\n\naccuracy/);
  const fair = await pupil(['evaluate', run, data, '--split', 'val', '--json']);
  assert.equal((JSON.parse(fair.out) as { learned: number }).learned, 0);
  // The pixels of two images that were learned from and of one that was not, in other files.
  const copies = join(folder, 'copies'),
    parts = join(folder, 'parts');
  const sharp = await loadCodec();
  for (const name of ['train/it\'s "one"/0', 'train/zwei\nünï/1', 'val/zwei\nünï/b'])
    await writeTree(copies, {
      [`${name}.webp`]: await sharp(join(data, `${name}.png`))
        .webp({ lossless: true })
        .toBuffer(),
    });
  const measureCopies = ['evaluate', run, copies, '--split', 'all', '--json'];
  assert.equal((await pupil([...measureCopies, '--shard', '1/1', '--out', parts])).code, 0);
  for (const args of [measureCopies, [...measureCopies, '--tta'], ['evaluate', '--merge', parts, '--json']]) {
    const copied = await pupil(args);
    assert.equal(copied.code, 0, copied.err);
    assert.equal((JSON.parse(copied.out) as { learned: number }).learned, 2, args.join(' '));
  }
  assert.equal(
    metrics.confusion.flat().reduce((a, b) => a + b, 0),
    12,
  );

  const image = join(data, 'val/it\'s "one"/a.png');
  const predicted = await pupil(['predict', result.model, image, join(data, 'train/it\'s "one"/cut.png'), '--json']);
  assert.equal(predicted.code, 0, predicted.err);
  const { predictions, skipped } = JSON.parse(predicted.out) as {
    predictions: { path: string; label: string; confidence: number; probabilities: Record<string, number> }[];
    skipped: { path: string; reason: string }[];
  };
  assert.equal(skipped.length, 1);
  assert.match(skipped[0]!.path, /cut\.png$/);
  assert.match(skipped[0]!.reason, /cannot be decoded as PNG/);
  assert.equal(predictions.length, 1);
  assert.equal(predictions[0]!.path, image);
  assert.equal(predictions[0]!.probabilities[predictions[0]!.label], predictions[0]!.confidence);
  assert.match(predicted.err, /cut\.png/);
  const files = { csv: join(folder, 'said.csv'), json: join(folder, 'said.json') };
  const whole = ['predict', run, join(data, 'val'), '--threshold', '1', '--csv', files.csv, '--out', files.json];
  const none = await pupil(whole);
  assert.equal(none.code, 0, none.err);
  assert.match(none.out, /a\.png: none of these \(.*\)\n[^]*class +images\n.*\nnone of these +2\n$/);
  assert.match(
    readFileSync(files.csv, 'utf8'),
    /^\ufeffpath,label,confidence\n"my ""photos""\n2\/val\/it's ""one""\/a\.png",none of these,0\.\d+\n/,
  );
  const saved = JSON.parse(readFileSync(files.json, 'utf8')) as {
    counts: object;
    predictions: { label: string | null; none: boolean }[];
    skipped: object[];
  };
  assert.deepEqual(Object.keys(saved.counts), ['none of these']);
  assert.deepEqual(
    saved.predictions.map(({ label, none }) => [label, none]),
    [
      [null, true],
      [null, true],
    ],
  );
  assert.deepEqual(saved.skipped, []);
  const over = await pupil(whole);
  assert.deepEqual([over.code, /said\.csv already exists/.test(over.err)], [2, true]);
  const folderAsked = await pupil([...whole.slice(0, 3), '--out', folder]);
  assert.match(folderAsked.err, /is a folder; name a file in it/);

  const half = join(folder, 'half.onnx');
  assert.equal((await pupil(['export', run, '--fp16', '--out', half])).code, 0);
  assert.ok(readFileSync(half).length < readFileSync(result.model).length * 0.7);
  const again = await pupil(['export', run, '--out', half]);
  assert.equal(again.code, 2, 'an existing file is not overwritten');
  assert.equal((await pupil(['report', run])).code, 0);
  assert.match(readFileSync(join(run, 'report.html'), 'utf8'), /<svg/);

  // What of a run is gone or no longer as it was is said.
  const config = join(run, 'run.json');
  await writeFile(config, readFileSync(config, 'utf8').replace('"seed": 4', '"seed": 5'));
  const rebuilt = await pupil(['report', run]);
  assert.equal(rebuilt.code, 0);
  assert.match(rebuilt.err, /^warning: .*run\.json was edited after it was written: what is said of settings may not/);
  await writeFile(config, '{}');
  const noRun = await pupil(['report', run]);
  assert.deepEqual(
    [noRun.code, /^pupil: .*run\.json does not say which command made the run/.test(noRun.err)],
    [2, true],
  );
  await rm(join(run, 'learned.json'));
  const untold = await pupil(['evaluate', run, data, '--split', 'train', '--json']);
  assert.match(
    untold.err,
    /^warning: .*run has no learned\.json: whether its model learned from these images cannot be/,
  );
  assert.equal((JSON.parse(untold.out) as { learned?: number }).learned, undefined);
});

test('without --model the default backbone is named with its licence, fetched once, and trained', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await writePhotos(join(folder, 'photos'));
  const backbone = exportModel(buildModel('convnet-small', { classes: 5, seed: 1, inputSize: 24 }), {});
  const { repository } = parseHubSpec(defaultModel);
  const hub = await startHub({
    [repository]: {
      files: { 'onnx/model.onnx': Buffer.from(backbone), 'config.json': Buffer.from('{}') },
      cardData: { license: 'apache-2.0' },
    },
  });
  t.after(() => hub.close());
  const environment = { HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: join(folder, 'cache'), HF_TOKEN: '' };
  const options = ['train', data, '--mode', 'probe'];
  const first = await pupil([...options, '--out', join(folder, 'first')], environment);
  assert.equal(first.code, 0, first.err);
  assert.match(
    first.err,
    new RegExp(`^downloading ${repository}: onnx/model\\.onnx, .* MB, licence apache-2\\.0$`, 'm'),
  );
  const origin = async (run: string): Promise<unknown> => (await resolveModel(join(folder, run))).backbone;
  const known = { name: repository, licence: 'apache-2.0' };
  assert.deepEqual(await origin('first'), known);
  assert.match(readFileSync(join(folder, 'first', 'model-card.md'), 'utf8'), /has the licence apache-2\.0, which/);

  const pulled = await pupil(['models', 'pull', defaultModel], environment);
  assert.equal(pulled.code, 0, pulled.err);
  assert.ok(existsSync(pulled.out.trim()));
  // Offline the cached copy serves; another model gives one line with the way out.
  const offline = { ...environment, HF_HUB_OFFLINE: '1' };
  assert.equal((await pupil([...options, '--out', join(folder, 'second')], offline)).code, 0);
  assert.deepEqual(await origin('second'), known, 'the licence is remembered');
  const missing = await pupil([...options, '--model', 'hf:some/other', '--out', join(folder, 'third')], offline);
  assert.equal(missing.code, 2);
  assert.match(missing.err, /^pupil: .*HF_HUB_OFFLINE is set; give the path of an ONNX file as the model instead/m);
  assert.ok(!existsSync(join(folder, 'third')));
});
