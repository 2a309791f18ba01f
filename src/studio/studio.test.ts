import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder, writeTree } from '../testing/image-files.js';
import { ask, openStudio } from '../testing/studio-client.js';
import { insects, label, model, skip, truth, until } from '../testing/studio-photos.js';
import type {
  Assistant,
  CheckQueues,
  Failure,
  Folder,
  Forecast,
  HeldOutImages,
  OptionField,
  Prediction,
  Proposal,
  RunComparison,
  RunDetail,
  RunSummary,
  StudioImage,
} from './protocol.js';

test(
  'photos: thumbnails, proposals, predictions, an estimate on random images, a planted label error, a run',
  { skip },
  async (t) => {
    const folder = await insects(t, 24);
    const { window, close } = await openStudio(t, { folder, model });
    const images = await window.get<StudioImage[]>('/api/images');
    assert.equal(images.length, 48);
    const thumbnail = await ask(window.port, '/api/thumbnail/7', {
      headers: { cookie: window.cookie },
    });
    assert.equal(thumbnail.headers['content-type'], 'image/jpeg');
    const tag = String(thumbnail.headers['etag']);
    const again = await ask(window.port, '/api/thumbnail/7', {
      headers: { 'cookie': window.cookie, 'if-none-match': tag },
    });
    assert.equal(again.status, 304);
    await until(
      () => window.get<Assistant>('/api/assistant'),
      ({ waiting }) => waiting?.startsWith('Label') === true,
    );
    assert.equal((await window.get<Folder>('/api/folder')).backbone?.name, 'mobilenetv1-0.25-128.onnx');
    const proposals = await window.get<Proposal[]>('/api/next?count=20');
    assert.equal(new Set(proposals.map(({ id }) => id)).size, 20);
    assert.equal(proposals.filter(({ why }) => why === 'random').length, 4);
    const wrong = proposals.find(({ why }) => why !== 'random')!.id;
    const other = (name: string): string => (name === 'ants' ? 'bees' : 'ants');
    await label(
      window,
      proposals.map(({ id }) => ({
        id,
        to: id === wrong ? other(truth(images[id]!)) : truth(images[id]!),
      })),
    );
    const { predictions, estimate } = await until(
      () => window.get<Assistant>('/api/assistant'),
      (says) => says.estimate !== null,
    );
    assert.equal(estimate?.images, 4);
    assert.ok(estimate.interval[0] <= estimate.accuracy && estimate.accuracy <= estimate.interval[1]);
    assert.ok(predictions.length > 15 && predictions.every(({ confidence }) => confidence >= 0.5));
    const right = predictions.filter((said) => said.label === truth(images[said.id]!)).length;
    assert.ok(right > 0.6 * predictions.length, `${right} of ${predictions.length}`);
    // What is drawn at random is asked without a suggestion that could be accepted.
    const drawn = (await window.get<Proposal[]>('/api/next?count=10')).filter(({ why }) => why === 'random');
    const suggested = new Set((await window.get<Assistant>('/api/assistant')).predictions.map(({ id }) => id));
    assert.ok(drawn.length === 2 && suggested.size > 10 && drawn.every(({ id }) => !suggested.has(id)));
    const alike = await window.get<number[]>('/api/alike/3?count=5');
    assert.equal(new Set([...alike, 3]).size, 6);

    // With more labels the wrong one stands out.
    const free = images.filter(({ id }) => !proposals.some((one) => one.id === id));
    const { version } = (
      await label(
        window,
        free.slice(0, 24).map((image) => ({ id: image.id, to: truth(image) })),
      )
    ).value;
    await until(
      () => window.get<Assistant>('/api/assistant'),
      (says) => says.version >= version,
    );
    const { labels: doubts } = await window.get<CheckQueues>('/api/check');
    const found = doubts.find(({ id }) => id === wrong);
    assert.equal(found?.likely, truth(images[wrong]!), `${doubts.length} doubts`);
    assert.ok(doubts.length <= 8, `${doubts.length} doubts`);
    const kept = doubts.find(({ id }) => id !== wrong)?.id;
    if (kept !== undefined) await window.post('/api/check', { queue: 'labels', id: kept, decision: 'keep' });
    const decision = { label: truth(images[wrong]!) };
    const { value: after } = await window.post<CheckQueues>('/api/check', { queue: 'labels', id: wrong, decision });
    assert.ok(after.labels.every(({ id }) => id !== wrong && id !== kept));

    // How long it takes is told before it is started, and what is wrong with it.
    const forecast = (command: string, options: object) =>
      window.post<Forecast & Failure>('/api/forecast', { command, options });
    const probing = await forecast('train', { mode: 'probe' });
    assert.ok(probing.value.seconds! > 0, JSON.stringify(probing));
    const tuning = await forecast('train', { mode: 'finetune', epochs: 5000 });
    assert.ok(tuning.value.seconds! > probing.value.seconds!, JSON.stringify([probing, tuning]));
    const learning = await forecast('learn', { minutes: 0.001 });
    assert.ok(learning.value.seconds! > 1, 'the first technique is tried in full');
    const refused = await forecast('train', { mode: 'finetune', lr: 'fast' });
    assert.deepEqual([refused.status, refused.value.error?.code], [400, 'usage'], JSON.stringify(refused));
    assert.deepEqual(await window.get<RunSummary[]>('/api/runs'), [], 'nothing of it is left');

    const begun = await window.post<RunSummary>('/api/runs', {
      command: 'train',
      options: { mode: 'probe' },
    });
    assert.deepEqual([begun.status, begun.value.name], [200, 'train-1']);
    const run = await until(
      () => window.get<RunDetail>('/api/runs/train-1'),
      ({ state }) => state === 'finished' || state === 'failed',
    );
    assert.equal(run.state, 'finished', run.message);
    assert.ok(run.accuracy! > 0.5 && run.interval![0] < run.accuracy!);
    const report = await ask(window.port, '/api/runs/train-1/files/report.html', {
      headers: { cookie: window.cookie },
    });
    assert.match(String(report.headers['content-security-policy']), /sandbox/);
    const picture = await ask(window.port, '/api/runs/train-1/predict', {
      method: 'POST',
      headers: {
        'cookie': window.cookie,
        'origin': `http://127.0.0.1:${window.port}`,
        'content-type': 'application/octet-stream',
      },
      body: readFileSync(join(folder, images[0]!.path)),
    });
    const { probabilities } = JSON.parse(picture.text) as Prediction;
    assert.deepEqual(new Set(probabilities.map((one) => one.label)), new Set(['ants', 'bees']));
    const heldOut = await window.get<HeldOutImages>('/api/runs/train-1/held-out');
    assert.ok(heldOut.images.length > 20);
    for (const { id, label: own } of heldOut.images) assert.equal(own, truth(images[id]!));
    const nearest = await window.get<number[]>('/api/nearest/3?count=4');
    assert.equal(new Set([...nearest, 3]).size, 5);
    const heat = await ask(window.port, '/api/runs/train-1/heat/3', { headers: { cookie: window.cookie } });
    assert.deepEqual([heat.status, heat.headers['content-type']], [200, 'image/jpeg'], heat.text.slice(0, 200));
    await window.post('/api/runs', { command: 'train', options: { mode: 'probe', seed: 1 } });
    await until(
      () => window.get<RunDetail>('/api/runs/train-2'),
      ({ state }) => state === 'finished' || state === 'failed',
    );
    const compared = await window.get<RunComparison>('/api/runs/compare?runs=train-1,train-2');
    assert.ok(compared.images > 20);
    assert.deepEqual(
      compared.runs.map(({ name }) => name),
      ['train-1', 'train-2'],
    );
    const [against] = compared.comparisons;
    assert.ok(against!.interval[0] <= against!.gain && against!.gain <= against!.interval[1]);
    assert.deepEqual(
      (await window.get<RunSummary[]>('/api/runs')).map(({ name, state }) => [name, state]),
      [
        ['train-2', 'finished'],
        ['train-1', 'finished'],
      ],
    );
    await close();
  },
);

test('a run that fails says why, and the studio goes on', { skip }, async (t) => {
  const folder = await insects(t, 2);
  const { window } = await openStudio(t, { folder, model });
  await until(
    () => window.get<Folder>('/api/folder'),
    ({ backbone, images }) => backbone !== null && images === 4,
  );
  await window.post('/api/runs', {
    command: 'train',
    options: { mode: 'probe' },
  });
  const run = await until(
    () => window.get<RunDetail>('/api/runs/train-1'),
    ({ state }) => state === 'failed',
  );
  assert.match(run.message!, /class/);
});

test('forms have what the studio does not decide itself, what matters most first', async (t) => {
  const { window } = await openStudio(t, { folder: await temporaryFolder(t) });
  const fields = await window.get<OptionField[]>('/api/options/learn');
  const names = fields.map(({ name }) => name);
  assert.ok(names.includes('minutes') && !names.includes('model') && !names.includes('out'));
  assert.ok((await window.get<OptionField[]>('/api/options/train')).some(({ name }) => name === 'epochs'));
});

test('copies and broken files are told, and a folder is open in one studio only', async (t) => {
  const folder = await temporaryFolder(t);
  await writeTree(folder, {
    '1.png': 1,
    'copy.png': 1,
    'broken.png': 'no image',
    'notes.txt': 'text',
  });
  const { window, ready } = await openStudio(t, { folder });
  await ready;
  const { alike, unreadable, images } = await window.get<Folder>('/api/folder');
  assert.deepEqual([images, alike], [2, [{ ids: [0, 1], kind: 'same' }]]);
  assert.deepEqual(
    unreadable.map(({ path }) => path),
    ['broken.png'],
  );
  await assert.rejects(openStudio(t, { folder }), { code: 'busy' });
});
