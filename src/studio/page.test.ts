import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { pupil } from '../testing/command-line.js';
import { temporaryFolder, writeTree } from '../testing/image-files.js';
import { built, complaints, goTo, isWide, openPage, phone, sections, skipped } from '../testing/studio-page.js';
import { insects, model as smallBackbone, skip as skipWithoutPhotos, until } from '../testing/studio-photos.js';
import { serveFiles } from '../testing/web-page.js';
import type { Assistant, CheckQueues, Labels } from './protocol.js';

const source = fileURLToPath(new URL('../../studio/src/', import.meta.url));

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

/** Addresses that nothing is asked from: a name of XML, and how a file that stands for another one begins. */
const names = ['http://www.w3.org', 'https://git-lfs'];

test('the page is below 300 kB gzipped, and asks for nothing from elsewhere', { skip: !existsSync(built) }, () => {
  const files = filesBelow(built);
  const bytes = files.reduce((sum, file) => sum + gzipSync(readFileSync(file)).length, 0);
  assert.ok(bytes > 10_000 && bytes < 300_000, `${bytes} bytes`);
  for (const file of files)
    for (const [address] of readFileSync(file, 'utf8').matchAll(/https?:\/\/[\w.-]+/g))
      assert.ok(names.includes(address), `${file}: ${address}`);
});

test('of the server the page knows the protocol alone, as types, and its files are short', () => {
  for (const file of filesBelow(source)) {
    const text = readFileSync(file, 'utf8');
    const isProtocol = file === join(source, 'protocol.ts');
    // What draws and classifies as Node does is Node's own code, in workers.
    if (!file.endsWith('worker.ts')) assert.ok(!/from '.*\/dist\//.test(text), file);
    for (const [line] of text.matchAll(/^.*from '(?:\.\.\/)+src\/.*$/gm))
      assert.ok(isProtocol && line.startsWith('export type'), `${file}: ${line}`);
    assert.ok(text.split('\n').length <= 200, `${file} is long`);
  }
});

const focused = async (page: Page): Promise<string> =>
  (await page.locator('.cell.focused img').getAttribute('alt')) ?? '';

/** Presses the key of a class, or makes the class. */
async function labelAs(page: Page, name: string): Promise<void> {
  const key = (await page.locator('.classes .class span').allTextContents()).indexOf(name);
  if (key >= 0) return page.keyboard.press(String(key + 1));
  await page.keyboard.press('c');
  await page.getByLabel('Class', { exact: true }).waitFor();
  await page.keyboard.type(name);
  await page.keyboard.press('Enter');
}

test(
  'photos: labelled by keyboard, an error corrected, a model trained, watched, compared, tried and put on a page',
  { skip: skipped || skipWithoutPhotos, timeout: 600_000 },
  async (t) => {
    const folder = await insects(t, 20);
    const { page, window, base } = await openPage(t, { folder, model: smallBackbone });
    await page.getByRole('link', { name: 'Start labelling' }).click();
    await page.locator('.cell.focused').waitFor();
    for (let i = 0; i < 20; i++) await labelAs(page, (await focused(page)).slice(0, 4));
    await page.locator('.estimate .accuracy').waitFor();
    const { labels, classes } = await until(
      () => window.get<Labels>('/api/labels'),
      (now) => now.labels.length === 20,
    );
    const paths = (await window.get<{ path: string }[]>('/api/images')).map(({ path }) => path);
    assert.ok(labels.every(({ id, label, source: by }) => paths[id]!.startsWith(label) && by === 'person'));
    assert.match(readFileSync(join(folder, 'labels.csv'), 'utf8'), /bees [\w]+\.jpg,bees,person/);

    // One image selects those most like it.
    await page.keyboard.press('m');
    await page.getByRole('button', { name: /^Like / }).waitFor();
    await page.locator('.cell.selected').nth(1).waitFor();
    await page.keyboard.press('Escape');

    // What the accuracy is measured on can be labelled by itself.
    await page.getByRole('button', { name: 'Label those drawn at random' }).click();
    await page.getByRole('button', { name: /^Drawn at random/ }).waitFor();
    const drawn = await focused(page);
    await labelAs(page, drawn.slice(0, 4));
    const { random } = await until(
      async () => (await window.get<Labels>('/api/labels')).labels.find(({ id }) => paths[id] === drawn),
      (label) => label !== undefined,
    ).then((label) => label!);
    assert.ok(random, drawn);

    // Suggestions, by keyboard: one is rejected, the rest of its row accepted; the keyboard is never lost. Rows change
    // when the model has learned.
    const { version } = await window.get<Labels>('/api/labels');
    await until(
      () => window.get<Assistant>('/api/assistant'),
      (said) => said.version >= version,
    );
    await page.getByRole('button', { name: /^Suggested/ }).click();
    await page.getByRole('slider').fill('0.5');
    const row = page.locator('.row').first();
    const picked = page.locator('.pick:focus');
    await row.locator('.pick').nth(1).focus();
    await page.keyboard.press('ArrowLeft');
    const rejected = await picked.locator('img').getAttribute('alt');
    await page.keyboard.press('Enter');
    await page.locator(`.pick[aria-pressed=true]:has(img[alt="${rejected}"])`).waitFor();
    const name = (await row.getAttribute('aria-label'))!;
    await row.getByRole('button', { name: /^Accept/ }).focus();
    await page.keyboard.press('Enter');
    const more = await until(
      () => window.get<Labels>('/api/labels'),
      (now) => now.labels.length > 21,
    );
    await page.locator('.row button:focus').waitFor();
    const accepted = more.labels.filter((one) => one.source === 'accepted');
    assert.ok(accepted.length > 0 && accepted.every((one) => one.label === name && paths[one.id] !== rejected));

    // Another label, taken back: it is an accepted one again.
    const { id: again } = accepted[0]!;
    await page.getByRole('button', { name: /^All/ }).click();
    await page.keyboard.press('Home');
    for (let i = 0; i < again; i++) await page.keyboard.press('ArrowRight');
    await page.locator(`#image-${again}.focused`).waitFor();
    const from = async (): Promise<string | undefined> =>
      (await window.get<Labels>('/api/labels')).labels.find(({ id }) => id === again)?.source;
    await labelAs(page, name === 'ants' ? 'bees' : 'ants');
    await until(from, (now) => now === 'person');
    await page.keyboard.press('Control+z');
    await until(from, (now) => now === 'accepted');

    // The others as they are, but for two.
    const [wrong, kept] = ['1093831624_fb5fbe2308', '1097045929_1753d1c765'].map((bee) =>
      paths.indexOf(`bees ${bee}.jpg`),
    ) as [number, number];
    const labelOf = new Map(more.labels.map(({ id, label }) => [id, label]));
    const rest = paths
      .map((path, id) => ({
        id,
        was: labelOf.get(id) ?? null,
        to: id === wrong || id === kept ? 'ants' : path.slice(0, 4),
      }))
      .filter(({ was, to }) => was !== to)
      .map((change) => ({ ...change, source: 'person' }));
    assert.equal((await window.post('/api/labels', rest)).status, 200);
    await goTo(page, 'Check');
    await until(
      () => window.get<CheckQueues>('/api/check'),
      (queues) => [wrong, kept].every((one) => queues.labels.some(({ id }) => id === one)),
    );
    // What was asked first by the model of before stays in sight, with three questions before it and those after it.
    await page.reload();
    const askAbout = async (id: number): Promise<void> => {
      await page.locator(`.strip .pick:has(img[src$="/thumbnail/${id}"])`).focus();
      await page.keyboard.press('Enter');
      await page.getByText(paths[id]!).waitFor();
    };
    // What is kept is not asked again, and keeps its label.
    await askAbout(kept);
    await page.getByRole('button', { name: /^Keep/ }).click();
    await page.getByText(paths[kept]!).waitFor({ state: 'detached' });
    await until(
      () => window.get<CheckQueues>('/api/check'),
      (queues) => queues.labels.every(({ id }) => id !== kept),
    );
    await page.reload();
    await askAbout(wrong);
    assert.equal(await page.locator(`.strip .pick:has(img[src$="/thumbnail/${kept}"])`).count(), 0);
    assert.equal((await window.get<Labels>('/api/labels')).labels.find(({ id }) => id === kept)?.label, 'ants');
    const nothing: CheckQueues = { labels: [], alike: [], strangers: [] };
    // An answer that a later one has overtaken says nothing any more.
    const asked = await page.locator('.strip .pick').count();
    let answer = (): void => undefined;
    const overtaken = new Promise<void>((resolve) => (answer = resolve));
    await page.route(
      '**/api/check',
      (route) => overtaken.then(() => route.fulfill({ json: nothing, headers: { overtaken: 'yes' } })),
      { times: 1 },
    );
    const look = (): Promise<void> =>
      page.evaluate(() => void globalThis.document.dispatchEvent(new globalThis.Event('visibilitychange')));
    const [early] = await Promise.all([page.waitForRequest('**/api/check'), look()]);
    await Promise.all([page.waitForResponse('**/api/check'), look()]);
    answer();
    assert.equal((await early.response())?.headers()['overtaken'], 'yes');
    await page.waitForTimeout(100);
    assert.equal(await page.locator('.strip .pick').count(), asked);
    // The model thinks again while a person reads: the question stays.
    await page.route('**/api/check', (route) => route.fulfill({ json: nothing }), { times: 1 });
    await look();
    await page.getByText('1 question left').waitFor();
    await page.keyboard.press('r');
    await page.getByText(paths[wrong]!).waitFor({ state: 'detached' });
    await page.keyboard.press('Control+z');
    await page.getByText('Undone: 1 image').waitFor();
    await page.keyboard.press('Control+y');
    // The page shows a label before the server has it.
    const now = await until(
      () => window.get<Labels>('/api/labels'),
      (known) => known.labels.find(({ id }) => id === wrong)?.label === 'bees',
    );
    assert.deepEqual(now.classes, classes);

    // Nothing fails where another time is asked for while one is worked out.
    await Promise.all([page.waitForRequest('**/api/forecast'), goTo(page, 'Train')]);
    await page.getByLabel('Train once').check();
    await page.getByText(/^Expected to take about \d+ (s|min)/).waitFor();
    for (const n of [1, 2]) {
      await page.getByRole('button', { name: 'Start', exact: true }).click();
      const card = page.getByRole('article', { name: `train-${n}` });
      await card.locator('.bar').waitFor();
      await card.locator('.result .accuracy').waitFor();
      await card.getByLabel('Compare').check();
    }
    await page.getByText(/^Measured on the same \d+ images/).waitFor();
    await page.getByText(/^train-2 against train-1: .*95% interval/).waitFor();

    // A cell of the confusion matrix shows its images, an image what spoke for its class; its label is changed there.
    await goTo(page, 'Look');
    await page.locator('.matrix .right').first().click();
    await page.locator('.found .pick').first().click();
    await page.locator('.nearest li').nth(5).waitFor();
    const fits = ({ scrollHeight, clientHeight }: HTMLElement): boolean => scrollHeight <= clientHeight;
    assert.ok(await page.locator('.nearest').evaluate(fits), 'labels below their images');
    await page.waitForFunction(() =>
      [...globalThis.document.querySelectorAll<HTMLImageElement>('.detail figure img')].every(
        ({ complete, naturalWidth }) => complete && naturalWidth > 0,
      ),
    );
    const shown = paths.indexOf((await page.locator('.detail figcaption b').textContent())!);
    const labelNow = async () => (await window.get<Labels>('/api/labels')).labels.find(({ id }) => id === shown)?.label;
    const before = await labelNow();
    const other = before === 'ants' ? 'bees' : 'ants';
    await page.locator('.detail').getByRole('button', { name: other }).click();
    await until(labelNow, (label) => label === other);
    await page.keyboard.press('Control+z');
    await until(labelNow, (label) => label === before);
    await goTo(page, 'Try');
    await page.locator('input[type=file]').setInputFiles([join(folder, paths[0]!), join(folder, paths.at(-1)!)]);
    await page.locator('.tried .verdict').nth(1).waitFor();
    const said = await page.locator('.tried .verdict').allTextContents();
    assert.deepEqual(said.sort(), ['ants', 'bees']);
    await page.getByText('The model runs in this browser').waitFor();
    const pasted = [...readFileSync(join(folder, paths[0]!))];
    await page.evaluate((bytes) => {
      const clipboardData = new DataTransfer();
      clipboardData.items.add(new File([Uint8Array.from(bytes)], 'pasted.jpg', { type: 'image/jpeg' }));
      globalThis.document.dispatchEvent(new ClipboardEvent('paste', { clipboardData }));
    }, pasted);
    await page.locator('.tried .verdict').nth(2).waitFor();
    await page.getByRole('button', { name: 'Use the camera' }).click();
    await page.locator('.camera .verdict').waitFor();

    // What is there now is shown in every light, and fits a phone.
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      for (const section of sections) {
        await goTo(page, section);
        await page.waitForTimeout(100);
        assert.deepEqual(await complaints(page), [], `${section}, ${colorScheme}`);
      }
    }
    await page.getByRole('button', { name: 'Report', exact: true }).click();
    await page.frameLocator('iframe').getByRole('heading', { name: 'train-2' }).waitFor();
    await page.setViewportSize(phone);
    for (const section of sections) {
      await page.goto(`${base}#/${section.toLowerCase()}`);
      await page.waitForTimeout(100);
      assert.equal(await isWide(page), false, section);
    }

    // The line that Try shows writes a page that classifies the same, from any web host.
    await page.goto(`${base}#/try`);
    await page.getByText('In a terminal').click();
    const line = (await page.locator('.command', { hasText: 'A web page' }).locator('code').textContent())!;
    const option = page.locator('.command .word', { hasText: /^--web$/ });
    assert.equal(await option.evaluate((word) => word.getClientRects().length), 1, 'in one line');
    const [, run] = /^pupil export (\S+) --web page$/.exec(line)!;
    const written = join(folder, '../page');
    assert.equal((await pupil('export', join(folder, '..', run!), '--web', written)).code, 0);
    const host = await serveFiles(t, (path) => readFile(join(written, path)));
    const visitor = await page.context().browser()!.newPage();
    visitor.setDefaultTimeout(60_000);
    await visitor.goto(host.address);
    for (const name of ['ants', 'bees']) {
      const photo = paths.find((path) => path.startsWith(name))!;
      await visitor.locator('input[type=file]').setInputFiles(join(folder, photo));
      await visitor.locator('#results .verdict', { hasText: name }).waitFor();
    }
  },
);

test(
  'a grid: frames, ranges, undo; a window that comes second is asked; nothing is fetched unasked',
  { skip: skipped, timeout: 300_000 },
  async (t) => {
    const folder = await temporaryFolder(t);
    await writeTree(folder, Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`${i}.png`, i])));
    const { page, window } = await openPage(t, { folder, model: 'hf:pupil-tests/no-such-model' });
    await page.getByRole('heading', { name: 'Download a pretrained network?' }).waitFor();
    await page.getByText('pupil-tests/no-such-model').waitFor();
    await goTo(page, 'Label');
    await page.getByRole('button', { name: /^All/ }).click();
    await page.locator('.cell').nth(8).waitFor();
    // The page shows a label before the server has it.
    const labels = (isThere: (labels: Labels['labels']) => boolean): Promise<Labels['labels']> =>
      until(async () => (await window.get<Labels>('/api/labels')).labels, isThere);
    const become = (count: number): Promise<unknown> => labels(({ length }) => length === count);
    // A class that came by a label is taken back with it, a moment later; its key is nothing's then.
    const classGone = (): Promise<void> => page.getByText('Add a first class here').waitFor();
    const chosen = (): Promise<number> => page.locator('.cell.selected').count();

    // A frame around the first two, then a range by keys.
    const [first, second] = [
      await page.locator('.cell').nth(0).boundingBox(),
      await page.locator('.cell').nth(1).boundingBox(),
    ];
    await page.mouse.move(first!.x + 20, first!.y + 20);
    await page.mouse.down();
    await page.mouse.move(second!.x + 30, second!.y + 60, { steps: 4 });
    await page.mouse.up();
    assert.equal(await chosen(), 2);
    // From below the last row, over images: they are not dragged themselves.
    await page.keyboard.press('End');
    const last = (await page.locator('.cell[data-place="59"]').boundingBox())!,
      grid = (await page.locator('.grid').boundingBox())!;
    await page.mouse.move(grid.x + grid.width / 2, grid.y + grid.height - 2);
    await page.mouse.down();
    await page.mouse.move(last.x + 5, last.y + 5, { steps: 6 });
    await page.mouse.up();
    assert.ok((await chosen()) >= 1 && (await page.locator('.cell.selected[data-place="59"]').count()) === 1);
    await page.keyboard.press('Escape');
    await page.keyboard.press('Home');
    await page.locator('.cell.focused[data-place="0"]').waitFor();
    await page.keyboard.press('Shift+ArrowRight');
    assert.equal(await chosen(), 2);
    await labelAs(page, 'one');
    assert.deepEqual(
      (await labels(({ length }) => length === 2)).map(({ id, label }) => [id, label]),
      [
        [0, 'one'],
        [1, 'one'],
      ],
    );
    await page.keyboard.press('Home');
    await page.keyboard.press('Shift+ArrowRight');
    await page.keyboard.press('Shift+ArrowRight');
    await page.keyboard.press('Shift+ArrowRight');
    assert.equal(await chosen(), 4);
    await labelAs(page, 'two');
    await labels((now) => now.filter(({ label }) => label === 'two').length === 4);
    await page.keyboard.press('Control+z');
    await become(2);
    await page.keyboard.press('Control+y');
    await become(4);
    await page.keyboard.press('Control+z');
    await page.keyboard.press('Control+z');
    await become(0);
    await classGone();
    await page.keyboard.press('?');
    await page.getByRole('heading', { name: 'Keys' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('heading', { name: 'Keys' }).waitFor({ state: 'detached' });

    // A button that was clicked does not take the keyboard, and Escape leaves the field of a new class.
    await page.getByRole('button', { name: /^All/ }).click();
    await page.keyboard.press('Enter');
    await page.getByRole('group', { name: 'Image 1 of 60' }).waitFor();
    await page.keyboard.press('Enter');
    await page.getByLabel('Name of a new class').focus();
    await page.keyboard.press('Escape');
    await page.locator('.grid:focus').waitFor();

    // One image, large: it is told as it changes, labelled by key, and the next one without a label comes.
    await page.keyboard.press('Home');
    await page.locator('.cell.focused[data-place="0"]').waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('group', { name: 'Image 1 of 60' }).waitFor();
    await page.keyboard.press('ArrowRight');
    await page.getByRole('group', { name: 'Image 2 of 60' }).waitFor();
    assert.match((await page.locator('.facts[aria-live]').textContent())!, /^1\.png/);
    await labelAs(page, 'one');
    await page.getByRole('group', { name: 'Image 3 of 60' }).waitFor();
    await become(1);
    await page.keyboard.press('Control+z');
    await become(0);
    await classGone();
    await page.keyboard.press('Enter');
    await page.locator('.grid').waitFor();

    // Another window labels the image at the very moment at which this one does.
    await page.keyboard.press('Home');
    await page.locator('.cell.focused[data-place="0"]').waitFor();
    let isFirst = true;
    await page.route('**/api/labels*', async (route) => {
      if (route.request().method() === 'POST' && isFirst) {
        isFirst = false;
        await window.post('/api/labels', [{ id: 0, was: null, to: 'two', source: 'person' }]);
      }
      await route.continue();
    });
    await labelAs(page, 'one');
    await page.getByRole('heading', { name: 'Another window was first' }).waitFor();
    await labels((now) => now[0]?.label === 'two');
    await page.getByRole('button', { name: 'Use mine' }).click();
    await labels((now) => now[0]?.label === 'one');
    // Only what is in sight is in the document.
    assert.ok((await page.locator('.cell').count()) < 50);
  },
);

test(
  'on a phone nothing is cut off, and words say what a finger does',
  { skip: skipped, timeout: 240_000 },
  async (t) => {
    const folder = await temporaryFolder(t);
    await writeTree(folder, Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`${i}.png`, i])));
    const { page, base } = await openPage(t, { folder, model: 'hf:pupil-tests/no-such-model' });
    const device = await page
      .context()
      .browser()!
      .newContext({
        viewport: phone,
        hasTouch: true,
        isMobile: true,
        storageState: await page.context().storageState(),
      });
    const touched = await device.newPage();
    await touched.goto(`${base}#/label`);
    await touched.getByRole('button', { name: /^All/ }).tap();
    await touched.locator('.cell').nth(3).waitFor();
    const ends = await touched.evaluate(() => {
      const grid = globalThis.document.querySelector('.grid')!;
      const cells = [...grid.querySelectorAll('.cell')].map((cell) => cell.getBoundingClientRect().right);
      return { grid: grid.getBoundingClientRect().left + grid.clientWidth, cell: Math.max(...cells) };
    });
    assert.ok(ends.cell <= ends.grid, `${ends.cell} > ${ends.grid}`);
    // A tap selects; a finger that moves scrolls.
    await touched.locator('.cell').nth(1).tap();
    await touched.locator('.cell.selected[data-place="1"]').waitFor();
    assert.equal(await touched.locator('button kbd:visible').count(), 0);
    await touched.getByRole('button', { name: 'Help', exact: true }).tap();
    await touched.getByRole('heading', { name: 'By touch' }).waitFor();
    assert.deepEqual(await complaints(touched), []);
  },
);
