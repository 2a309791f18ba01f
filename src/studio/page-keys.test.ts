import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder, writeTree } from '../testing/image-files.js';
import { goTo, holdBack, openPage, skipped } from '../testing/studio-page.js';
import { until } from '../testing/studio-photos.js';
import type { Labels } from './protocol.js';

const model = 'hf:pupil-tests/no-such-model';

test(
  'the last image of a list keeps its label until one goes back to it; an Undo is of its own step alone',
  { skip: skipped, timeout: 240_000 },
  async (t) => {
    const folder = join(await temporaryFolder(t), 'photos');
    await writeTree(folder, { '1.png': 1, '2.png': 2, '3.png': 3 });
    const { page, window } = await openPage(t, { folder, model });
    for (const add of ['cat', 'dog']) await window.post('/api/classes', { add });
    const become = (labels: readonly string[]) =>
      until(
        () => window.get<Labels>('/api/labels'),
        (known) => labels.every((label, id) => known.labels.find((one) => one.id === id)?.label === label),
      );
    const at = (place: number) => page.locator(`.cell.focused[data-place="${place}"]`);
    await goTo(page, 'Label');
    await page.getByRole('button', { name: /^All/ }).click();
    await page.locator('.classes .class').nth(2).waitFor();
    await page.locator('.grid').focus();
    for (let place = 0; place < 3; place++) {
      await at(place).waitFor();
      await page.keyboard.press('1');
    }
    await page.locator('.cell.focused').waitFor({ state: 'detached' });
    for (const key of ['2', 's', '0', 'a', 'c']) {
      await page.keyboard.press(key);
      await page.getByText('That was the last image.').waitFor();
      await page.getByRole('button', { name: 'Dismiss' }).click();
    }
    assert.equal(await page.locator('dialog').count(), 0);
    await page.locator('.grid').focus();
    await page.keyboard.press('ArrowLeft');
    await at(2).waitFor();
    await page.keyboard.press('2');
    await become(['cat', 'cat', 'dog']);
    // In the middle the focus goes on, so that one after the other can be corrected.
    await page.keyboard.press('Home');
    await page.keyboard.press('2');
    await at(1).waitFor();
    await become(['dog', 'cat', 'dog']);

    const undo = page.locator('.notice').getByRole('button', { name: 'Undo' });
    await page.keyboard.press('Control+a');
    await page.keyboard.press('1');
    await page.getByText('2 images: cat').waitFor();
    assert.equal(await undo.count(), 1);
    await become(['cat', 'cat', 'cat']);
    // What is given to those that have it is no step.
    await page.keyboard.press('Control+a');
    await page.keyboard.press('1');
    await page.getByText('they have that label already').waitFor();
    assert.equal(await undo.count(), 1);
    // Of notices of different lengths, the crosses stand below one another.
    const edges = await page
      .locator('.notice')
      .getByRole('button', { name: 'Dismiss' })
      .evaluateAll((all) => all.map((one) => Math.round(one.getBoundingClientRect().right)));
    assert.ok(edges.length > 1 && new Set(edges).size === 1, `they end at ${edges.join(', ')}`);
    // After another step the older notice cannot undo that one.
    await page.keyboard.press('Home');
    await page.keyboard.press('2');
    await become(['dog', 'cat', 'cat']);
    await page.locator('.notice', { hasText: '2 images: cat' }).waitFor();
    assert.equal(await undo.count(), 0);
    await page.keyboard.press('Control+z');
    await become(['cat', 'cat', 'cat']);
    await undo.click();
    await become(['dog', 'cat', 'dog']);
    assert.equal(await undo.count(), 0);
  },
);

test(
  'an undo while the next images are on their way goes back to its image, which can get another label',
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
    for (let i = 0; i < inSight; i++) await page.keyboard.press('1');
    await page.keyboard.press('2');
    await page.getByText('The next images are on their way.').waitFor();
    await page.keyboard.press('Control+z');
    await page.locator(`.cell.focused[data-place="${inSight - 1}"]:not(.labelled)`).waitFor();
    release();
    await page.locator(`.cell[data-place="${inSight}"]`).waitFor();
    await page.locator(`.cell.focused[data-place="${inSight - 1}"]:not(.labelled)`).waitFor();
    await page.keyboard.press('2');
    await page.locator(`.cell.focused[data-place="${inSight}"]`).waitFor();
    const { labels } = await until(
      () => window.get<Labels>('/api/labels'),
      (known) => known.labels.length === inSight && known.labels.some(({ label }) => label === 'dog'),
    );
    assert.equal(labels.filter(({ label }) => label === 'dog').length, 1);
  },
);

test(
  'in a question about two images, keys answer while the choice between them has the keyboard',
  { skip: skipped, timeout: 240_000 },
  async (t) => {
    const folder = join(await temporaryFolder(t), 'photos');
    await writeTree(folder, { '1.png': 1, '2.png': 3, '3.png': 3 });
    const { page, window } = await openPage(t, { folder, model });
    await goTo(page, 'Check');
    await page.getByRole('button', { name: /^Duplicates/ }).click();
    await page.getByText('1 question left').waitFor();
    await page.getByRole('radio').first().click();
    await page.getByRole('button', { name: /^Remove the first/ }).waitFor();
    // Arrows are those of the choice.
    await page.keyboard.press('ArrowDown');
    await page.getByRole('button', { name: /^Remove the second/ }).waitFor();
    await page.keyboard.press('1');
    await page.getByRole('button', { name: /^Remove the first/ }).waitFor();
    await page.keyboard.press('x');
    const { skipped: aside } = await until(
      () => window.get<Labels>('/api/labels'),
      (known) => known.skipped.length > 0,
    );
    assert.equal(aside.length, 1);
  },
);
