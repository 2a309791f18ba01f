import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { opNames, ops } from '../augment/ops.js';
import { buildPipeline } from '../augment/pipeline.js';
import { parseAugment } from '../augment/policy.js';
import { trainPipeline } from '../augment/presets.js';
import { magnitude, scaleNames } from '../augment/policies/scales.js';
import { makePreprocessing } from '../data/preprocessing.js';
import { decode, encodePng, loadCodec } from '../image/decode.js';
import type { Image } from '../image/image.js';
import { drawSheet, sheetSvg, type Sheet } from '../report/sheet.js';
import { noise } from '../testing/image-files.js';
import { magnitudesOf, mixingSheet, opSheet, opsSheet, policySheet } from './sheets.js';
import { valueText } from './value-text.js';

/**
 * A computed scene: sky, ground, a disc and a post, in which every op shows; `turn` moves the disc
 * and changes colours.
 */
function scene(turn = 0, width = 32, height = 24): Image {
  const data = new Uint8Array(width * height * 3);
  const discX = width * (0.3 + 0.12 * turn),
    discY = height * 0.4,
    radius = height * 0.25;
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      const sky = y < height * 0.7;
      let colour = sky
        ? [90 + 4 * y + 35 * turn, 140 + 4 * y - 20 * turn, 235 - 2 * y - 45 * turn]
        : [70 + 2 * x, 120 - x, 50 + 40 * turn];
      if ((x - discX) ** 2 + (y - discY) ** 2 < radius ** 2)
        colour = [
          [230, 190, 40],
          [200, 60, 50],
          [60, 160, 90],
          [240, 240, 240],
        ][turn % 4]!;
      if (Math.abs(x - width * 0.75) < 1.5 && y > height * 0.3) colour = [40, 30, 30];
      for (let c = 0; c < 3; c++) data[at + c] = Math.min(255, colour[c]!);
    }
  }
  return { width, height, data };
}

const policyOf = (text: string) => parseAugment(text);
const snapshots = fileURLToPath(new URL('../../fixtures/sheets/', import.meta.url));
/**
 * Of the text, whose edges may be rounded otherwise on another processor; images have to be exact.
 */
const tolerance = 32;

/** Compares a sheet with its committed picture; `PUPIL_UPDATE_SNAPSHOTS=1` renews that. */
async function assertSheet(name: string, sheet: Sheet): Promise<void> {
  const path = join(snapshots, `${name}.png`);
  const actual = await decode(await drawSheet(sheet), name);
  const png = await encodePng(actual);
  if (process.env['PUPIL_UPDATE_SNAPSHOTS'] === '1') {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, await (await loadCodec())(png).png({ compressionLevel: 9 }).toBuffer());
  }
  const difference = existsSync(path)
    ? differenceOf(actual, await decode(readFileSync(path), path), await sheetSvg(sheet))
    : 'there is none';
  if (difference === undefined) return;
  const written = join(mkdtempSync(join(tmpdir(), 'pupil-sheet-')), `${name}.png`);
  writeFileSync(written, png);
  assert.fail(
    `not as in fixtures/sheets/${name}.png: ${difference}; the picture is now ${written}. If it is right, run with ` +
      'PUPIL_UPDATE_SNAPSHOTS=1',
  );
}

/**
 * How two pictures of a sheet differ, if they do: nothing in its images, at most `tolerance` of 255
 * elsewhere.
 */
function differenceOf(a: Image, b: Image, svg: string): string | undefined {
  if (a.width !== b.width || a.height !== b.height)
    return `${a.width}x${a.height} instead of ${b.width}x${b.height} pixels`;
  const allowed = new Uint8Array(a.width * a.height).fill(tolerance);
  for (const [, ...numbers] of svg.matchAll(/<image x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"/g)) {
    const [x, y, width, height] = numbers.map(Number) as [number, number, number, number];
    for (let row = y; row < y + height; row++) allowed.fill(0, row * a.width + x, row * a.width + x + width);
  }
  for (let i = 0; i < a.data.length; i++) {
    const pixel = Math.floor(i / 3);
    if (Math.abs(a.data[i]! - b.data[i]!) <= allowed[pixel]!) continue;
    const where = `${pixel % a.width},${Math.floor(pixel / a.width)}${allowed[pixel] === 0 ? ' in an image' : ''}`;
    return `${a.data[i]} instead of ${b.data[i]} at ${where}`;
  }
  return undefined;
}

test('snapshot: every op by magnitude', async () => {
  await assertSheet('ops', {
    ...opsSheet({ name: 'scene.png', image: scene(0, 20, 15) }, 'torchvision').sheet,
    cell: 60,
  });
});

test('snapshot: draws of a policy', async () => {
  await assertSheet(
    'policy',
    policySheet([{ name: 'scene.png', image: scene() }], policyOf('randaugment:n=2,m=9'), {
      size: 32,
      count: 11,
      seed: 3,
    }).sheet,
  );
});

test('snapshot: mixed batches', async () => {
  const images = [0, 1, 2, 3].map((turn) => ({ name: `${turn}.png`, image: scene(turn, 32, 32), label: turn }));
  const { sheet } = mixingSheet(images, { cutmix: 1, mixup: 1 }, policyOf('none'), {
    size: 32,
    seed: 4,
    batches: 4,
    classes: ['sun', 'ball', 'tree', 'moon'],
  });
  await assertSheet('mixing', sheet);
});

test('a snapshot tells images from text', () => {
  const svg = '<image x="1" y="0" width="1" height="1"/>';
  const white: Image = { width: 2, height: 1, data: new Uint8Array(6).fill(255) };
  const changed = (at: number, by: number): Image => ({
    ...white,
    data: white.data.map((value, i) => (i === at ? value - by : value)),
  });
  assert.equal(differenceOf(white, changed(0, tolerance), svg), undefined);
  assert.match(differenceOf(white, changed(0, tolerance + 1), svg)!, /255 instead of 222 at 0,0$/);
  assert.match(differenceOf(white, changed(4, 1), svg)!, /255 instead of 254 at 1,0 in an image/);
});

test('every op is on the sheet of every scale, with the values that policies use', () => {
  const image = noise(1, 40, 30);
  for (const scale of scaleNames) {
    const { sheet, rows } = opsSheet({ name: 'noise', image }, scale);
    assert.deepEqual(new Set(rows.map(({ op }) => op)), new Set([...opNames, 'horizontalFlip', 'verticalFlip']));
    assert.equal(sheet.columns!.length, magnitudesOf(scale).length);
    for (const { op, cells } of rows) {
      if (op === 'horizontalFlip' || op === 'verticalFlip' || cells.length === 1) continue;
      assert.deepEqual(
        cells.map((cell) => cell.magnitude),
        magnitudesOf(scale),
      );
      for (const cell of cells)
        assert.equal(cell.value, magnitude(scale, op, cell.magnitude!, image).value, `${scale} ${op}`);
    }
    const at = rows.findIndex(({ op }) => op === 'rotate');
    const turned = ops.rotate.apply(image, rows[at]!.cells[1]!.value!, {
      sampling: 'nearest',
      fill: scale === 'torchvision' ? [0, 0, 0] : [128, 128, 128],
    });
    assert.ok(Buffer.from(turned.data).equals(sheet.rows[at]!.cells[1]!.image.data), scale);
  }
});

test('values in words', () => {
  const cases = [
    ['rotate', 9, '9.0°'],
    ['rotate', -9, '−9.0°'],
    ['contrast', 1.27, 'factor 1.27'],
    ['posterize', 7, '7 bits'],
    ['posterize', 1, '1 bit'],
    ['shearX', -0.09, 'tangent −0.09'],
    ['translateX', -5.4, '−5.4 px'],
    ['solarize', 178.5, 'threshold 178.5'],
    ['solarizeAdd', 33, 'amount 33'],
    ['hue', -0.15, '−0.15 turn'],
    ['blur', 0.67, 'sigma 0.67'],
    ['invert', 0, ''],
  ] as const;
  for (const [op, value, text] of cases) assert.equal(valueText(op, value), text);
});

test('one op: before and after, or across magnitudes, on both sides where it has two', () => {
  const images = [
    { name: 'a', image: noise(1, 20, 20) },
    { name: 'b', image: noise(2, 20, 20) },
  ];
  const captions = (op: Parameters<typeof opSheet>[1], m?: number): string[][] =>
    opSheet(images, op, 'torchvision', m).rows.map(({ cells }) => cells.map(({ caption }) => caption));
  assert.deepEqual(captions('rotate', 9), [
    ['before', '9.0°', '−9.0°'],
    ['before', '9.0°', '−9.0°'],
  ]);
  assert.deepEqual(captions('brightness', 9)[0], ['before', 'factor 1.27', 'factor 0.73']);
  assert.deepEqual(captions('posterize', 9)[0], ['before', '7 bits']);
  assert.deepEqual(captions('invert'), [
    ['before', 'after'],
    ['before', 'after'],
  ]);
  assert.deepEqual(
    captions('rotate').map((row) => row.at(-1)),
    ['30.0°', '−30.0°', '30.0°', '−30.0°'],
  );
  assert.throws(() => captions('rotate', 31), /magnitude 31: give 0 to 30 on the scale torchvision/);
  assert.throws(() => captions('rotate', NaN), /give 0 to 30/);
  assert.throws(() => opSheet(images, 'rotate', 'timm', 12), /magnitude 12: give 0 to 10 on the scale timm/);
  assert.throws(() => captions('invert', 5), /invert takes no magnitude/);
});

test('a draw of a policy is what its recorded steps give, and the seed decides', () => {
  const policy = policyOf('randaugment:n=2,m=9');
  const image = scene(1, 40, 36);
  const make = (seed: number) =>
    policySheet([{ name: 'scene', image }], policy, { size: 32, count: 5, seed, erase: 0.5 });
  const { sheet, rows } = make(1);
  const cells = sheet.rows.flatMap((row) => row.cells);
  assert.equal(cells.length, 6);
  assert.equal(cells[0]!.caption, 'as evaluated');
  const pipeline = buildPipeline(trainPipeline(policy, makePreprocessing(32), { erase: 0.5 }));
  for (const [i, { steps, caption }] of rows[0]!.draws.entries()) {
    // As read again from JSON, on the image at training's working size (at most 37 pixels: this one
    // as it is).
    const replayed = (JSON.parse(JSON.stringify(steps)) as typeof steps).reduce((result, step, s) => {
      assert.equal(step.name, pipeline[s]!.name);
      return pipeline[s]!.apply(result, step.parameters);
    }, image);
    assert.ok(Buffer.from(replayed.data).equals(cells[i + 1]!.image.data), caption);
  }
  assert.deepEqual(make(1).rows, rows);
  assert.notDeepEqual(make(2).rows, rows);
});

test('mixed labels are the shares of what is seen', () => {
  const flat = (level: number): Image => ({ width: 16, height: 16, data: new Uint8Array(16 * 16 * 3).fill(level) });
  const images = [flat(0), flat(250), flat(100)].map((image, label) => ({ name: String(label), image, label }));
  const { sheet, rows } = mixingSheet(images, { cutmix: 1 }, policyOf('none'), {
    size: 16,
    seed: 1,
    batches: 6,
    classes: ['black', 'white', 'grey'],
  });
  assert.deepEqual(
    rows[0]!.images.map(({ caption }) => caption),
    ['black', 'white', 'grey'],
  );
  const levels: Readonly<Record<string, number>> = { black: 0, white: 250, grey: 100 };
  for (const [r, { images: shown }] of rows.entries()) {
    for (const [i, { target }] of shown.entries()) {
      const { data } = sheet.rows[r]!.cells[i]!.image;
      const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
      const expected = Object.entries(target).reduce((sum, [name, share]) => sum + share * levels[name]!, 0);
      assert.ok(Math.abs(mean - expected) < 0.01, `${mean} ${expected}`);
    }
  }
  assert.ok(rows.some(({ images: shown }) => shown.some(({ caption }) => /^\w+ 0\.\d\d \w+ 0\.\d\d$/.test(caption))));
});
