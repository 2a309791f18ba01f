import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openBrowser } from '../testing/browser.js';
import { goTo, skipped } from '../testing/studio-page.js';
import { serveStudio } from '../testing/studio-program.js';
import { insects, model, skip as skipWithoutPhotos, until } from '../testing/studio-photos.js';
import type { Labels, RunDetail } from './protocol.js';

test(
  'a server that is killed in the middle of a training goes on with it; it is stopped and resumed from the page',
  { skip: skipped || skipWithoutPhotos, timeout: 600_000 },
  async (t) => {
    const folder = await insects(t, 8);
    const rows = (await readdir(folder)).filter((name) => name.endsWith('.jpg'));
    await writeFile(
      join(folder, 'labels.csv'),
      `path,label\n${rows.map((name) => `${name},${name.slice(0, 4)}\n`).join('')}`,
    );
    const browser = await openBrowser(t);
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    page.setDefaultTimeout(120_000);
    let studio = await serveStudio(t, folder, model);
    const epochs = async (least: number): Promise<number> => {
      const { curve } = await until(
        () => studio.window.get<RunDetail>('/api/runs/train-1'),
        ({ state, curve: points }) => state === 'running' && points.length >= least,
        120,
      );
      return curve.at(-1)!.epoch;
    };
    const card = page.getByRole('article', { name: 'train-1' });

    await page.goto(studio.address);
    await goTo(page, 'Train');
    await page.getByLabel('Train once').check();
    await page.getByLabel('Mode', { exact: true }).selectOption('finetune');
    await page.getByLabel('Epochs', { exact: true }).fill('2000');
    // Of what is trained for a fold alone no state is kept.
    await page.getByText('More options').click();
    await page.getByLabel('Folds', { exact: true }).fill('0');
    // A word may stand instead of a number; what is typed stays while the page hears of something else.
    const rate = page.getByLabel('Learning rate', { exact: true }),
      smoothing = page.getByLabel('Label smoothing', { exact: true });
    const [first] = (await studio.window.get<Labels>('/api/labels')).labels;
    const cases = [
      [rate, 'auto', '"lr":"auto"'],
      [rate, '0.005', '"lr":0.005'],
      [smoothing, '0.05', '"labelSmoothing":0.05'],
    ] as const;
    for (const [field, typed, sent] of cases) {
      const asked = page.waitForRequest((request) => request.postData()?.includes(sent) === true);
      await field.fill('');
      await field.pressSequentially(typed.slice(0, 3));
      for (const [was, to, count] of [[first!.label, null, 15] as const, [null, first!.label, 16] as const]) {
        await studio.window.post('/api/labels', [{ id: first!.id, was, to, source: 'person' }]);
        await page.getByText(`On ${count} labels of`).waitFor();
      }
      await page.keyboard.type(typed.slice(3));
      assert.equal(await field.inputValue(), typed);
      await page.keyboard.press('Tab');
      await asked;
      await field.fill('');
    }
    await page.getByRole('button', { name: 'Start', exact: true }).click();
    await card.getByRole('button', { name: 'Stop' }).waitFor();
    const before = await epochs(2);
    await studio.kill();
    await page.getByText('The studio does not answer').waitFor();

    studio = await serveStudio(t, folder, model);
    await page.goto(studio.address);
    await goTo(page, 'Train');
    await card.locator('.state.running').waitFor();
    assert.ok((await epochs(1)) >= before, 'it went on, and did not begin again');
    await card.getByRole('button', { name: 'Stop' }).click();
    await card.getByRole('button', { name: 'Resume' }).click();
    await card.locator('.state.running').waitFor();
    await epochs(1);
    await card.getByRole('button', { name: 'Stop' }).click();
    await card.getByRole('button', { name: 'Resume' }).waitFor();
  },
);
