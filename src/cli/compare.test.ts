import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { runFiles } from '../artifact/run-files.js';
import { compare } from '../jobs/compare.js';
import { train } from '../runs/train.js';
import { blobs, blobTraining } from '../testing/blobs.js';
import { pupil } from '../testing/command-line.js';
import { temporaryFolder, writeTree } from '../testing/image-files.js';

test('runs are compared on the images that they were measured on, or on others', async (t) => {
  const folder = await temporaryFolder(t);
  const [first, second] = [join(folder, 'first'), join(folder, 'second')];
  const data = blobs({ train: 8, val: 6 });
  await train(data, { ...blobTraining, epochs: 1, lr: 1e-9, out: first });
  await train(data, { ...blobTraining, epochs: 8, out: second });

  const told = await compare([first, second]);
  assert.equal(told.count, 12);
  const [comparison] = told.comparisons;
  const { both, onlyFirst, onlySecond, neither, gain, differences } = comparison!;
  assert.equal(both + onlyFirst + onlySecond + neither, 12);
  assert.ok(Math.abs(told.runs[1]!.top1 - told.runs[0]!.top1 - gain) < 1e-12);
  assert.equal(differences.length, onlyFirst + onlySecond);

  const anew = await compare([first, second], data, { split: 'val', workers: 0, threads: 1 });
  assert.deepEqual(anew.comparisons, told.comparisons, 'the same images give the same');
  assert.deepEqual(
    anew.runs.map(({ learned }) => learned),
    [0, 0],
  );

  const shown = await pupil('compare', first, second);
  assert.equal(shown.code, 0, shown.err);
  assert.match(
    shown.out,
    /^12 images\n\nrun +accuracy\n[^]*second against .*first: .*\n {2}[+−]\d+\.\d points, 95% interval/,
  );
  const json = JSON.parse((await pupil('compare', second, first, '--json', '--out', folder)).out) as typeof told;
  assert.equal(json.comparisons[0]!.gain, -gain);

  const photos = join(folder, 'photos');
  await writeTree(photos, { 'red/1.png': 1, 'blue/1.png': 2 });
  const others = await pupil('compare', first, second, photos, '--workers', '0');
  assert.match(others.out, /^2 images\n/, others.err);
});

test('what cannot be compared is refused with what to do', async (t) => {
  const folder = await temporaryFolder(t);
  const [a, b, c] = ['a', 'b', 'c'].map((name) => join(folder, name)) as [string, string, string];
  const evaluation = {
    ...{ top1: 1, top5: 1, balanced: 1, count: 1, loss: 0, ece: 0, perClass: {}, confusion: [], split: 'val' },
    classes: ['x', 'y'],
  };
  const write = async (run: string, path: string, label: string): Promise<void> => {
    await writeTree(run, {});
    await runFiles.config.write(run, { command: 'train', settings: {}, versions: {} });
    const predictions = [{ path, label, predicted: 'x', confidence: 1 }];
    await runFiles.evaluation.write(run, { ...evaluation, predictions });
  };
  await write(a, '1.jpg', 'x');
  await write(b, '2.jpg', 'x');
  await write(c, '1.jpg', 'y');
  for (const [args, says] of [
    [[a], /compare takes two models or more/],
    [[a, b], /measured on no image in common; name labelled images/],
    [[a, c], /1\.jpg is x for .*a and y for .*c/],
    [[a, join(folder, 'nowhere')], /nowhere has no evaluation\.json/],
    [[a, join(folder, 'nowhere.onnx')], /nowhere\.onnx has no evaluation\.json/],
    [[a, b, '--split', 'val'], /`?--split`? has no use without data/],
  ] as const) {
    const { code, err } = await pupil('compare', ...args);
    assert.match(err, says);
    assert.equal(code, 2);
  }
});
