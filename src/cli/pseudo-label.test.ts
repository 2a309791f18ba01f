import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test, type TestContext } from 'node:test';
import { exportModel } from '../artifact/export.js';
import { readPseudoLabels } from '../artifact/pseudo-labels.js';
import { buildModel } from '../models/index.js';
import type { PseudoLabelResult } from '../jobs/label/label.js';
import { pupil } from '../testing/command-line.js';
import { noisePng, temporaryFolder, writeTree } from '../testing/image-files.js';

const classes = ['a', 'b, "c"', 'd'];

/**
 * Images without labels (one twice, one broken, one that is no image, one that is in val), others
 * of the same kind, and a teacher.
 */
async function files(t: TestContext): Promise<{ at: (name: string) => string; model: string }> {
  const folder = await temporaryFolder(t);
  await writeTree(folder, {
    ...Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`camera/x "y"/${i}.png`, i])),
    'camera/again.png': 3,
    'camera/cut.png': (await noisePng(70)).subarray(0, 900),
    'camera/notes.jpg': 'no image',
    'data/train/a/1.png': 101,
    'data/val/d/1.png': 5,
    'data/val/d/2.png': 6,
    'empty': null,
    'few/1.png': 1,
    ...Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`like/${i}.png`, 200 + i])),
  });
  const model = join(folder, 'teacher.onnx');
  writeFileSync(model, exportModel(buildModel('convnet-small', { labels: classes, seed: 1, inputSize: 24 }), {}));
  return { at: (name) => join(folder, name), model };
}

test('pupil pseudo-label writes what the teacher says, without what is excluded, repeated or unreadable', async (t) => {
  const { at, model } = await files(t);
  const options = ['--model', model, '--threshold', '0', '--exclude', at('data')];
  const { code, out, err } = await pupil(
    'pseudo-label',
    at('camera'),
    ...options,
    '--soft',
    '--out',
    at('labels.parquet'),
    '--json',
  );
  assert.equal(code, 0, err);
  assert.match(err, /cut\.png/);
  assert.match(err, /notes\.jpg/);
  const result = JSON.parse(out) as PseudoLabelResult;
  assert.deepEqual(
    [result.file, result.total, result.accepted, result.excluded, result.repeated, result.skipped.length, result.soft],
    [at('labels.parquet'), 10, 10, 2, 1, 2, true],
  );
  assert.deepEqual(Object.keys(result.perClass), classes);
  assert.equal(
    Object.values(result.perClass).reduce((sum, { predicted }) => sum + predicted, 0),
    10,
  );
  const labels = await readPseudoLabels(at('labels.parquet'), classes);
  assert.equal(labels.soft, true);
  // The same image under two names stands under the first.
  assert.deepEqual(
    labels.rows.map(({ path }) => path).sort(),
    [...[0, 1, 2, 4, 7, 8, 9, 10, 11].map((i) => at(`camera/x "y"/${i}.png`)), at('camera/again.png')].sort(),
  );
  for (const { probabilities, label, confidence } of labels.rows) {
    assert.ok(Math.abs(probabilities.reduce((a, b) => a + b, 0) - 1) < 1e-5);
    assert.equal(Math.fround(confidence), probabilities[label]);
  }

  // The same as CSV, as predict says, and whatever the workers.
  const again = await pupil(
    'pseudo-label',
    at('camera'),
    ...options,
    '--workers',
    '2',
    '--batch-size',
    '3',
    '--out',
    at('labels.csv'),
  );
  assert.equal(again.code, 0, again.err);
  assert.match(again.out, /^skipped +2 that are also in --exclude$/m);
  assert.match(again.out, /^accepted +10 of 10/m);
  const fromCsv = await readPseudoLabels(at('labels.csv'), classes);
  const predicted = await pupil('predict', model, ...fromCsv.rows.map(({ path }) => path), '--json');
  const { predictions } = JSON.parse(predicted.out) as {
    predictions: { label: string; probabilities: Record<string, number> }[];
  };
  for (const [i, row] of fromCsv.rows.entries()) {
    assert.equal(classes[row.label], predictions[i]!.label);
    row.probabilities.forEach((p, c) => {
      assert.ok(Math.abs(p - predictions[i]!.probabilities[classes[c]!]!) < 1e-5);
      assert.ok(Math.abs(p - labels.rows[i]!.probabilities[c]!) < 1e-5);
    });
  }
});

test('--per-class balances, --like rejects what is unlike, and a manifest will do', async (t) => {
  const { at, model } = await files(t);
  writeFileSync(
    at('list.csv'),
    `path,label\n${[0, 1, 2, 3, 4, 5].map((i) => `"camera/x ""y""/${i}.png",whatever`).join('\n')}\n`,
  );
  const balanced = await pupil(
    'pseudo-label',
    at('list.csv'),
    '--model',
    model,
    '--threshold',
    '0',
    '--per-class',
    '7',
    '--workers',
    '0',
    '--out',
    at('out.csv'),
    '--json',
  );
  assert.equal(balanced.code, 0, balanced.err);
  const { perClass } = JSON.parse(balanced.out) as PseudoLabelResult;
  assert.ok(
    Object.values(perClass).every(({ accepted, copies }) => copies === (accepted > 0 ? 7 : 0)),
    balanced.out,
  );
  assert.ok(
    (await readPseudoLabels(at('out.csv'), classes)).rows.every(({ path }) => existsSync(path)),
    'paths of a manifest lead to the images',
  );
  const plain = await pupil(
    'pseudo-label',
    at('list.csv'),
    '--model',
    model,
    '--threshold',
    '0',
    '--per-class',
    '7',
    '--no-balance',
    '--workers',
    '0',
    '--out',
    at('plain.csv'),
    '--json',
  );
  assert.ok(
    Object.values((JSON.parse(plain.out) as PseudoLabelResult).perClass).every(
      ({ accepted, copies }) => copies === accepted,
    ),
  );

  // Plain colours among noise.
  const { encodePng } = await import('../image/decode.js');
  const red = await encodePng({
    width: 24,
    height: 24,
    data: Uint8Array.from({ length: 24 * 24 * 3 }, (_, i) => (i % 3 === 0 ? 255 : 0)),
  });
  await writeTree(at('mixed'), { 'a.png': 40, 'b.png': 41, 'red.png': red });
  const liked = await pupil(
    'pseudo-label',
    at('mixed'),
    '--model',
    model,
    '--threshold',
    '0',
    '--like',
    at('like'),
    '--workers',
    '0',
    '--out',
    at('liked.csv'),
    '--json',
  );
  assert.equal(liked.code, 0, liked.err);
  assert.ok(
    (JSON.parse(liked.out) as PseudoLabelResult).outOfDistribution!.paths.includes(at('mixed/red.png')),
    liked.out,
  );
  assert.match(liked.err, /unlike your labelled images/);
  const row = (await readPseudoLabels(at('liked.csv'), classes)).rows.find(({ path }) => path.endsWith('red.png'));
  assert.deepEqual([row!.accepted, row!.copies], [false, 0]);
});

test('mistakes are one line each and leave no file', async (t) => {
  const { at, model } = await files(t);
  const out = at('out/labels.csv');
  const rows: [what: string, argv: string[], says: RegExp][] = [
    ['no --out', [at('camera'), '--model', model], /pseudo-label needs a file to write: --out/],
    ['another kind of file', [at('camera'), '--model', model, '--out', at('x.json')], /\.parquet or a \.csv/],
    [
      'a file that is there',
      [at('camera'), '--model', model, '--out', at('camera/again.png').replace('again.png', 'x.csv')],
      /already exists; choose another/,
    ],
    ['no --model', [at('camera'), '--out', out], /pseudo-label needs a --model that labels/],
    ['a network without weights', [at('camera'), '--model', 'resnet18', '--out', out], /no trained weights/],
    ['no such model', [at('camera'), '--model', at('none.onnx'), '--out', out], /none\.onnx/],
    ['no such images', [at('nowhere'), '--model', model, '--out', out], /nowhere: no such file/],
    ['no images', [at('empty'), '--model', model, '--out', out], /no images to label/],
    [
      'a threshold in percent',
      [at('camera'), '--model', model, '--threshold', '30', '--out', out],
      /--threshold takes a number from 0 to 1/,
    ],
    [
      'nothing accepted',
      [at('camera'), '--model', model, '--threshold', '1', '--out', out],
      /none is accepted: the most confident one is .*; lower it/,
    ],
    [
      'all excluded',
      [at('camera'), '--model', model, '--exclude', at('camera'), '--out', out],
      /every image there is in .* too/,
    ],
    [
      'nothing to exclude',
      [at('camera'), '--model', model, '--exclude', at('empty'), '--out', out],
      /empty: no images there/,
    ],
    [
      'too few to be like',
      [at('camera'), '--model', model, '--like', at('few'), '--out', out],
      /--like: 1 image, too few/,
    ],
    ['no copies', [at('camera'), '--model', model, '--per-class', '0', '--out', out], /--per-class/],
  ];
  writeFileSync(at('camera/x.csv'), '');
  for (const [what, argv, says] of rows) {
    const { code, err } = await pupil('pseudo-label', ...argv, '--workers', '0');
    assert.equal(code, 2, `${what}: ${err}`);
    assert.match(err, says, what);
    assert.equal(
      err
        .trimEnd()
        .split('\n')
        .filter((line) => line.startsWith('pupil: ')).length,
      1,
      what,
    );
  }
  assert.ok(!existsSync(at('out')));
});

test('Ctrl-C ends it with 130 and without half a file', async (t) => {
  const { at, model } = await files(t);
  await writeTree(at('many'), Object.fromEntries(Array.from({ length: 1200 }, (_, i) => [`${i}.png`, 1000 + i])));
  const child = spawn(process.execPath, [
    fileURLToPath(new URL('./main.js', import.meta.url)),
    'pseudo-label',
    at('many'),
    '--model',
    model,
    '--out',
    at('cut/labels.csv'),
    '--workers',
    '0',
    '--batch-size',
    '1',
  ]);
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (!err.includes('images to label') && (err + text).includes('images to label')) child.kill('SIGHUP');
    err += text;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(code, 130, err);
  assert.match(err, /interrupted/);
  assert.deepEqual(existsSync(at('cut')) ? readdirSync(at('cut')) : [], []);
});
