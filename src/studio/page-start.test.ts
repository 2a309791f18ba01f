import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { noisePng, temporaryFolder, writeTree } from '../testing/image-files.js';
import { assertAccessible, goTo, openPage, skipped } from '../testing/studio-page.js';
import { until } from '../testing/studio-photos.js';
import type { Folder } from './protocol.js';

const model = 'hf:pupil-tests/no-such-model';

test(
  'a folder is made and opened, photos and folders are dropped into it, another is opened, all by keyboard',
  { skip: skipped, timeout: 240_000 },
  async (t) => {
    const root = join(await temporaryFolder(t), 'pictures');
    const elsewhere = join(root, '../elsewhere');
    await writeTree(root, { 'holiday/1.png': 1, 'notes/text.txt': 'text' });
    await writeTree(elsewhere, { 'animals/cats/1.png': 2, 'animals/dogs/2.png': 3, 'animals/list.txt': 'text' });
    const { page, window } = await openPage(t, { root, model }, { expected: /status of 40[09]|ERR_/ });
    const isShown = (name: string): Promise<void> => page.getByRole('heading', { name, level: 1 }).waitFor();
    await isShown('Choose a folder of images');
    await page.getByRole('button', { name: /^holiday/ }).waitFor();
    await assertAccessible(page, 'choosing');
    await goTo(page, 'Label');
    await isShown('No folder is open');
    await page.getByRole('link', { name: 'Choose a folder of images' }).press('Enter');
    await isShown('Choose a folder of images');
    await page.getByLabel('New folder').focus();
    await page.keyboard.type('animals');
    await page.keyboard.press('Enter');
    await isShown('animals');
    assert.deepEqual(await readdir(root), ['animals', 'holiday', 'notes']);

    // Chosen: a folder that only wraps folders says nothing by its name.
    await page.getByLabel('Choose a folder of images').setInputFiles(join(elsewhere, 'animals'));
    await page.getByText('2 images added.').waitFor();
    await until(
      () => window.get<Folder>('/api/folder'),
      ({ images }) => images === 2,
    );
    assert.deepEqual(
      (await readdir(join(root, 'animals'))).filter((name) => !name.startsWith('.')),
      ['cats', 'dogs'],
    );

    // Dropped: one that is there already under its name, with other bytes, and one that is no image.
    const [other, same] = [[...(await noisePng(5))], [...(await noisePng(6))]];
    const drop = await page.evaluateHandle(
      ({ first, second }) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(first)], '1.png', { type: 'image/png' }));
        data.items.add(new File([Uint8Array.from(second)], '1.png', { type: 'image/png' }));
        data.items.add(new File(['<script>'], 'page.png', { type: 'image/png' }));
        data.items.add(new File(['text'], 'notes.txt', { type: 'text/plain' }));
        return data;
      },
      { first: other, second: same },
    );
    await page.locator('.drop').dispatchEvent('drop', { dataTransfer: drop });
    await page.getByText('2 images added.').waitFor();
    await page.getByText('1 file could not be added').click();
    await page.getByText('page.png: not an image').waitFor();
    const names = (await readdir(join(root, 'animals'))).filter((name) => name.endsWith('.png'));
    assert.deepEqual(names.sort(), ['1 (2).png', '1.png']);
    await assertAccessible(page, 'files added');

    await page.getByText('Open another folder').click();
    await page.getByRole('navigation', { name: 'Folder' }).getByRole('button', { name: 'pictures' }).press('Enter');
    await page.getByRole('button', { name: /^holiday/ }).press('Enter');
    await page.getByRole('button', { name: 'Open holiday' }).press('Enter');
    await isShown('holiday');
    assert.equal((await window.get<Folder>('/api/folder')).at, 'holiday');
  },
);
