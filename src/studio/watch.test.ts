import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { LadderFile, LadderPlan, PseudoLabelRound } from '../artifact/formats.js';
import { runFiles } from '../artifact/run-files.js';
import { decode, encodePng } from '../image/decode.js';
import { blob, temporaryFolder, writeTree } from '../testing/image-files.js';
import { ask, openStudio } from '../testing/studio-client.js';
import { assertAccessible, goTo, openPage, skipped } from '../testing/studio-page.js';
import { until } from '../testing/studio-photos.js';
import { asShown, idFinder } from './paths.js';
import type { RunDetail, RunSummary, StudioImage } from './protocol.js';
import { stagesOf } from './stages.js';

const plan: LadderPlan = {
  rungs: [
    { name: 'probe', expectedSeconds: 2 },
    { name: 'consensus', expectedSeconds: 3 },
    { name: 'rounds', expectedSeconds: 40 },
    { name: 'distillation', expectedSeconds: 0, skip: 'no student was named' },
    { name: 'smaller', expectedSeconds: 9 },
  ],
};
const probe = { name: 'probe', what: 'a new last layer', kept: true, seconds: 2, selection: { top1: 0.8 } };
const consensus = { name: 'consensus', kept: true, seconds: 4, selection: { top1: 0.9 } };
const round = { name: 'round 1', kept: false, reason: 'no better', seconds: 30, selection: { top1: 0.85 } };

test('a ladder has what was tried, what is under way and what is to come', () => {
  const states = (ladder: LadderFile | undefined, isGoing: boolean): string[] =>
    stagesOf(ladder, plan, isGoing).map(({ name, state }) => `${name}: ${state}`);
  const rest = ['distillation: skipped', 'smaller: waiting'];
  assert.deepEqual(states(undefined, true), ['probe: running', 'consensus: waiting', 'rounds: waiting', ...rest]);
  assert.deepEqual(states({ rungs: [probe, consensus], kept: 'consensus' }, true), [
    ...['probe: kept', 'consensus: kept', 'rounds: running'],
    ...rest,
  ]);
  assert.deepEqual(states({ rungs: [probe, consensus, round], kept: 'consensus' }, true).slice(2), [
    ...['round 1: no better', 'distillation: skipped', 'smaller: running'],
  ]);
  assert.deepEqual(states({ rungs: [probe, consensus, round], kept: 'consensus' }, false), [
    ...['probe: kept', 'consensus: best', 'round 1: no better', 'distillation: skipped', 'smaller: waiting'],
  ]);
  assert.deepEqual(stagesOf(undefined, undefined, true), []);
});

const describe = (number: number, samples: PseudoLabelRound['samples']): PseudoLabelRound => ({
  round: number,
  name: number === 0 ? 'consensus' : `round ${number}`,
  total: 4,
  accepted: 3,
  threshold: 0.4,
  meanConfidence: 0.8,
  histogram: [0, 0, 0, 0, 1, 0, 0, 0, 0, 3],
  acceptedHistogram: [0, 0, 0, 0, 0, 0, 0, 0, 0, 3],
  perClass: {
    red: { predicted: 3, accepted: 2, copies: 2, meanConfidence: 0.7 },
    green: { predicted: 1, accepted: 1, copies: 1, meanConfidence: 0.95 },
  },
  samples,
  doubtful: ['/where/ever/.pupil/data/../../4.png', '/gone/.pupil/data/../../gone.png'],
});

/** A folder with a ladder that has two rounds of pseudo-labels. */
async function withLadder(t: TestContext): Promise<string> {
  const folder = join(await temporaryFolder(t), 'shapes');
  await writeTree(folder, { '1.png': 1, '2.png': 2, '3.png': 3, '4.png': 4 });
  const run = join(folder, '.pupil/runs/learn-1');
  await mkdir(run, { recursive: true });
  await runFiles.plan.write(run, plan);
  await runFiles.ladder.write(run, { rungs: [probe, consensus, round], kept: 'consensus' });
  await runFiles.pseudoLabels.write(run, {
    rounds: [
      describe(0, { red: ['x/.pupil/data/../../1.png', 'x/.pupil/data/../../2.png'], green: [] }),
      describe(1, { red: ['../../1.png'], green: ['/3.png'] }),
    ],
  });
  await writeFile(join(run, 'preview.png'), await encodePng(blob(0, 1)));
  return folder;
}

test('pseudo-labels are told by round, with the numbers of their images', async (t) => {
  const { window, ready } = await openStudio(t, { folder: await withLadder(t) });
  await ready;
  const images = await window.get<StudioImage[]>('/api/images');
  const idOf = (path: string): number => images.find((image) => image.path === path)!.id;
  const { pseudoLabels, stages, hasPreview } = await window.get<RunDetail>('/api/runs/learn-1');
  assert.deepEqual([pseudoLabels.length, stages.length, hasPreview], [2, 5, true]);
  const [first, second] = pseudoLabels;
  assert.deepEqual([first!.title, second!.title], ['consensus', 'round 1']);
  assert.deepEqual(
    first!.classes.map(({ name, predicted, accepted, confidence, examples }) => [
      ...[name, predicted, accepted, confidence],
      examples,
    ]),
    [
      ['red', 3, 2, 0.7, [idOf('1.png'), idOf('2.png')]],
      ['green', 1, 1, 0.95, []],
    ],
  );
  assert.deepEqual(second!.classes[1]!.examples, [idOf('3.png')]);
  assert.deepEqual(second!.doubtful, [idOf('4.png')], 'what is no longer there is left out');
  const none = await ask(window.port, '/api/runs/learn-1/batch', { headers: { cookie: window.cookie } });
  assert.equal(none.status, 204);
});

test('an image is found by whatever a run calls it', () => {
  const idOf = idFinder(['1.jpg', 'a/1.jpg', 'a/b/2.jpg']);
  for (const [file, id] of [
    ['1.jpg', 0],
    ['../../1.jpg', 0],
    ['../../a/1.jpg', 1],
    ['/photos/.pupil/data/../../a/b/2.jpg', 2],
    ['/elsewhere/a/1.jpg', 1],
    ['/elsewhere/1.jpg', 0],
    ['C:\\photos\\a\\1.jpg', 1],
    ['3.jpg', undefined],
    ['../../a/3.jpg', undefined],
  ] as const)
    assert.equal(idOf(file), id, file);
});

test('what a run says names images as the page does', () => {
  const run = '/home/me/pho(tos)/.pupil/runs/learn-1';
  for (const [said, shown] of [
    ['/home/me/pho(tos)/.pupil/data/learn-1.csv: 2 files cannot be read', 'labels.csv: 2 files cannot be read'],
    ['1 image nearly the same: ../../a/1.jpg = ../../b/2.jpg', '1 image nearly the same: a/1.jpg = b/2.jpg'],
    ['/home/me/pho(tos)/.pupil/data/../../a/1.jpg (broken)', 'a/1.jpg (broken)'],
    ['/home/me/pho(tos)/a/1.jpg', 'a/1.jpg'],
    ['../../the \\"best\\" \\\\ one.jpg, ../../2.jpg', 'the "best" \\ one.jpg, 2.jpg'],
    ['see ../models/x.onnx', 'see ../models/x.onnx'],
  ] as const)
    assert.equal(asShown(said, run), shown);
});

test('the ladder, the first batch and pseudo-labels are shown', { skip: skipped, timeout: 120_000 }, async (t) => {
  const { page } = await openPage(t, { folder: await withLadder(t), model: 'hf:pupil-tests/no-such-model' });
  await goTo(page, 'Train');
  await page.getByText('The first batch that it learned from').click();
  await page.waitForFunction(() => globalThis.document.querySelector<HTMLImageElement>('.batch')?.naturalWidth === 16);
  const stages = await page.locator('.ladder li').allTextContents();
  assert.match(stages[1]!, /^consensus.*90\.0%, the result$/);
  assert.match(stages[3]!, /no student was named.*skipped/);
  await page.getByRole('img', { name: 'The best so far, from 80.0% to 90.0%' }).waitFor();
  await page.getByText('Labels that it gave to other images (consensus to round 1)').click();
  await page.getByLabel('Round of learn-1').selectOption('0');
  assert.deepEqual(await page.locator('tbody tr').allTextContents(), ['red3270%', 'green1195%']);
  assert.equal(await page.locator('.examples img').count(), 2);
  await assertAccessible(page, 'Train');
});

test('a batch that is learned from at this moment is shown', async (t) => {
  const folder = join(await temporaryFolder(t), 'blobs');
  const files: Record<string, Uint8Array> = {};
  for (const [channel, name] of ['red', 'green'].entries())
    for (let i = 0; i < 8; i++) files[`${name}/${i}.png`] = await encodePng(blob(channel, i));
  await writeTree(folder, files);
  const { window, ready } = await openStudio(t, { folder, model: 'hf:pupil-tests/no-such-model' });
  await ready;
  const last = (await window.get<StudioImage[]>('/api/images')).find(({ path }) => path === 'green/7.png')!.id;
  await window.post('/api/labels', [{ id: last, was: 'green', to: 'red', source: 'accepted' }]);
  const options = { mode: 'scratch', epochs: 5000, batchSize: 8, patience: 5000 };
  const begun = await window.post<RunSummary>('/api/runs', { command: 'train', options });
  assert.equal(begun.status, 200, JSON.stringify(begun.value));
  // The list that it learns from says how labels were given.
  const list = await readFile(join(folder, '.pupil/data/train-1.csv'), 'utf8');
  assert.match(list, /^..\/..\/green\/6.png,green,folder,\n..\/..\/green\/7.png,red,accepted,$/m);
  // None comes before the training has begun.
  const { bytes } = await until(
    () => window.getBytes('/api/runs/train-1/batch'),
    ({ status }) => status === 200,
  );
  const picture = await decode(bytes, 'batch');
  // Eight images, at least 112 pixels wide each.
  assert.ok(picture.width > 8 * 112 - 112 && picture.height > 112, `${picture.width} x ${picture.height}`);
  await window.post('/api/runs/train-1/stop', {});
  await until(
    () => window.get<RunDetail>('/api/runs/train-1'),
    ({ state }) => state === 'stopped',
  );
});
