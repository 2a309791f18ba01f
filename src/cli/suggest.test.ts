import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { exportModel } from '../artifact/export.js';
import { openDataset } from '../data/dataset.js';
import { encodePng } from '../image/decode.js';
import type { SuggestResult } from '../jobs/suggest/suggest.js';
import { buildModel } from '../models/index.js';
import { suggest } from '../index.js';
import { pupil } from '../testing/command-line.js';
import { blob, temporaryFolder, writeTar, writeTree } from '../testing/image-files.js';

const colours = ['red', 'green', 'blue'];

/** Images of three kinds without labels (one twice, one broken), a tar of some, a few with labels, and a network. */
async function files(t: TestContext): Promise<{ at: (name: string) => string; model: string }> {
  const folder = await temporaryFolder(t);
  const picture = (channel: number, seed: number): Promise<Uint8Array> => encodePng(blob(channel, seed));
  const camera: Record<string, Uint8Array> = {};
  for (const [channel, count] of [14, 10, 6].entries())
    for (let i = 0; i < count; i++) camera[`camera/${channel} ü,/${i}.png`] = await picture(channel, i);
  await writeTree(folder, {
    ...camera,
    'camera/again.png': camera['camera/0 ü,/3.png']!,
    'camera/cut.png': camera['camera/0 ü,/4.png']!.subarray(0, 200),
    'photos/red/1.png': camera['camera/0 ü,/0.png']!,
    'photos/red/2.png': await picture(0, 100),
    'photos/green/1.png': await picture(1, 100),
    'photos/green/2.png': await picture(1, 101),
    'splits/train/red/1.png': await picture(0, 102),
    'splits/train/green/1.png': await picture(1, 102),
    'splits/val/red/1.png': camera['camera/0 ü,/1.png']!,
    'few/1.png': camera['camera/0 ü,/0.png']!,
    'empty': null,
  });
  const model = join(folder, 'network.onnx');
  writeFileSync(model, exportModel(buildModel('convnet-small', { labels: ['x', 'y'], seed: 1, inputSize: 24 }), {}));
  return { at: (name) => join(folder, name), model };
}

/** Fills in the labels of a manifest as its user would: the kind stands in the path. */
function fillIn(file: string): void {
  const [head, ...rows] = readFileSync(file, 'utf8').split('\n');
  const filled = rows.map((row) =>
    row.replace(/^("?camera\/(\d)[^"]*"?),,/, (_, path, kind) => `${path},${colours[kind]},`),
  );
  writeFileSync(file, [head, ...filled].join('\n'));
}

test('pupil suggest writes a picture and a list; filled in, it is data to go on from and to train on', async (t) => {
  const { at, model } = await files(t);
  const first = await pupil(
    'suggest',
    at('camera'),
    '--labels',
    '6',
    '--model',
    model,
    '--out',
    at('first.csv'),
    '--json',
  );
  assert.equal(first.code, 0, first.err);
  assert.match(first.err, /cut\.png/);
  const result = JSON.parse(first.out) as SuggestResult;
  assert.deepEqual(
    [
      result.file,
      result.sheet,
      result.candidates,
      result.labelled,
      result.known,
      result.repeated,
      result.skipped.length,
    ],
    [at('first.csv'), at('first.png'), 31, 0, 0, 1, 1],
  );
  assert.deepEqual(
    result.images.map(({ order, why, predicted }) => [order, why, predicted]),
    [1, 2, 3, 4, 5, 6].map((order) => [order, 'typical', null]),
  );
  const kinds = new Set(result.images.map(({ path }) => /camera\/(\d)/.exec(path)?.[1]));
  assert.equal(kinds.size, 3, 'all kinds of images are among them');
  const text = await readFile(at('first.csv'), 'utf8');
  assert.match(text, /^\ufeffpath,label,order,why,predicted,confidence\n"camera\/\d ü,\/\d+\.png",,1,typical,,\n/);
  assert.equal((await readFile(at('first.png'))).subarray(1, 4).toString(), 'PNG');

  // As it stands it lists images without labels.
  assert.deepEqual(
    new Set((await openDataset(at('first.csv'))).samples.map(({ split }) => split)),
    new Set(['unlabelled']),
  );
  fillIn(at('first.csv'));
  const filled = await openDataset(at('first.csv'));
  assert.deepEqual([filled.classes.length, filled.samples.every(({ split }) => split === 'train')], [3, true]);

  const options = { data: at('first.csv'), labels: 5, model, featureCache: at('features') };
  const more = await suggest(at('camera'), { ...options, out: at('more.csv') });
  assert.deepEqual([more.labelled, more.known, more.candidates], [6, 6, 25]);
  for (const { path, predicted, confidence } of more.images) {
    assert.ok(!result.images.some((image) => image.path === path), `${path} has a label`);
    assert.ok(colours.includes(predicted!) && confidence! > 0 && confidence! <= 1);
  }
  const again = await pupil(
    'suggest',
    at('camera'),
    '--data',
    at('first.csv'),
    '--labels',
    '5',
    '--model',
    model,
    '--workers',
    '0',
    '--out',
    at('again.csv'),
  );
  assert.equal(again.code, 0, again.err);
  assert.equal(
    readFileSync(at('again.csv'), 'utf8'),
    readFileSync(at('more.csv'), 'utf8'),
    'the same choice each time',
  );
  assert.match(again.out, /^chosen +5 of 25, \d of them because the model is unsure$/m);
  assert.match(again.out, /^skipped +6 labelled already$/m);

  // What had labels is below, so that one file is all the data.
  const both = await openDataset(at('more.csv'));
  assert.deepEqual([both.samples.length, both.samples.filter(({ split }) => split === 'train').length], [11, 6]);
  fillIn(at('more.csv'));
  const trained = await pupil(
    'train',
    at('more.csv'),
    '--model',
    model,
    '--mode',
    'probe',
    '--out',
    at('run'),
    '--json',
  );
  assert.equal(trained.code, 0, trained.err);
  // A run compares images as well as a file, and a list may name images inside an archive.
  await writeTar(at('camera.tar'), Object.fromEntries(Array.from({ length: 4 }, (_, i) => [`in/${i}.png`, i])));
  const packed = await suggest(at('camera.tar'), {
    labels: 2,
    model: at('run'),
    data: at('first.csv'),
    out: at('lists/packed.csv'),
  });
  const listed = await openDataset(at('lists/packed.csv'));
  assert.deepEqual([listed.unreadable, listed.samples.length], [[], 8]);
  assert.equal(packed.candidates, 4);
});

test('images in the labelled data are passed over, and count as covered', async (t) => {
  const { at, model } = await files(t);
  const { known, labelled, candidates } = await suggest(at('camera'), {
    data: at('photos'),
    labels: 1,
    model,
    out: at('a.csv'),
  });
  assert.deepEqual([known, labelled, candidates], [1, 4, 30]);
  // Those of val have labels too, but nothing is learned from them.
  const split = await suggest(at('camera'), { data: at('splits'), labels: 2, model, out: at('b.csv') });
  assert.deepEqual([split.known, split.labelled], [1, 2]);
  assert.deepEqual((await openDataset(at('b.csv'))).samples.map((sample) => sample.split).sort(), [
    'train',
    'train',
    'unlabelled',
    'unlabelled',
    'val',
  ]);
  // Labels that were accepted from a model's suggestions stay so.
  writeFileSync(
    at('given.csv'),
    'path,label,source\nphotos/red/1.png,red,accepted\nphotos/red/2.png,red,person\nphotos/green/1.png,green,\n',
  );
  await suggest(at('camera'), { data: at('given.csv'), labels: 2, model, out: at('c.csv') });
  const accepted = (await openDataset(at('c.csv'))).samples.filter((sample) => sample.accepted === true);
  assert.deepEqual(
    accepted.map(({ path }) => basename(path)),
    ['1.png'],
  );
});

test('what cannot be done is refused in one line, before anything is written', async (t) => {
  const { at, model } = await files(t);
  const refuses = async (words: readonly string[], message: RegExp): Promise<void> => {
    const { code, err } = await pupil('suggest', ...words);
    assert.equal(code, 2, err);
    assert.match(err.trim().split('\n').at(-1)!, message);
  };
  const out = ['--out', at('a.csv')],
    usual = ['--model', model, ...out];
  await refuses([at('camera'), '--labels', '0', ...usual], /--labels takes a whole number of at least 1, got/);
  await refuses(
    [at('camera'), '--labels', '32', ...usual],
    /31 different images without a label, fewer than the 32 that --labels/,
  );
  await refuses([at('camera'), '--labels', '31', ...usual], /30 images can be decoded, fewer than the 31/);
  await refuses([at('empty'), '--labels', '1', ...usual], /no images/);
  await refuses([at('few'), '--data', at('photos'), '--labels', '1', ...usual], /every image there has a label in/);
  await refuses([at('camera'), '--labels', '1', '--data', at('empty'), ...usual], /no images found/);
  await refuses([at('camera'), ...usual], /needs --labels/);
  await refuses([at('camera'), '--labels', '1', ...out], /needs a --model/);
  await refuses([at('camera'), '--labels', '1', '--model', 'resnet20', ...out], /no trained weights/);
  await refuses([at('camera'), '--labels', '1', '--model', model], /a file to write: --out/);
  await refuses([at('camera'), '--labels', '1', '--model', model, '--out', at('a.parquet')], /a \.csv file/);
  const among =
    /camera\/lists\/a\.png: this picture would be one of the images in .*camera from then on; .* --out outside/;
  const inside = ['--labels', '1', '--model', model, '--out', at('camera/lists/a.csv')];
  await refuses([at('camera'), ...inside], among);
  await refuses(
    [at('few'), '--data', at('photos'), ...inside.slice(0, -1), at('photos/a.csv')],
    /a\.png: this picture/,
  );
  writeFileSync(at('b.png'), 'mine');
  await refuses([at('camera'), '--labels', '1', '--model', model, '--out', at('b.csv')], /b\.png already exists/);
  assert.ok(!existsSync(at('a.csv')) && !existsSync(at('b.csv')));
});
