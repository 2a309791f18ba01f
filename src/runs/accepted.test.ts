import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runFiles } from '../artifact/run-files.js';
import { openDataset } from '../data/dataset.js';
import { encodePng } from '../image/decode.js';
import { blob, temporaryFolder, writeTree } from '../testing/image-files.js';
import type { TrainResult } from './events.js';
import { train } from './train.js';

const encoder = fileURLToPath(new URL('../../fixtures/encoders/dinov2', import.meta.url));

type Row = readonly [name: string, label: 'red' | 'green', source: string, random: '' | '1'];
const rows = (count: number, label: Row[1], source: string, random: Row[3] = ''): Row[] =>
  Array.from({ length: count }, (_, i) => [`${label}-${source}${random}-${i}.png`, label, source, random]);

/** A folder of blobs with a `labels.csv` as the studio writes it. */
async function labelled(t: TestContext, list: readonly Row[]): Promise<string> {
  const folder = await temporaryFolder(t);
  const files: Record<string, Uint8Array> = {};
  for (const [i, [name, label]] of list.entries())
    files[name] = await encodePng(blob(label === 'red' ? 0 : 1, 10 * i, 150));
  await writeTree(folder, files);
  const manifest = join(folder, 'labels.csv');
  const lines = list.map((row) => `${row.join(',')}\n`);
  await writeFile(manifest, `path,label,source,random\n${lines.join('')}`);
  return manifest;
}

async function probe(t: TestContext, manifest: string): Promise<TrainResult> {
  const out = join(await temporaryFolder(t), 'run');
  return train(manifest, { model: encoder, mode: 'probe', out });
}

test('what a model suggested and a person accepted is learned from and not measured on', async (t) => {
  const manifest = await labelled(t, [
    ...rows(6, 'red', 'person'),
    ...rows(5, 'green', ''),
    ...rows(8, 'red', 'accepted'),
  ]);
  const { samples, hash } = await openDataset(manifest);
  assert.equal(samples.filter(({ accepted }) => accepted === true).length, 8);
  const { run, val } = await probe(t, manifest);
  assert.deepEqual([val?.count, val?.accepted], [11, undefined]);
  const selection = (await runFiles.selection.read(run))!;
  assert.ok(selection.images.every(({ path }) => !path.includes('accepted')));
  assert.equal((await runFiles.learned.read(run))!.labelled.length, 19);
  assert.doesNotMatch(await readFile(join(run, 'report.html'), 'utf8'), /suggested by a model/);
  // The data are others where a label was given otherwise: another image is held out.
  await writeFile(manifest, (await readFile(manifest, 'utf8')).replace('red,accepted', 'red,person'));
  assert.notEqual((await openDataset(manifest)).hash, hash);
});

test('where a class has nothing else, the number says so wherever it stands', async (t) => {
  const { run, val } = await probe(
    t,
    await labelled(t, [...rows(6, 'red', 'person'), ...rows(5, 'green', 'accepted')]),
  );
  assert.deepEqual([val?.count, val?.accepted], [11, 5]);
  assert.equal((await runFiles.evaluation.read(run))?.accepted, 5);
  const sentence = /The labels of 5 of the 11 were suggested by a model and accepted/;
  for (const file of ['report.html', 'model-card.md']) assert.match(await readFile(join(run, file), 'utf8'), sentence);
});

test('what was drawn at random is told apart from what was chosen to be labelled, wherever it stands', async (t) => {
  const manifest = await labelled(t, [
    ...rows(4, 'red', 'person', '1'),
    ...rows(4, 'green', 'accepted', '1'),
    ...rows(6, 'red', 'person'),
    ...rows(6, 'green', 'person'),
    ...rows(5, 'green', 'accepted'),
  ]);
  // Chosen ones that no model can be right about: each looks like the other class.
  const wrong = (await readFile(manifest, 'utf8')).replace(/^(red-person-[0-3]\.png),red/gm, '$1,green');
  await writeFile(manifest, wrong);
  const { run, val } = await probe(t, manifest);
  assert.deepEqual([val?.count, val?.accepted], [20, undefined]);
  assert.equal(val?.drawn?.count, 8);
  assert.ok(val.drawn.top1 > val.top1, `${val.drawn.top1}, ${val.top1} of all`);
  assert.deepEqual((await runFiles.evaluation.read(run))?.drawn, val.drawn);
  const sentence =
    /8 of the 20 were drawn at random .*: on these the accuracy is \d+\.\d% \(95% interval \d+\.\d to \d+\.\d%\)/;
  for (const file of ['report.html', 'model-card.md']) assert.match(await readFile(join(run, file), 'utf8'), sentence);
});
