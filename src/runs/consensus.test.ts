import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readPseudoLabels } from '../artifact/pseudo-labels.js';
import { runFiles } from '../artifact/run-files.js';
import { datasetOf, openDataset } from '../data/dataset.js';
import type { PseudoLabel } from '../data/pseudo-labels.js';
import type { Dataset, Split } from '../data/sample.js';
import { loadModel, type Picture } from '../evaluate/load.js';
import { imageReader } from '../evaluate/readers.js';
import { encodePng } from '../image/decode.js';
import { readHead } from '../models/head.js';
import { resolveModel } from '../models/index.js';
import { blob, temporaryFolder, writeTree } from '../testing/image-files.js';
import { collect } from '../testing/kit.js';
import { consensusLabels, nearlyAll, untoldModel } from './consensus-head.js';
import type { RunEvent, TrainResult } from './events.js';
import { train } from './train.js';

const encoder = fileURLToPath(new URL('../../fixtures/encoders/dinov2', import.meta.url));

/** Images of a class (0 red, 1 green, 2 blue) in a split; `from` is the seed of the first. */
interface Part {
  readonly split: Split;
  readonly of: number;
  readonly count: number;
  readonly from?: number;
}

/** Blobs that are easily told apart. */
function coloured(parts: readonly Part[], classes = ['red', 'green', 'blue']): Dataset {
  let next = 0;
  return datasetOf(
    'blobs',
    classes,
    parts.flatMap(({ split, of, count, from }) =>
      Array.from({ length: count }, (_, i) => ({
        image: blob(of, from === undefined ? next : from + i, 150),
        label: split === 'unlabelled' ? -1 : of,
        split,
        path: `blobs/${split}/${next++}`,
      })),
    ),
  );
}

const each = (split: Split, count: number): Part[] => [0, 1, 2].map((of) => ({ split, of, count }));

/** What a user may give, and the line that tells of it. */
const cases: readonly (readonly [what: string, data: Dataset, said: RegExp | undefined])[] = [
  [
    'one label a class',
    coloured([...each('train', 1), ...each('unlabelled', 10), ...each('val', 4)]),
    /one label per class.*count the same/,
  ],
  ['no unlabelled images', coloured([...each('train', 5), ...each('val', 4)]), /no unlabelled images.*`unlabelled`/],
  [
    'a class with a single label beside others with more',
    coloured([
      ...each('train', 1),
      { split: 'train', of: 0, count: 4 },
      { split: 'train', of: 1, count: 4 },
      ...each('unlabelled', 10),
      ...each('val', 4),
    ]),
    /^blue: one label, which is never held out: accuracy is that of the other classes alone/,
  ],
  [
    'unlabelled images all of one class',
    coloured([...each('train', 5), { split: 'unlabelled', of: 1, count: 40 }, ...each('val', 4)]),
    /^\d\d of \d\d unlabelled images \(\d+%\) are taken for green, which 33% of the labels are, hardly any for red, blue: /,
  ],
  [
    'unlabelled images that stand among the labelled ones, too',
    coloured([
      ...[0, 1, 2].map((of): Part => ({ split: 'train', of, count: 5, from: 1000 })),
      ...[0, 1, 2].map((of): Part => ({ split: 'unlabelled', of, count: 5, from: 1000 })),
      ...each('unlabelled', 5),
      ...each('val', 4),
    ]),
    /^15 unlabelled images with the content of a labelled one/,
  ],
];

for (const [what, data, said] of cases) {
  test(`a consensus with ${what} gives a sensible model, and tells what is missing`, async (t) => {
    const { result, events } = await collect<RunEvent, TrainResult>(
      train(data, {
        model: encoder,
        mode: 'consensus',
        reportOn: 'val',
        threads: 1,
        workers: 0,
        out: join(await temporaryFolder(t), 'run'),
      }),
    );
    assert.ok(result.val!.top1 >= 0.9, `${result.val!.top1} right`);
    const lines = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));
    if (said === undefined) assert.ok(!lines.some((line) => line.includes('consensus')), lines.join('\n'));
    else
      assert.ok(
        lines.some((line) => said.test(line)),
        lines.join('\n'),
      );
  });
}

test('where nothing is measured, nothing is said to be measured', async (t) => {
  const at = await temporaryFolder(t);
  const shared = { model: encoder, mode: 'consensus', threads: 1, workers: 0 } as const;
  const report = async (run: string): Promise<string> =>
    (await readFile(runFiles.report.in(run), 'utf8')).replace(/\s+/g, ' ');
  const unmeasured = coloured([...each('train', 1), ...each('unlabelled', 4)]);
  const { run } = await train(unmeasured, { ...shared, out: join(at, 'nothing') });
  assert.equal(await runFiles.evaluation.read(run), undefined);
  assert.match(await report(run), /Nothing was measured/);
  assert.doesNotMatch(await report(run), /Accuracy|0 of 0|0\.0%/);
  const one = coloured([...each('train', 1), { split: 'train', of: 0, count: 4 }, { split: 'train', of: 1, count: 4 }]);
  const { run: partly } = await train(one, { ...shared, out: join(at, 'partly') });
  assert.match(await report(partly), /Not measured, without an image: blue\./);
  const reported = coloured([...each('train', 1), ...each('unlabelled', 4), ...each('test', 2)]);
  const { run: tested } = await train(reported, { ...shared, out: join(at, 'tested') });
  assert.match(await report(tested), /Confidences are not calibrated: no labels were held out for that\./);
  assert.equal((await runFiles.evaluation.read(tested))!.calibration, undefined);
});

test('where only the last layer is solved, all labels are learned from and held out once, however many', async (t) => {
  const data = coloured([...each('train', 70), ...each('unlabelled', 5), ...each('test', 2)]);
  const at = await temporaryFolder(t);
  for (const mode of ['probe', 'consensus'] as const) {
    const out = join(at, mode);
    await train(data, { model: encoder, mode, threads: 1, workers: 0, out });
    assert.equal((await runFiles.selection.read(out))!.images.length, 210, mode);
  }
});

test("the model's own last layer can count as much as the solved one, but not of held-out labels", async (t) => {
  const at = await temporaryFolder(t),
    data = coloured([...each('train', 4), ...each('unlabelled', 8), ...each('test', 2)]);
  const shared = { threads: 1, workers: 0, engine: 'ort' } as const;
  const { run: model } = await train(data, { ...shared, model: encoder, mode: 'probe', out: join(at, 'probe') });
  const headOf = async (run: string): Promise<number[]> => {
    const { weight, bias } = readHead(await resolveModel(run));
    return [...weight.data, ...bias.data].map(Number);
  };
  const options = { ...shared, model, mode: 'consensus' } as const;
  const solved = await train(data, { ...options, out: join(at, 'solved') });
  const kept = await train(data, { ...options, keepHead: true, out: join(at, 'kept') });
  const [own, one, both] = [await headOf(model), await headOf(solved.run), await headOf(kept.run)];
  assert.deepEqual(
    kept.val,
    solved.val,
    'it has no say of labels that are held out: it was told them, or their neighbours',
  );
  assert.ok(own.some((x, i) => Math.abs(x - one[i]!) > 0.01));
  both.forEach((x, i) => assert.ok(Math.abs(x - (own[i]! + one[i]!) / 2) < 1e-5));
});

test('how images are prepared is told of those teachers alone that do not say it themselves', async (t) => {
  const at = await temporaryFolder(t),
    data = coloured([...each('train', 4), ...each('unlabelled', 8), ...each('test', 2)]);
  const shared = { threads: 1, workers: 0, engine: 'ort', mode: 'consensus', model: encoder } as const;
  const { run } = await train(data, { ...shared, mode: 'probe', out: join(at, 'probe') });
  const foreign = fileURLToPath(new URL('../../fixtures/encoders/timm-vit.onnx', import.meta.url));
  const told = { ...shared, teacherNormalize: 'symmetric' };
  await train(data, { ...told, teachers: [run, foreign], out: join(at, 'both') });
  await assert.rejects(async () => train(data, { ...told, teachers: [run, run], out: join(at, 'own') }), {
    option: 'teacherNormalize',
    message: /was made by Pupil/,
  });
});

test('the network that a student begins as was told no label', async (t) => {
  // Labels that say nothing of the images: only who was told them knows them.
  const data = coloured([...each('train', 8), ...each('unlabelled', 12)]);
  const labelled = data.samples.filter(({ split }) => split === 'train');
  const lot = labelled.map((_, i) => (i * 7) % 3);
  const drawn = {
    ...data,
    samples: data.samples.map((sample) => {
      const i = labelled.indexOf(sample);
      return i < 0 ? sample : { ...sample, label: lot[i]! };
    }),
  };
  const run = join(await temporaryFolder(t), 'run');
  await train(drawn, { model: encoder, mode: 'consensus', threads: 1, workers: 0, out: run });
  const right = async (model: string): Promise<number> => {
    const classifier = await loadModel(model);
    let count = 0;
    for (const [i, { source }] of labelled.entries()) {
      assert.ok('image' in source);
      const { label } = await classifier.predict(source.image as Picture);
      count += Number(label === data.classes[lot[i]!]);
    }
    await classifier.close();
    return count / labelled.length;
  };
  const [told, untold] = [await right(run), await right(untoldModel(run))];
  assert.ok(told > untold + 0.15, `${told} and ${untold} right`);
});

test('labels of a list that lies elsewhere name the images themselves, and a report finds them', async (t) => {
  const at = await temporaryFolder(t);
  const files: Record<string, Uint8Array> = {};
  for (const of of [0, 1])
    for (let i = 0; i < 8; i++) files[`photos/${of}-${i}.png`] = await encodePng(blob(of, 10 * of + i, 150));
  const rows = Object.keys(files).map((file) => `../${file},${/-[0-3]/.test(file) ? file.slice(7, 8) : ''}`);
  await writeTree(at, { ...files, 'lists/all.csv': ['path,label', ...rows].join('\n') });
  const list = join(at, 'lists/all.csv');
  const { run } = await train(list, { mode: 'consensus', model: encoder, workers: 0, out: join(at, 'run') });
  const { rows: labels } = await readPseudoLabels(consensusLabels(run), ['0', '1']);
  const named = labels.map(({ path }) => path);
  assert.deepEqual(
    [...named].sort(),
    Object.keys(files)
      .map((file) => join(at, file))
      .sort(),
  );
  const read = imageReader(await openDataset(list));
  for (const path of named) assert.ok(await read(path), path);
});

test('most unlabelled images taken for one class are told, though the network takes some for another', () => {
  const told = (taken: number, labels: readonly number[]): string | undefined => {
    const row = (label: number) => ({ label, accepted: true }) as PseudoLabel;
    const found = Array.from({ length: 80 }, (_, i) => row(i < taken ? 1 : 0));
    return nearlyAll({ classes: ['ants', 'bees'], rows: [...labels.map(row), ...found] }, labels.length, labels);
  };
  const even = Array.from({ length: 20 }, (_, i) => i % 2);
  assert.match(
    told(66, even)!,
    /^66 of 80 unlabelled images \(83%\) are taken for bees, which 50% of the labels are: /,
  );
  assert.equal(told(53, even), undefined);
  assert.equal(told(66, [...even, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]), undefined, 'two labels in three are, too');
});
