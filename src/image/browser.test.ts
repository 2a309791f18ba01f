import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import sharp, { type Sharp } from 'sharp';
import { decode } from './decode.js';
import type { Image } from './image.js';

const [width, height] = [48, 32];

/** Left red, right blue, a green square at the top left. */
const pixels = Buffer.alloc(width * height * 3);
for (let y = 0; y < height; y++)
  for (let x = 0; x < width; x++)
    pixels.set(x < 12 && y < 12 ? [40, 200, 60] : x < 24 ? [220, 30, 40] : [20, 60, 200], (y * width + x) * 3);
const picture = (): Sharp => sharp(pixels, { raw: { width, height, channels: 3 } });
const jpeg = (): Promise<Buffer> => picture().jpeg({ quality: 95 }).toBuffer();

/** A TIFF structure whose only entry is the orientation, of type 3 (SHORT), 4 (LONG) or 1 (BYTE). */
function orientation(value: number, type = 3): Buffer {
  const bytes = Buffer.alloc(26);
  bytes.write('II*\0\x08\0\0\0\x01\0', 'latin1');
  bytes.writeUInt16LE(0x112, 10);
  bytes.writeUInt16LE(type, 12);
  bytes.writeUInt32LE(1, 14);
  bytes.writeUInt32LE(value, 18);
  return bytes;
}

/** The JPEG with Exif segments of these contents. */
const withExif = (file: Buffer, ...contents: readonly Buffer[]): Buffer =>
  Buffer.concat([
    file.subarray(0, 2),
    ...contents.flatMap((content) => [
      Buffer.from([0xff, 0xe1, 0, content.length + 8]),
      Buffer.from('Exif\0\0', 'latin1'),
      content,
    ]),
    file.subarray(2),
  ]);

/** A BMP of that many bits a pixel, with masks if given; the picture as it is, or its rows from the top. */
function bmp(bits: 1 | 4 | 8 | 16 | 24 | 32, masks?: readonly number[], topDown = false): Buffer {
  const palette = bits <= 8 ? 2 ** bits : 0;
  const stride = Math.ceil((width * bits) / 32) * 4;
  const start = 14 + 40 + (masks === undefined ? 0 : 12) + 4 * palette;
  const bytes = Buffer.alloc(start + stride * height);
  bytes.write('BM');
  bytes.writeUInt32LE(bytes.length, 2);
  bytes.writeUInt32LE(start, 10);
  bytes.writeUInt32LE(40, 14);
  bytes.writeInt32LE(width, 18);
  bytes.writeInt32LE(topDown ? -height : height, 22);
  bytes.writeUInt16LE(1, 26);
  bytes.writeUInt16LE(bits, 28);
  bytes.writeUInt32LE(masks === undefined ? 0 : 3, 30);
  masks?.forEach((mask, i) => bytes.writeUInt32LE(mask, 54 + 4 * i));
  const colours = [
    [220, 30, 40],
    [20, 60, 200],
    [40, 200, 60],
  ];
  if (palette > 0)
    for (let i = 0; i < palette; i++) {
      const [red, green, blue] = colours[i] ?? [0, 0, 0];
      bytes.set([blue!, green!, red!, 0], start - 4 * palette + 4 * i);
    }
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const row = start + (topDown ? y : height - 1 - y) * stride;
      const [red, green, blue] = pixels.subarray((y * width + x) * 3);
      const index = red === 220 ? 0 : red === 20 ? 1 : bits === 1 ? 0 : 2;
      if (bits <= 8) bytes[row + Math.floor((x * bits) / 8)]! |= index << (8 - bits - ((x * bits) % 8));
      else if (bits === 24) bytes.set([blue!, green!, red!], row + 3 * x);
      else {
        const [redMask, greenMask, blueMask] =
          masks ?? (bits === 16 ? [0x7c00, 0x3e0, 0x1f] : [0xff0000, 0xff00, 0xff]);
        const placed = (value: number, mask: number): number => {
          const unit = (mask & -mask) >>> 0;
          return Math.round((value / 255) * ((mask >>> 0) / unit)) * unit;
        };
        const value = placed(red!, redMask!) + placed(green!, greenMask!) + placed(blue!, blueMask!);
        if (bits === 16) bytes.writeUInt16LE(value, row + 2 * x);
        else bytes.writeUInt32LE(value, row + 4 * x);
      }
    }
  return bytes;
}

interface Case {
  readonly make: () => Promise<Buffer> | Buffer;
  /** The orientation that the picture has once it is decoded, of those that are made here. */
  readonly turned?: true | undefined;
  /** Colours are those of the picture. */
  readonly sameColours?: false | undefined;
}

const cases: Readonly<Record<string, Case>> = {
  'JPEG': { make: jpeg },
  'JPEG of other colours': { make: () => picture().withIccProfile('p3').jpeg({ quality: 95 }).toBuffer() },
  'turned JPEG': { make: async () => withExif(await jpeg(), orientation(6)), turned: true },
  'JPEG, orientation as LONG': { make: async () => withExif(await jpeg(), orientation(6, 4)) },
  'JPEG, orientation as BYTE': { make: async () => withExif(await jpeg(), orientation(6, 1)) },
  'JPEG, orientation 9': { make: async () => withExif(await jpeg(), orientation(9)) },
  'JPEG, turned by the first of two': {
    make: async () => withExif(await jpeg(), orientation(6), orientation(3)),
    turned: true,
  },
  'JPEG, turned by the second of two': { make: async () => withExif(await jpeg(), orientation(1), orientation(6)) },
  'JPEG, the first of two broken': {
    make: async () => withExif(await jpeg(), Buffer.from('nothing!!'), orientation(6)),
  },
  'CMYK': { make: () => picture().toColourspace('cmyk').jpeg({ quality: 95 }).toBuffer(), sameColours: false },
  'CMYK with a profile': {
    make: () => picture().toColourspace('cmyk').withIccProfile('cmyk').jpeg({ quality: 95 }).toBuffer(),
    sameColours: false,
  },
  'turned PNG': { make: () => picture().withMetadata({ orientation: 6 }).png().toBuffer(), turned: true },
  'WebP with Exif': { make: () => picture().withMetadata({ orientation: 6 }).webp({ lossless: true }).toBuffer() },
  'AVIF': { make: () => picture().avif({ quality: 90 }).toBuffer() },
  ...Object.fromEntries(
    ([4, 8, 16, 24, 32] as const).map((bits) => [`BMP of ${bits} bits`, { make: () => bmp(bits) }]),
  ),
  'BMP of 1 bit': { make: () => bmp(1), sameColours: false },
  'BMP from the top': { make: () => bmp(24, undefined, true) },
  'BMP of 565 bits': { make: () => bmp(16, [0xf800, 0x7e0, 0x1f]) },
  'BMP of red last': { make: () => bmp(32, [0xff, 0xff00, 0xff0000]) },
};

/** The colours at four places of an image, top left first. */
const places = ({ width: columns, height: rows, data }: Image): number[] =>
  [
    [0.1, 0.1],
    [0.9, 0.1],
    [0.1, 0.9],
    [0.9, 0.9],
  ].flatMap(([x, y]) => {
    const at = 3 * (Math.floor(y! * rows) * columns + Math.floor(x! * columns));
    return [...data.subarray(at, at + 3)];
  });

const assertNear = (actual: readonly number[], wanted: readonly number[], most: number, name: string): void =>
  assert.ok(
    actual.every((value, i) => Math.abs(value - wanted[i]!) <= most),
    `${name}: ${actual.join(' ')} instead of ${wanted.join(' ')}`,
  );

const [green, red, blue] = [
  [40, 200, 60],
  [220, 30, 40],
  [20, 60, 200],
];

test('pictures have their colours and stand upright', async () => {
  for (const [name, { make, turned, sameColours = true }] of Object.entries(cases)) {
    const image = await decode(await make(), name);
    assert.deepEqual([image.width, image.height], turned ? [height, width] : [width, height], name);
    const wanted = turned ? [red, green, blue, blue] : [green, blue, red, blue];
    if (sameColours)
      assertNear(
        places(image),
        wanted.flatMap((colour) => colour ?? []),
        8,
        name,
      );
  }
});

const chromium = '/usr/bin/chromium';
test('a browser sees what Node sees', { skip: existsSync(chromium) ? false : 'needs Chromium' }, async () => {
  const { chromium: browserType } = await import('playwright-core');
  const browser = await browserType.launch({ executablePath: chromium, args: ['--no-sandbox', '--disable-gpu'] });
  try {
    const tab = await browser.newPage();
    for (const [name, { make }] of Object.entries(cases)) {
      const bytes = await make();
      const seen = await tab.evaluate(
        async ({ base64, isCmyk }) => {
          const blob = new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))]);
          const bitmap = await createImageBitmap(blob, isCmyk ? { colorSpaceConversion: 'none' } : {});
          const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')!;
          context.drawImage(bitmap, 0, 0);
          const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
          return { width: bitmap.width, height: bitmap.height, data: [...data].filter((_, i) => i % 4 < 3) };
        },
        { base64: bytes.toString('base64'), isCmyk: name.startsWith('CMYK') },
      );
      const image = await decode(bytes, name);
      assert.deepEqual([image.width, image.height], [seen.width, seen.height], name);
      assertNear(places(image), places({ ...seen, data: Uint8Array.from(seen.data) }), 2, name);
    }
  } finally {
    await browser.close();
  }
});
