import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder, writeTree } from '../testing/image-files.js';
import { goTo, holdBack, openPage, sections, skipped } from '../testing/studio-page.js';
import { until } from '../testing/studio-photos.js';
import type { Labels } from './protocol.js';

const model = 'hf:pupil-tests/no-such-model';

test(
  'whoever passes proposals over gets others, until none are left, and a dialog gives the keyboard back',
  { skip: skipped, timeout: 240_000 },
  async (t) => {
    const folder = join(await temporaryFolder(t), 'photos');
    const count = 60;
    await writeTree(folder, Object.fromEntries(Array.from({ length: count }, (_, i) => [`${i}.png`, i])));
    const { page, window } = await openPage(t, { folder, model });
    await goTo(page, 'Label');
    const hasKeyboard = (): Promise<boolean> =>
      page.locator('.grid').evaluate((grid) => grid === grid.ownerDocument.activeElement);
    const at = (place: number) => page.locator(`.cell.focused[data-place="${place}"]`);
    await at(0).waitFor();
    await until(hasKeyboard, (has) => has);
    const inSight = Number(await at(0).getAttribute('aria-setsize'));
    assert.ok(inSight < count / 2);
    for (let i = 1; i < inSight + 3; i++) {
      await page.keyboard.press('ArrowRight');
      await at(i).waitFor();
    }
    // One image, large, goes on in the same way.
    await page.keyboard.press('Enter');
    for (let i = inSight + 4; i <= count; i++) {
      await page.keyboard.press('ArrowRight');
      await page.getByRole('group', { name: `Image ${i} of` }).waitFor();
    }
    await page.keyboard.press('ArrowRight');
    await page.getByText('There are no other images without a label.').waitFor();
    await page.getByRole('group', { name: `Image ${count} of ${count}` }).waitFor();
    assert.equal((await window.get<Labels>('/api/labels')).labels.length, 0);
    await page.keyboard.press('Enter');
    for (const [opens, closes] of [
      ['c', 'cat'],
      ['?', ''],
    ] as const) {
      await page.locator('.grid').focus();
      await page.keyboard.press(opens);
      await page.locator('dialog').waitFor();
      await page.keyboard.type(closes);
      await page.keyboard.press(closes === '' ? 'Escape' : 'Enter');
      await page.locator('dialog').waitFor({ state: 'detached' });
      await until(hasKeyboard, (has) => has);
    }
  },
);

test('nothing is said to be missing that is still on its way', { skip: skipped, timeout: 240_000 }, async (t) => {
  const folder = join(await temporaryFolder(t), 'photos');
  await writeTree(folder, { '1.png': 1, '2.png': 2 });
  const { page } = await openPage(t, { folder, model });
  for (const what of ['folder', 'images', 'labels', 'check', 'runs', 'assistant']) {
    const release = await holdBack(page, `**/api/${what}`);
    await page.reload();
    await page.getByRole('heading', { name: 'Opening…' }).waitFor();
    for (const section of sections) {
      await goTo(page, section);
      assert.equal(await page.locator('main').innerText(), 'Opening…', `${what}, ${section}`);
    }
    release();
    await page.getByRole('heading', { name: 'Opening…' }).waitFor({ state: 'detached' });
    await page.unroute(`**/api/${what}`);
  }
  const release = await holdBack(page, '**/api/next?*');
  await goTo(page, 'Label');
  await page.reload();
  await page.getByText('The next images are on their way.').waitFor();
  release();
  await page.locator('.cell.focused').waitFor();
});
