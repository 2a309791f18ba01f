import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { Page } from 'playwright-core';
import { openBrowser } from '../testing/browser.js';
import { temporaryFolder, writeTree } from '../testing/image-files.js';
import {
  assertAccessible,
  complaints,
  goTo,
  holdBack,
  isWide,
  openPage,
  phone,
  sections,
  skipped,
} from '../testing/studio-page.js';
import { serveStudio } from '../testing/studio-program.js';
import { until } from '../testing/studio-photos.js';
import type { CheckQueues, Folder, Labels } from './protocol.js';

const model = 'hf:pupil-tests/no-such-model';
const names = Array.from({ length: 8 }, (_, i) => `${i + 1}.png`);

/** Rows of labels.csv that have a label: path and label. */
async function listed(folder: string): Promise<string[][]> {
  const text = await readFile(join(folder, 'labels.csv'), 'utf8').catch(() => '');
  const rows = text.split('\n').map((line) => line.split(',').slice(0, 2));
  return rows.slice(1).filter(([, label]) => label !== undefined && label !== '');
}

/** How often the history has an image get a label. */
async function timesMade(folder: string, path: string): Promise<number> {
  const lines = (await readFile(join(folder, '.pupil/history.jsonl'), 'utf8')).split('\n');
  return lines.filter((line) => line.includes(`"path":"${path}"`) && line.includes('"step"')).length;
}

async function showAll(page: Page): Promise<void> {
  await goTo(page, 'Label');
  await page.getByRole('button', { name: /^All/ }).click();
  await page.locator('.cell').nth(2).waitFor();
}

/** Moves to an image and presses the key of a class. */
async function press(page: Page, place: number, key: string): Promise<void> {
  await page.keyboard.press('Home');
  for (let i = 0; i < place; i++) await page.keyboard.press('ArrowRight');
  await page.locator(`.cell.focused[data-place="${place}"]`).waitFor();
  await page.keyboard.press(key);
}

const waiting = (page: Page, labels: string) =>
  page.getByText(`Not saved yet: ${labels}; waiting for Pupil.`, { exact: false });

test(
  'labels that are given while the server is down are kept, and saved when it is there again, over no newer ones',
  { skip: skipped, timeout: 300_000 },
  async (t) => {
    const folder = join(await temporaryFolder(t), 'photos');
    await writeTree(folder, Object.fromEntries(names.map((name, i) => [name, i])));
    let studio = await serveStudio(t, folder, model);
    const become = (rows: string[][]): Promise<unknown> =>
      until(
        () => listed(folder),
        (now) => isDeepStrictEqual(now, rows),
      );
    const context = await (await openBrowser(t)).newContext({ viewport: { width: 1280, height: 800 } });
    context.setDefaultTimeout(60_000);
    const page = await context.newPage();
    await page.goto(studio.address);
    await studio.window.post('/api/classes', { add: 'cat' });
    await studio.window.post('/api/classes', { add: 'dog' });
    await showAll(page);
    await page.locator('.classes .class').nth(2).waitFor();
    const answered = page.waitForResponse('**/api/labels?*');
    await press(page, 0, '1');
    await (await answered).finished();
    assert.equal((await listed(folder)).length, 1);

    await studio.kill();
    await press(page, 1, '1');
    await waiting(page, '1 label').waitFor();
    await press(page, 2, '2');
    await press(page, 3, '2');
    await press(page, 4, 's');
    await press(page, 5, '1');
    await press(page, 5, 'Control+z');
    await waiting(page, '5 labels').waitFor();
    assert.equal((await listed(folder)).length, 1);
    assert.deepEqual(await complaints(page), []);
    await page.setViewportSize(phone);
    assert.equal(await isWide(page), false, 'on a phone');
    await page.setViewportSize({ width: 1280, height: 800 });
    // Whoever closes the window is asked.
    const asked = page.waitForEvent('dialog');
    await page.close({ runBeforeUnload: true });
    const dialog = await asked;
    assert.equal(dialog.type(), 'beforeunload');
    await dialog.dismiss();

    // It is at its address again. Somebody else labels one of the images before this window is let in.
    const { port } = new URL(studio.address);
    studio = await serveStudio(t, folder, model);
    assert.equal(new URL(studio.address).port, port);
    await studio.window.get('/api/images');
    await studio.window.post('/api/labels', [{ id: 2, was: null, to: 'cat', source: 'person' }]);
    await page.getByText('It was started again: open the address that it printed').waitFor();
    const opened = await context.newPage();
    await opened.goto(studio.address);
    await page.getByRole('heading', { name: 'Another window was first' }).waitFor();
    await page.getByRole('button', { name: 'Keep what is there' }).click();
    const labels = [
      ['1.png', 'cat'],
      ['2.png', 'cat'],
      ['3.png', 'cat'],
      ['4.png', 'dog'],
    ];
    await become(labels);
    await until(
      () => studio.window.get<Labels>('/api/labels'),
      ({ skipped: aside }) => aside.length === 1,
    );
    await page.locator('.unsaved .lost').waitFor({ state: 'detached' });
    for (const path of ['2.png', '4.png', '5.png']) assert.equal(await timesMade(folder, path), 1, path);

    // Images come meanwhile, so that others get their numbers: labels go to the images that they were given to.
    await studio.kill();
    await press(page, 6, '2');
    // One more where the answer to the last one was on its way.
    await page.getByText(/^Not saved yet: [12] labels?; waiting for Pupil\./).waitFor();
    await writeTree(folder, { '0.png': 100 });
    studio = await serveStudio(t, folder, model);
    await opened.goto(studio.address);
    await become([...labels, ['7.png', 'dog']]);
    // The page shows what there is now, at the section where it was.
    await page.getByRole('button', { name: /^All 9/ }).waitFor();
    await page.getByText('All labels are saved.').waitFor();
  },
);

test(
  'an answer that is lost on its way makes no label twice; a keep is undone like a label',
  { skip: skipped, timeout: 240_000 },
  async (t) => {
    const folder = join(await temporaryFolder(t), 'photos');
    // The last two have the same pixels.
    await writeTree(folder, { '1.png': 1, '2.png': 2, '3.png': 3, '4.png': 3 });
    const { page, window } = await openPage(t, { folder, model }, { expected: /status of (403|409|50.)|ERR_/ });
    await window.post('/api/classes', { add: 'cat' });
    await page.route('**/api/thumbnail/*', (route) => route.abort());
    await showAll(page);
    await page.locator('.classes .class').nth(1).waitFor();
    let isFirst = true;
    await page.route('**/api/labels?*', async (route) => {
      if (!isFirst) return route.continue();
      isFirst = false;
      await route.fetch();
      // Another window takes it away before this one hears that it was made.
      await window.post('/api/labels', [{ id: 0, was: 'cat', to: null, source: 'person' }]);
      return route.abort();
    });
    await press(page, 0, '1');
    await press(page, 1, '1');
    await waiting(page, '2 labels').waitFor();
    await page.unroute('**/api/thumbnail/*');
    await until(
      () => listed(folder),
      (rows) => rows.length === 1,
    );
    assert.deepEqual(await listed(folder), [['2.png', 'cat']]);
    await page.locator('.cell.labelled').nth(1).waitFor({ state: 'detached' });
    assert.equal(await timesMade(folder, '1.png'), 1);

    // Pictures that did not come are asked for again.
    await page.waitForFunction(() =>
      [...globalThis.document.querySelectorAll<HTMLImageElement>('.cell img')].every(
        ({ complete, naturalWidth }) => complete && naturalWidth > 0,
      ),
    );

    // The server answers, but not this window, for a while.
    await page.route('**/api/labels?*', (route) => route.fulfill({ status: 403, json: {} }), { times: 1 });
    // Then it cannot write into the folder, and something on the way breaks.
    const error = { code: 'bad-path', message: 'labels.csv: another program has it open' };
    const answers = [
      { status: 500, json: { error } },
      { status: 502, body: 'broken' },
    ];
    await page.route('**/api/labels?*', (route) => route.fulfill(answers.shift()), { times: 2 });
    await press(page, 2, '1');
    await waiting(page, '1 label').waitFor();
    await page.getByText(/another program has it open/).waitFor();
    await until(
      () => listed(folder),
      (rows) => rows.length === 2,
    );

    await goTo(page, 'Check');
    await page.getByRole('button', { name: /^Duplicates/ }).click();
    await page.getByText('1 question left').waitFor();
    // A wide screen is made use of.
    const size = page.viewportSize()!;
    await page.setViewportSize({ width: 1920, height: 1080 });
    const { x, width } = (await page.locator('.question').boundingBox())!;
    assert.ok(x + width > 1800, `the question ends at ${x + width} of 1920`);
    await page.setViewportSize(size);
    const pairs = async (): Promise<number> => (await window.get<CheckQueues>('/api/check')).alike.length;
    await page.keyboard.press('k');
    await page.getByText('No two images are the same').waitFor();
    await until(pairs, (length) => length === 0);
    await page.keyboard.press('Control+z');
    await page.getByText('1 question left').waitFor();
    await until(pairs, (length) => length === 1);
    await page.keyboard.press('Control+y');
    await page.getByText('No two images are the same').waitFor();
    await until(pairs, (length) => length === 0);
    // The notice offers it, too.
    await page.keyboard.press('Control+z');
    await page.getByText('1 question left').waitFor();
    await page.keyboard.press('k');
    await page.getByText('No two images are the same').waitFor();
    await page.locator('.notice', { hasText: 'Kept as it is' }).getByRole('button', { name: 'Undo' }).click();
    await page.getByText('1 question left').waitFor();
    // And buttons that stay, for whoever has no keyboard.
    await page.locator('.queues').getByRole('button', { name: 'Do it again' }).click();
    await page.getByText('No two images are the same').waitFor();
    await page.locator('.queues').getByRole('button', { name: 'Undo' }).click();
    await page.getByText('1 question left').waitFor();
    await until(pairs, (length) => length === 1);
  },
);

test(
  'whoever labels faster than proposals come waits for the next image, and labels none a second time',
  { skip: skipped, timeout: 240_000 },
  async (t) => {
    const folder = join(await temporaryFolder(t), 'photos');
    const count = 40;
    await writeTree(folder, Object.fromEntries(Array.from({ length: count }, (_, i) => [`${i}.png`, i])));
    const { page, window } = await openPage(t, { folder, model });
    for (const add of ['cat', 'dog']) await window.post('/api/classes', { add });
    await goTo(page, 'Label');
    await page.locator('.cell.focused').waitFor();
    await page.locator('.classes .class').nth(2).waitFor();
    const release = await holdBack(page, '**/api/next?*');
    const inSight = Number(await page.locator('.cell.focused').getAttribute('aria-setsize'));
    assert.ok(inSight < count);
    for (let i = 0; i < inSight; i++) await page.keyboard.press('1');
    await until(
      () => window.get<Labels>('/api/labels'),
      ({ labels }) => labels.length === inSight,
    );
    for (const key of ['2', 'a', 's', '0']) await page.keyboard.press(key);
    await page.getByText('The next images are on their way.').first().waitFor();
    release();
    // The first image that comes has the focus.
    await page.locator(`.cell.focused[data-place="${inSight}"]:not(.labelled)`).waitFor();
    for (let i = inSight; i < count; i++) {
      await page.locator(`.cell.focused[data-place="${i}"]`).waitFor();
      await page.keyboard.press('1');
    }
    await until(
      () => window.get<Labels>('/api/labels'),
      ({ labels }) => labels.length === count,
    );
    for (let i = 0; i < count; i++) assert.equal(await timesMade(folder, `${i}.png`), 1, `${i}.png`);
    // Where none are left the last one keeps its label, until one goes back to it.
    await page.keyboard.press('2');
    await page.getByText('That was the last image.').waitFor();
    await page.keyboard.press('ArrowLeft');
    await page.locator(`.cell.focused[data-place="${count - 1}"]`).waitFor();
    await page.keyboard.press('2');
    const { labels } = await until(
      () => window.get<Labels>('/api/labels'),
      (known) => known.labels.some(({ label }) => label === 'dog'),
    );
    assert.equal(labels.filter(({ label }) => label === 'dog').length, 1);
  },
);

test('names of files and classes are text, whatever they look like', { skip: skipped, timeout: 240_000 }, async (t) => {
  const folder = join(await temporaryFolder(t), '<b>photos');
  const name = `<img src=x onerror="document.title='hacked'">.png`;
  await writeTree(folder, { [name]: 1, [`<s>copy.png`]: 1, '<script>.png': 'no image', 'javascript:alert(1).png': 4 });
  const { page, window } = await openPage(t, { folder, model });
  const label = `"><svg onload="document.title='hacked'">`;
  for (const add of [label, '__proto__', 'constructor']) await window.post('/api/classes', { add });
  await page.getByRole('heading', { name: '<b>photos', level: 1 }).waitFor();
  await page.getByText('1 unreadable file, skipped').click();
  await page.getByText('<script>.png', { exact: true }).waitFor();
  await showAll(page);
  await page
    .getByRole('button', { name: /svg onload/ })
    .first()
    .waitFor();
  // A key that no class has says so.
  await press(page, 0, '9');
  await page.getByText('No class has the key 9.').waitFor();
  for (const [place, key] of ['1', '2', '3'].entries()) await press(page, place, key);
  await until(
    () => window.get<Labels>('/api/labels'),
    ({ labels }) => labels.length === 3,
  );
  await page.locator('.cell .chip', { hasText: label }).waitFor();
  await page.locator('.cell .chip', { hasText: '__proto__' }).waitFor();
  for (const section of sections) {
    await goTo(page, section);
    await page.waitForTimeout(100);
    assert.equal(await page.locator('main b b, main s, main svg[onload], main img[src="x"]').count(), 0, section);
    assert.doesNotMatch(await page.title(), /hacked/, section);
  }
  assert.deepEqual((await listed(folder)).length, 3);
});

test('on a phone the ending of a file name stays whole', { skip: skipped, timeout: 240_000 }, async (t) => {
  const folder = join(await temporaryFolder(t), 'photos');
  // The same pixels.
  const long = ['20260612_173205123_of-the-garden.png', 'IMG_20260612_173205123.png'];
  await writeTree(folder, Object.fromEntries(long.map((name) => [name, 1])));
  const { page } = await openPage(t, { folder, model });
  await goTo(page, 'Check');
  await page.getByRole('button', { name: /^Duplicates/ }).click();
  await page.getByText('1 question left').waitFor();
  let broken = 0;
  for (let width = 320; width <= 420; width += 20) {
    await page.setViewportSize({ width, height: 740 });
    const names = await page.locator('figcaption').evaluateAll((captions) =>
      captions.map((caption) => {
        const end = caption.querySelector('.whole')!;
        const range = caption.ownerDocument.createRange();
        range.selectNodeContents(end.parentElement!);
        const lines = new Set([...range.getClientRects()].map(({ top }) => Math.round(top)));
        return { end: end.textContent, pieces: end.getClientRects().length, lines: lines.size };
      }),
    );
    assert.deepEqual(
      names.map(({ end, pieces }) => [end.slice(-4), pieces]),
      [
        ['.png', 1],
        ['.png', 1],
      ],
      `${width} pixels`,
    );
    broken += names.filter(({ lines }) => lines > 1).length;
    assert.equal(await isWide(page), false, `${width} pixels`);
  }
  assert.ok(broken > 0, 'some name takes two lines');
});

test(
  'while features are there and images are compared, the page says so',
  { skip: skipped, timeout: 240_000 },
  async (t) => {
    const folder = join(await temporaryFolder(t), 'photos');
    await writeTree(folder, { '1.png': 1 });
    const { page } = await openPage(t, { folder, model });
    await page.route('**/api/folder', async (route) => {
      const answer = await route.fetch();
      const comparison: Folder['progress'][number] = { task: 'comparison', done: 0, total: 1200 };
      await route.fulfill({ json: { ...((await answer.json()) as Folder), progress: [comparison] } });
    });
    await page.reload();
    await page.getByText('Comparing all images').first().waitFor();
    const bar = page.getByRole('progressbar', { name: 'Comparing all images' }).first();
    assert.equal(await bar.getAttribute('aria-valuenow'), null, 'how much of it is done is not known');
    await goTo(page, 'Label');
    await page.getByText('Your images are compared with each other.').waitFor();
    await assertAccessible(page, 'Label');
  },
);

test(
  'of many questions twelve are in sight, and all can be turned to, back and forth',
  { skip: skipped, timeout: 240_000 },
  async (t) => {
    const folder = join(await temporaryFolder(t), 'photos');
    const many = Array.from({ length: 30 }, (_, id) => id);
    await writeTree(folder, Object.fromEntries(many.map((id) => [`${id}.png`, id])));
    const { page } = await openPage(t, { folder, model });
    const json: CheckQueues = { labels: [], alike: [], strangers: many.map((id) => ({ id, score: 1 })) };
    await page.route('**/api/check', (route) => route.fulfill({ json }));
    await goTo(page, 'Check');
    await page.getByRole('button', { name: /^Of no class/ }).click();
    const isAt = async (question: number, words: string, inSight: number): Promise<void> => {
      await page.locator(`.strip [aria-current][aria-label="Question ${question}"]`).waitFor();
      await page.getByText(words, { exact: true }).waitFor();
      assert.equal(await page.locator('.strip .pick').count(), inSight);
    };
    const [earlier, later] = ['Earlier questions', 'Later questions'].map((name) => page.getByRole('button', { name }));
    await isAt(1, '30 questions left; here are 1 to 12', 12);
    assert.ok(await earlier!.isDisabled());
    await later!.click();
    await isAt(13, '30 questions left; here are 13 to 24', 12);
    await page.keyboard.press('ArrowLeft');
    await isAt(12, '30 questions left; here are 1 to 12', 12);
    await later!.click();
    await later!.click();
    await isAt(25, '30 questions left; here are 25 to 30', 6);
    assert.ok(await later!.isDisabled());
    await earlier!.click();
    await isAt(13, '30 questions left; here are 13 to 24', 12);
  },
);
