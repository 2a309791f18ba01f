import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode } from '../image/decode.js';
import type { Image } from '../image/image.js';
import { noise } from '../testing/image-files.js';
import { drawSheet, fitToCell, sheetSvg, type Sheet } from './sheet.js';
import { shortenText, textWidth, wrapText } from './text.js';

interface Placed {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const imagesOf = (svg: string): Placed[] =>
  [...svg.matchAll(/<image x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"/g)].map(([, x, y, width, height]) => ({
    x: Number(x),
    y: Number(y),
    width: Number(width),
    height: Number(height),
  }));
const unescape = (text: string): string =>
  text
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&quot;/g, '"')
    .replace(/&#39;/g, "'")
    .replace(/&amp;/g, '&');
const textsOf = (svg: string): (Placed & { text: string })[] =>
  [...svg.matchAll(/<text x="(\d+)" y="(\d+)" font-size="(\d+)"( font-weight="700")?[^>]*>([^<]*)<\/text>/g)].map(
    ([, x, y, size, bold, raw]) => {
      const text = unescape(raw!),
        style = { size: Number(size), bold: bold !== undefined };
      return {
        text,
        x: Number(x),
        y: Number(y) - style.size * 0.95,
        width: textWidth(text, style),
        height: style.size * 1.2,
      };
    },
  );
const overlap = (a: Placed, b: Placed): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
const size = (svg: string): { width: number; height: number } => {
  const [, width, height] = /width="(\d+)" height="(\d+)"/.exec(svg)!;
  return { width: Number(width), height: Number(height) };
};

const crop = ({ width, data }: Image, { x, y, width: w, height: h }: Placed): Buffer =>
  Buffer.concat(
    Array.from({ length: h }, (_, row) => data.subarray(((y + row) * width + x) * 3, ((y + row) * width + x + w) * 3)),
  );

const odd: Sheet = {
  title:
    'Every <b>op</b> & "magnitude" of a photo whose name goes on for much longer than the sheet is wide, ' +
    'and further than three lines of it',
  subtitle: 'seed 0',
  columns: ['0', 'ten and many more words than fit', 'x'.repeat(60)],
  cell: 60,
  rows: [
    {
      label: 'translate-x',
      cells: [
        { image: noise(1, 60, 40), caption: '−30.5 px' },
        {
          image: noise(2, 30, 55),
          caption: 'rotate 9°, solarize 128, posterize 4 bits, shear-x 0.123, contrast 1.27',
        },
      ],
    },
    {
      label: 'averyveryverylongnamewithoutanyspaces of five or six lines of text that go on and on',
      cells: [{ image: noise(3, 7, 3), caption: 'w'.repeat(300) }],
    },
    { label: 'empty', cells: [] },
    { cells: [1, 2, 3, 4].map((i) => ({ image: noise(i, 200, 10) })) },
    { label: 'one pixel', cells: [{ image: noise(9, 1, 1), caption: '<&>' }] },
  ],
};

test('nothing on a sheet overlaps or leaves it', async () => {
  const svg = await sheetSvg(odd);
  const page = size(svg),
    images = imagesOf(svg),
    texts = textsOf(svg);
  assert.equal(images.length, 8);
  const all = [...images, ...texts];
  for (const [i, one] of all.entries()) {
    assert.ok(
      one.x >= 20 && one.y >= 20 && one.x + one.width <= page.width - 20 && one.y + one.height <= page.height - 16,
      JSON.stringify(one),
    );
    for (const other of all.slice(i + 1))
      assert.ok(!overlap(one, other), `${JSON.stringify(one)} ${JSON.stringify(other)}`);
  }
  assert.ok(texts.some(({ text }) => text === '<&>'));
  assert.ok(texts.some(({ text }) => text.endsWith('…')));
});

test('pixels of images arrive as they are, tiny ones enlarged by whole factors', async () => {
  const same = noise(4, 50, 40),
    tiny = noise(5, 7, 5);
  const sheet: Sheet = {
    title: 'T',
    rows: [{ label: 'a', cells: [{ image: same, caption: 'as it is' }, { image: tiny }] }],
    cell: 64,
  };
  const page = await decode(await drawSheet(sheet), 'sheet');
  const svg = await sheetSvg(sheet);
  assert.deepEqual({ width: page.width, height: page.height }, size(svg));
  const [first, second] = imagesOf(svg);
  assert.ok(crop(page, first!).equals(same.data));
  assert.deepEqual([second!.width, second!.height], [63, 45]);
  assert.ok(crop(page, second!).equals(fitToCell(tiny, 64).data));
  for (let i = 0; i < 3; i++) assert.equal(crop(page, second!)[(44 * 63 + 62) * 3 + i], tiny.data[(4 * 7 + 6) * 3 + i]);
  assert.ok(Buffer.from(await drawSheet(sheet)).equals(await drawSheet(sheet)));
});

test('larger images are shrunk into their cell, whatever their shape', () => {
  const cases: [number, number, number, number][] = [
    [200, 100, 64, 32],
    [2000, 1, 64, 1],
    [1, 500, 1, 64],
    [65, 64, 64, 63],
    [40, 33, 40, 33],
    [32, 20, 64, 40],
  ];
  for (const [width, height, shownWidth, shownHeight] of cases) {
    const shown = fitToCell(noise(1, width, height), 64);
    assert.deepEqual([shown.width, shown.height], [shownWidth, shownHeight], `${width}x${height}`);
  }
});

test('a sheet without rows, titles or captions is still a picture', async () => {
  for (const sheet of [
    { rows: [] },
    { title: 'Nothing', rows: [] },
    { rows: [{ cells: [{ image: noise(1, 20, 20) }] }] },
  ] satisfies Sheet[]) {
    const { width, height } = await decode(await drawSheet(sheet), 'sheet');
    assert.ok(width > 40 && height > 20);
  }
});

test('texts are wrapped at spaces, broken where a word is too long, and shortened', () => {
  const style = { size: 13 };
  const words = 'auto-contrast, translate-x −30.5 px, posterize 4 bits, solarize 128';
  const lines = wrapText(words, 100, style);
  assert.equal(lines.join(' '), words);
  for (const line of lines) assert.ok(textWidth(line, style) <= 100);
  const broken = wrapText('x'.repeat(50), 60, style);
  assert.equal(broken.join(''), 'x'.repeat(50));
  for (const line of broken) assert.ok(textWidth(line, style) <= 60);
  assert.deepEqual(wrapText('one\ntwo', 100, style), ['one', 'two']);
  assert.deepEqual(wrapText('turned by\u00a09 degrees', 55, style), ['turned', 'by\u00a09', 'degrees']);
  assert.deepEqual(wrapText('averylong\u00a0word', 60, style), ['averylong', 'word']);
  const two = wrapText(words, 100, style, 2);
  assert.equal(two.length, 2);
  assert.ok(two[1]!.endsWith('…') && textWidth(two[1]!, style) <= 100);
  assert.deepEqual(wrapText('', 100, style), ['']);
  assert.equal(wrapText('日本', 2, style).join(''), '日本');
  assert.equal(shortenText('short', 100, style), 'short');
  const cut = shortenText('a rather long text', 60, style);
  assert.ok(cut.startsWith('a r') && cut.endsWith('…') && textWidth(cut, style) <= 60);
  assert.equal(textWidth('é', style), textWidth('e', style));
});
