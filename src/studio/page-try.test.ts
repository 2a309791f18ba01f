import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { strFromU8, unzipSync } from 'fflate';
import type { Page } from 'playwright-core';
import { exportModel } from '../artifact/export.js';
import { runFiles } from '../artifact/run-files.js';
import { buildModel } from '../models/index.js';
import { loadModel } from '../evaluate/load.js';
import { Random } from '../random.js';
import { float32 } from '../tensor.js';
import { openBrowser, softwareGpu } from '../testing/browser.js';
import { noisePng, temporaryFolder, writeTree } from '../testing/image-files.js';
import { ask, openStudio, type Window } from '../testing/studio-client.js';
import { assertAccessible, goTo, openPage, skipped } from '../testing/studio-page.js';
import { until } from '../testing/studio-photos.js';
import { serveStudio } from '../testing/studio-program.js';
import type { Assistant, Failure, Prediction, TakeAway } from './protocol.js';

/** A folder with a finished run, whose model says of half of the images that they are of no class. */
async function withRun(t: TestContext, images: readonly Uint8Array[]): Promise<string> {
  const folder = join(await temporaryFolder(t), 'noise');
  await writeTree(folder, { '1.png': 1 });
  const run = join(folder, '.pupil/runs/train-1');
  await mkdir(run, { recursive: true });
  const model = buildModel('resnet8', { labels: ['cat', 'dog', 'a <b> & "c"'], seed: 3 });
  const { featureCount } = model.head!;
  const random = new Random(1, 'means');
  const means = float32(
    [featureCount, 3],
    Array.from({ length: featureCount * 3 }, () => random.uniform()),
  );
  const write = (threshold: number): Promise<void> =>
    writeFile(join(run, 'model.onnx'), exportModel({ ...model, rejection: { means, threshold } }, {}));
  await write(0.5);
  const classifier = await loadModel(join(run, 'model.onnx'));
  const outliers = (await classifier.predict([...images])).map(({ outlier }) => outlier!).sort((a, b) => a - b);
  await classifier.close();
  const half = outliers.length / 2;
  assert.ok(outliers[half]! - outliers[half - 1]! > 1e-4, outliers.join());
  await write((outliers[half]! + outliers[half - 1]!) / 2);
  await runFiles.result.write(run, { run: 'train-1', seconds: 1 });
  return folder;
}

/** The run goes on elsewhere, and has another model. */
async function goOn(folder: string): Promise<void> {
  const model = buildModel('resnet8', { labels: ['cat', 'dog', 'a <b> & "c"'], seed: 4 });
  await writeFile(join(folder, '.pupil/runs/train-1/model.onnx'), exportModel(model, {}));
}

async function inNode({ port, cookie }: Window, image: Uint8Array): Promise<Prediction> {
  const headers = { cookie, 'origin': `http://127.0.0.1:${port}`, 'content-type': 'application/octet-stream' };
  const answer = await ask(port, '/api/runs/train-1/predict', { method: 'POST', headers, body: image });
  assert.equal(answer.status, 200, answer.text);
  return JSON.parse(answer.text) as Prediction;
}

/** What the page says of each image, by its name. */
const saidOf = (page: Page, name: string): Promise<Prediction> =>
  page.getByRole('article', { name, exact: true }).evaluate((card) => {
    const verdict = card.querySelector('.verdict')!;
    return {
      label: verdict.classList.contains('none') ? null : verdict.textContent,
      probabilities: [...card.querySelectorAll('.answer li')].map((row) => ({
        label: row.querySelector('span')!.textContent,
        probability: Number(row.querySelector<HTMLElement>('small')!.dataset['probability']),
      })),
    };
  });

function assertSame(got: Prediction, expected: Prediction): void {
  assert.equal(got.label, expected.label);
  assert.deepEqual(
    got.probabilities.map(({ label }) => label),
    expected.probabilities.map(({ label }) => label),
  );
  for (const [i, { probability }] of got.probabilities.entries())
    assert.ok(Math.abs(probability - expected.probabilities[i]!.probability) < 1e-3);
}

test('a model is tried in the browser, with the answers of Node', { skip: skipped, timeout: 180_000 }, async (t) => {
  const images = await Promise.all([1, 2, 3, 4].map((seed) => noisePng(seed, 40 + seed, 60)));
  const folder = await withRun(t, images);
  const { page, window } = await openPage(t, { folder, model: 'hf:pupil-tests/no-such-model' });
  const asked: string[] = [];
  page.on('request', (request) => {
    if (request.method() === 'POST') asked.push(request.url());
  });
  await goTo(page, 'Try');
  await page
    .getByLabel('Choose images')
    .setInputFiles(
      images.map((buffer, i) => ({ name: `${i}.png`, mimeType: 'image/png', buffer: Buffer.from(buffer) })),
    );
  await page.locator('.tried .verdict').nth(3).waitFor();
  for (const [i, image] of images.entries()) assertSame(await saidOf(page, `${i}.png`), await inNode(window, image));
  assert.equal(await page.locator('.tried .verdict.none').count(), 2, 'none of these');
  await page.getByText('The model runs in this browser').waitFor();
  assert.deepEqual(asked, [], 'no image was sent');
  // Pasted, and the camera.
  await page.evaluate(
    (bytes) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(bytes)], 'pasted.png', { type: 'image/png' }));
      globalThis.document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data }));
    },
    [...images[0]!],
  );
  await page.getByRole('article', { name: 'pasted.png' }).locator('.verdict').waitFor();
  assertSame(await saidOf(page, 'pasted.png'), await inNode(window, images[0]!));
  await goOn(folder);
  await goTo(page, 'Start');
  await goTo(page, 'Try');
  const before = await saidOf(page, 'pasted.png');
  const buffer = Buffer.from(images[0]!);
  await page.getByLabel('Choose images').setInputFiles([{ name: 'again.png', mimeType: 'image/png', buffer }]);
  await page.getByRole('article', { name: 'again.png' }).locator('.verdict').waitFor();
  assertSame(await saidOf(page, 'again.png'), await inNode(window, images[0]!));
  assert.notDeepEqual(await saidOf(page, 'again.png'), before, 'a run that went on');
  await page.getByRole('button', { name: 'Use the camera' }).press('Enter');
  await page.locator('.camera .verdict').waitFor();
  assert.deepEqual(asked, [], 'no image was sent');
  await assertAccessible(page, 'Try');
});

test(
  'what a section could not show while the studio was down it shows when it is there again',
  { skip: skipped, timeout: 240_000 },
  async (t) => {
    const images = await Promise.all([1, 2].map((seed) => noisePng(seed)));
    const folder = await withRun(t, images);
    await writeFile(join(folder, '.pupil/runs/train-1/report.html'), '<p>All about train-1</p>');
    const model = 'hf:pupil-tests/no-such-model';
    const context = await (await openBrowser(t)).newContext();
    const page = await context.newPage();
    let studio = await serveStudio(t, folder, model);
    await page.goto(studio.address);
    await page.getByRole('heading', { name: 'noise' }).waitFor();
    await studio.kill();
    await page.getByText('The studio does not answer.').first().waitFor();
    await goTo(page, 'Augment');
    await page.locator('.augmented .failure', { hasText: 'The studio does not answer.' }).waitFor();
    await goTo(page, 'Try');
    const buffer = Buffer.from(images[0]!);
    await page.getByLabel('Choose images').setInputFiles([{ name: 'one.png', mimeType: 'image/png', buffer }]);
    await page.locator('.tried .failure', { hasText: 'The studio does not answer.' }).waitFor();
    await goTo(page, 'Look');
    await page.getByRole('button', { name: 'Report', exact: true }).click();
    await page.locator('iframe').waitFor();

    studio = await serveStudio(t, folder, model);
    const other = await context.newPage();
    await other.goto(studio.address);
    await page.frameLocator('iframe').getByText('All about train-1').waitFor();
    await goTo(page, 'Try');
    await page.locator('.tried .verdict').waitFor();
    await page.getByText('The model runs in this browser').waitFor();
    await goTo(page, 'Augment');
    await page.locator('.augmented .failure').waitFor({ state: 'detached' });
    await page.locator('.augmented canvas').first().waitFor();
  },
);

test('on a GPU the answers are those of Node, too', { skip: skipped, timeout: 180_000 }, async (t) => {
  const images = await Promise.all([1, 2].map((seed) => noisePng(seed)));
  const folder = await withRun(t, images);
  const options = { folder, model: 'hf:pupil-tests/no-such-model' };
  const { page, window } = await openPage(t, options, { gpu: softwareGpu });
  const hasAdapter = await page.evaluate(async () => {
    const { gpu } = navigator as { readonly gpu?: { requestAdapter(): Promise<unknown> } };
    return ((await gpu?.requestAdapter()) ?? null) !== null;
  });
  if (!hasAdapter) return t.skip('hardware: Chromium finds no WebGPU adapter');
  await goTo(page, 'Try');
  const name = 'noise.png';
  for (const image of images) {
    const buffer = Buffer.from(image);
    await page.getByLabel('Choose images').setInputFiles([{ name, mimeType: 'image/png', buffer }]);
    await page.locator('.tried .verdict').waitFor();
    assertSame(await saidOf(page, name), await inNode(window, image));
    await page.getByText('The model runs in this browser, on the GPU').waitFor();
    await page.getByRole('button', { name: 'Clear' }).click();
  }
});

test(
  'where a browser cannot run the model, or decode an image, the studio on this machine answers',
  { skip: skipped, timeout: 180_000 },
  async (t) => {
    const image = await noisePng(1);
    const folder = await withRun(t, [image, await noisePng(2)]);
    const expected = /status of 40[04]|wasm|WebAssembly|ArrayBuffer/i;
    const { page, window } = await openPage(t, { folder, model: 'hf:pupil-tests/no-such-model' }, { expected });
    await page.route('**/ort/*.wasm', (route) => route.fulfill({ status: 404 }));
    await goTo(page, 'Try');
    const choose = (name: string, buffer: Uint8Array): Promise<void> =>
      page.getByLabel('Choose images').setInputFiles([{ name, mimeType: 'image/png', buffer: Buffer.from(buffer) }]);
    await choose('noise.png', image);
    await page.getByText('The model runs in the studio on this machine').waitFor();
    await page.locator('.tried .verdict').waitFor();
    assertSame(await saidOf(page, 'noise.png'), await inNode(window, image));
    await choose('broken.png', Buffer.from('no image'));
    await page.getByRole('article', { name: 'broken.png' }).locator('.failure').waitFor();
    assert.ok((await readFile(join(folder, '1.png'))).length > 0);
  },
);

test(
  'without a terminal a model is taken away as a smaller file, a page and a folder for the hub, its licence named',
  { skip: skipped, timeout: 240_000 },
  async (t) => {
    const images = await Promise.all([1, 2].map((seed) => noisePng(seed, 40 + seed, 60)));
    const folder = await withRun(t, images);
    const run = join(folder, '.pupil/runs/train-1');
    const classes = ['cat', 'dog', 'a <b> & "c"'];
    const origin = { name: 'someone/net', licence: 'apache-2.0' };
    const config = { command: 'train', architecture: 'resnet8', classes, backbone: origin, settings: {}, versions: {} };
    await runFiles.config.write(run, config);
    const { page } = await openPage(t, { folder, model: 'hf:pupil-tests/no-such-model' });
    await goTo(page, 'Try');
    await page.getByText('It comes from someone/net, which has the licence apache-2.0').waitFor();
    const taken = async (title: string): Promise<{ readonly name: string; readonly bytes: Uint8Array }> => {
      const download = page.waitForEvent('download');
      await page.getByRole('button', { name: `Download: ${title}` }).press('Enter');
      const file = await download;
      return { name: file.suggestedFilename(), bytes: await readFile(await file.path()) };
    };
    const whole = await readFile(join(run, 'model.onnx'));

    const small = await taken('Smaller model');
    assert.equal(small.name, 'train-1-int8.onnx');
    assert.ok(small.bytes.length < whole.length / 2, `${small.bytes.length} of ${whole.length} bytes`);
    const file = join(folder, '../small.onnx');
    await writeFile(file, small.bytes);
    const classifier = await loadModel(file);
    assert.equal((await classifier.predict([...images])).length, 2);
    await classifier.close();

    const web = await taken('Web page');
    assert.equal(web.name, 'train-1-web.zip');
    const site = unzipSync(web.bytes);
    for (const path of ['index.html', 'about.json', 'model.onnx']) assert.ok(`train-1-web/${path}` in site, path);
    assert.ok(
      Object.keys(site).some((path) => path.endsWith('.wasm')),
      'what runs the model',
    );

    const hub = await taken('Folder for the Hugging Face hub');
    assert.equal(hub.name, 'train-1.zip');
    const repository = unzipSync(hub.bytes);
    const about = JSON.parse(strFromU8(repository['train-1/config.json']!)) as { readonly id2label: object };
    assert.deepEqual(Object.values(about.id2label), classes);
    for (const path of ['README.md', 'preprocessor_config.json', 'onnx/model.onnx'])
      assert.ok(`train-1/${path}` in repository, path);
    await assertAccessible(page, 'Try');
  },
);

test('what is made to be taken away is there as long as nothing else was made', { timeout: 120_000 }, async (t) => {
  const image = await noisePng(1);
  const folder = await withRun(t, [image, await noisePng(2)]);
  const { window } = await openStudio(t, { folder, model: 'hf:pupil-tests/no-such-model' });
  const at = (form: string, run = 'train-1'): string => `/api/runs/${run}/take/${form}`;
  assert.equal((await window.getBytes(at('hub'))).status, 404, 'it was not made yet');
  for (const path of [at('tar'), at('hub', 'train-2'), at('hub', '..%2F..')])
    assert.equal((await window.post(path, {})).status, 404, path);
  const [hub, web] = await Promise.all([
    until(
      () => window.post<TakeAway>(at('hub'), {}),
      ({ value }) => value.bytes !== null,
    ),
    window.post<Failure>(at('web'), {}),
  ]);
  assert.deepEqual([web.status, web.value.error.code], [409, 'busy']);
  const file = await window.getBytes(at('hub'));
  assert.equal(file.headers['content-type'], 'application/zip');
  assert.equal(file.bytes.length, hub.value.bytes);

  // A run that goes on has another model: what was made of the one before is not handed out as it.
  const heat = '/api/runs/train-1/heat/0?label=cat';
  const before = { heat: await window.getBytes(heat), said: await inNode(window, image) };
  await goOn(folder);
  assert.equal((await window.getBytes(at('hub'))).status, 404);
  await until(
    () => window.post<TakeAway>(at('hub'), {}),
    ({ value }) => value.bytes !== null,
  );
  const model = (zip: Uint8Array): Uint8Array => unzipSync(zip)['train-1/onnx/model.onnx']!;
  assert.notDeepEqual(model((await window.getBytes(at('hub'))).bytes), model(file.bytes));
  assert.notDeepEqual((await window.getBytes(heat)).bytes, before.heat.bytes);
  assert.notDeepEqual(await inNode(window, image), before.said);
});

test(
  'of a run alone the page says that no folder is open, and how one is',
  { skip: skipped, timeout: 120_000 },
  async (t) => {
    const images = await Promise.all([1, 2, 3, 4].map((seed) => noisePng(seed)));
    const folder = await withRun(t, images);
    const { page, window } = await openPage(t, { run: join(folder, '.pupil/runs/train-1') });
    for (const section of ['Start', 'Label', 'Check', 'Augment'] as const) {
      await goTo(page, section);
      await page
        .getByRole('navigation', { name: 'Sections' })
        .locator('[aria-current]', { hasText: section })
        .waitFor();
      assert.equal(await page.getByRole('heading', { level: 1 }).textContent(), 'No folder is open', section);
      await page.locator('code', { hasText: 'pupil studio' }).waitFor();
      assert.doesNotMatch(await page.locator('main').innerText(), /being opened|labels\.csv|0 images/);
    }
    await assertAccessible(page, 'no folder');
    await page.locator('main').getByRole('link', { name: 'Try' }).click();
    await page.getByRole('heading', { level: 1, name: 'Try' }).waitFor();
    assert.equal((await window.get<Assistant>('/api/assistant')).waiting, 'No folder of images is open.');
  },
);
