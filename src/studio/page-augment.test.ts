import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Page } from 'playwright-core';
import { findOp, opNames, ops } from '../augment/ops.js';
import { hyphenated } from '../augment/names.js';
import { parseAugment } from '../augment/policy.js';
import { scaleNames } from '../augment/scale-names.js';
import { decode } from '../image/decode.js';
import type { Image } from '../image/image.js';
import { mixingSheet, opSheet, opsSheet, policySheet, type LabelledImage } from '../jobs/sheets.js';
import type { Sheet } from '../report/sheet.js';
import { noisePng, temporaryFolder, writeTree } from '../testing/image-files.js';
import { assertAccessible, goTo, openPage, skipped, type Opened } from '../testing/studio-page.js';
import type { Labels, StudioImage } from './protocol.js';

const digest = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex').slice(0, 16);

interface Canvas {
  readonly caption: string;
  readonly width: number;
  readonly height: number;
  readonly hash: string;
}

/** Every canvas of the sheet with this title and subtitle, once it is there. */
async function shown(page: Page, { title, subtitle }: Sheet): Promise<Canvas[]> {
  await page.getByRole('region', { name: `${title}: ${subtitle}`, exact: true }).waitFor();
  await page.locator('.augmented[aria-busy=false]').waitFor();
  return page.evaluate(async () => {
    const canvases = [...globalThis.document.querySelectorAll<HTMLCanvasElement>('.sheet canvas')];
    return Promise.all(
      canvases.map(async (canvas) => {
        const { width, height } = canvas;
        const { data } = canvas.getContext('2d')!.getImageData(0, 0, width, height);
        const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => data[Math.floor(i / 3) * 4 + (i % 3)]!);
        const hash = [...new Uint8Array(await crypto.subtle.digest('SHA-256', rgb))].slice(0, 8);
        const hex = hash.map((byte) => byte.toString(16).padStart(2, '0')).join('');
        return { caption: canvas.getAttribute('aria-label')!, width, height, hash: hex };
      }),
    );
  });
}

const drawnByNode = ({ rows }: Sheet): Canvas[] =>
  rows.flatMap(({ cells }) =>
    cells.map(({ image, caption = '' }: { readonly image: Image; readonly caption?: string }) => ({
      ...{ caption, width: image.width, height: image.height },
      hash: digest(image.data),
    })),
  );

/** Photos of noise in two classes, open at the section; and as Node sees them, in the order of the page. */
async function open(t: TestContext): Promise<Opened & { images: LabelledImage[]; classes: readonly string[] }> {
  const folder = join(await temporaryFolder(t), 'noise');
  // Larger than what training keeps, so that they are made smaller first.
  await writeTree(folder, {
    'a/1.png': await noisePng(1, 420, 300),
    'a/2.png': await noisePng(2, 310, 400),
    'b/3.png': await noisePng(3, 300, 300),
  });
  const opened = await openPage(t, { folder, model: 'hf:pupil-tests/no-such-model' });
  const all = await opened.window.get<StudioImage[]>('/api/images');
  const { labels, classes } = await opened.window.get<Labels>('/api/labels');
  const order = ['a/1.png', 'b/3.png', 'a/2.png'];
  const images = await Promise.all(
    order.map(async (path) => {
      const { id } = all.find((image) => image.path === path)!;
      const label = classes.indexOf(labels.find((one) => one.id === id)!.label);
      return { name: path.slice(2), image: await decode(await readFile(join(folder, path)), path), label };
    }),
  );
  await goTo(opened.page, 'Augment');
  return { ...opened, images, classes };
}

test(
  'the page draws what pupil augment draws, to the byte: every operation and every policy, from the same files',
  { skip: skipped, timeout: 240_000 },
  async (t) => {
    const { page, images, classes } = await open(t);
    const form = page.getByRole('form', { name: 'Augmentation' });
    const set = (label: string | RegExp, value: string | number): Promise<void> =>
      form.getByLabel(label).fill(String(value));
    const choose = async (label: string, value: string): Promise<void> => {
      await form.getByLabel(label, { exact: true }).selectOption(value);
    };
    const compare = async (sheet: Sheet): Promise<void> => {
      const [got, expected] = [await shown(page, sheet), drawnByNode(sheet)];
      assert.ok(new Set(expected.map(({ hash }) => hash)).size > 1, sheet.title);
      assert.deepEqual(got, expected, sheet.title);
    };
    const usual = { size: 224, seed: 0, flip: true, erase: 0 };
    const policy = (text: string, how: Partial<typeof usual> = {}): Sheet =>
      policySheet(images, parseAugment(text), { ...usual, ...how, count: 5 }).sheet;

    await compare(policy('randaugment:n=2,m=9'));
    await page.getByText('--augment randaugment:n=2,m=9', { exact: true }).waitFor();
    await page.getByText('pupil augment noise --policy randaugment:n=2,m=9 --out sheet.png').waitFor();
    await set(/^N, /, 3);
    await set(/^M, /, 17);
    await compare(policy('randaugment:n=3,m=17'));
    await choose('What magnitudes mean', 'timm-increasing');
    await compare(policy('randaugment:n=3,m=10,scale=timm-increasing'));
    await page.getByRole('button', { name: 'Draw again' }).press('Enter');
    await compare(policy('randaugment:n=3,m=10,scale=timm-increasing', { seed: 1 }));
    const policies: readonly (readonly [kind: string, text: string])[] = [
      ['trivial', 'trivial'],
      ['auto', 'auto:imagenet'],
      ['augmix', 'augmix:severity=3,width=3'],
      ['timm', 'timm:rand-m9-n2-mstd0.5-inc1'],
      ['light', 'light'],
      ['basic', 'basic'],
      ['weak', 'weak'],
      ['strong', 'strong'],
    ];
    for (const [kind, text] of policies) {
      await choose('Policy', kind);
      await compare(policy(text, { seed: 1 }));
    }
    await choose('Policy', 'ops');
    await set(/^rotate$/, 12);
    await set(/^solarize$/, 20);
    await compare(policy('ops:rotate=12@0.5,solarize=20@0.5', { seed: 1 }));
    await form.getByLabel('Mirror half of them').uncheck();
    await set(/^Erase a box/, 0.5);
    await choose('Size that the network sees', '96');
    const how = { size: 96, seed: 1, flip: false, erase: 0.5 };
    await compare(policy('ops:rotate=12@0.5,solarize=20@0.5', how));

    // Batches whose labels are mixed too.
    for (const mixing of [
      { cutmix: 1, mixup: 0 },
      { cutmix: 0, mixup: 0.4 },
    ]) {
      await set(/^CutMix/, mixing.cutmix);
      await set(/^MixUp/, mixing.mixup);
      await compare(
        mixingSheet(images, mixing, parseAugment('ops:rotate=12@0.5,solarize=20@0.5'), { ...how, batches: 3, classes })
          .sheet,
      );
    }
    await assertAccessible(page, 'Augment');

    await form.getByLabel('One operation').check();
    await choose('Operation', '');
    for (const scale of scaleNames) {
      await choose('What magnitudes mean', scale);
      await compare(opsSheet(images[0]!, scale).sheet);
    }
    await choose('What magnitudes mean', 'torchvision');
    for (const name of opNames.filter((one) => one !== 'identity')) {
      await choose('Operation', hyphenated(name));
      if (ops[name].unit !== 'none') await set(/^Magnitude/, 14);
      await compare(opSheet(images, findOp(name), 'torchvision', ops[name].unit === 'none' ? undefined : 14).sheet);
    }

    // What is shown is what is trained with.
    await choose('Operation', 'rotate');
    await page.getByRole('button', { name: 'Train with it' }).click();
    await page.getByRole('heading', { name: 'Train', level: 1 }).waitFor();
    await page.getByText('Train once').waitFor();
    assert.equal(await page.getByLabel('Augmentation', { exact: true }).inputValue(), 'ops:rotate=14');
  },
);
