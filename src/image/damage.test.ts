import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp, { type Sharp } from 'sharp';
import { PupilError } from '../errors.js';
import { Random } from '../random.js';
import { decode } from './decode.js';
import type { Image } from './image.js';
import { damageOf } from './jpeg.js';
import { readJpeg } from './jpeg-file.js';

/** A picture with areas and texture, as photos have. */
function picture(width: number, height: number): Buffer {
  const random = new Random(5, 'picture');
  const data = Buffer.alloc(width * height * 3);
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++, i++)
        data[i] =
          110 + 60 * Math.sin((x * (c + 1)) / 17) + 40 * Math.cos(y / (9 + 4 * c)) + 14 * (random.uniform() - 0.5);
  return data;
}

const width = 192,
  height = 128;
const raw = (): Sharp => sharp(picture(width, height), { raw: { width, height, channels: 3 } });
const photo = { quality: 85, optimiseCoding: true } as const;

/** JPEGs of every kind that is decoded. */
const kinds: Readonly<Record<string, () => Promise<Buffer>>> = {
  'baseline': () => raw().jpeg({ quality: 85 }).toBuffer(),
  'optimised': () => raw().jpeg(photo).toBuffer(),
  'not subsampled': () => raw().jpeg({ quality: 90, chromaSubsampling: '4:4:4' }).toBuffer(),
  'progressive': () => raw().jpeg({ quality: 85, progressive: true }).toBuffer(),
  'grey': () => raw().toColourspace('b-w').jpeg({ quality: 85 }).toBuffer(),
  'CMYK': () => raw().toColourspace('cmyk').jpeg({ quality: 85 }).toBuffer(),
  'other colours': () => raw().withIccProfile('p3').jpeg({ quality: 85 }).toBuffer(),
};

/** What disks and copies do to a file: a place of the image data, its length, and what stands there then. */
const damages: Readonly<Record<string, (bytes: Buffer, at: number, length: number, random: Random) => Buffer>> = {
  'zeros': (bytes, at, length) => Buffer.from(bytes).fill(0, at, at + length),
  'a lost block': (bytes, at, length) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]),
  'other data': (bytes, at, length, random) => {
    const copy = Buffer.from(bytes);
    for (let i = at; i < at + length; i++) copy[i] = random.integer(256);
    return copy;
  },
};

/** The share of pixels that differ by more than 16 of 255 in a channel. */
function wrongPixels(image: Image, whole: Image): number {
  let wrong = 0;
  for (let i = 0; i < whole.data.length; i += 3)
    if ([0, 1, 2].some((c) => Math.abs(image.data[i + c]! - whole.data[i + c]!) > 16)) wrong++;
  return wrong / (whole.data.length / 3);
}

test('900 JPEGs with a damaged place: none is accepted about which a strict decoder complains', async (t) => {
  const random = new Random(1, 'damage');
  const count = { tries: 0, refused: 0, harmless: 0, unseen: 0 };
  for (const [kind, make] of Object.entries(kinds)) {
    const bytes = await make();
    const whole = await decode(bytes, kind);
    const start = bytes.lastIndexOf(Buffer.from([0xff, 0xda])) + 14;
    for (const [what, damage] of Object.entries(damages)) {
      for (let i = 0; i < 43; i++) {
        const length = Math.min(160, (bytes.length - start) >> 2);
        const damaged = damage(bytes, start + random.integer(bytes.length - 2 - length - start), length, random);
        count.tries++;
        const image = await decode(damaged, kind).catch((error: unknown) => {
          assert.ok(error instanceof PupilError && error.code === 'bad-data', String(error));
          return undefined;
        });
        if (image === undefined) count.refused++;
        else if (wrongPixels(image, whole) <= 0.05) count.harmless++;
        else {
          const structure = readJpeg(damaged);
          assert.ok(structure.kind === 'common' && damageOf(damaged, structure.file) === undefined, `${kind}, ${what}`);
          count.unseen++;
        }
      }
    }
  }
  t.diagnostic(JSON.stringify(count));
  assert.ok(count.tries > 900 && count.unseen <= 0.02 * count.tries, JSON.stringify(count));
});

test('zeros that flat areas are coded as are no damage', async () => {
  for (const background of ['#000000', '#ffffff', '#3060a0']) {
    const flat = { width: 3000, height: 2000, channels: 3, background } as const;
    for (const options of [{ optimiseCoding: true }, { progressive: true }, { mozjpeg: true }, {}]) {
      const bytes = await sharp({ create: flat }).jpeg(options).toBuffer();
      assert.equal((await decode(bytes, `${background} ${JSON.stringify(options)}`)).width, 3000);
    }
  }
});

test('zeros before the end of a JPEG are padding', async () => {
  const bytes = await kinds['baseline']!();
  const padded = Buffer.concat([bytes.subarray(0, -2), Buffer.alloc(700), bytes.subarray(-2)]);
  assert.deepEqual((await decode(padded, 'padded')).data, (await decode(bytes, 'plain')).data);
});

test('the reason of a refusal is what the decoder complains about', async () => {
  const bytes = await kinds['CMYK']!();
  const cut = Buffer.concat([bytes.subarray(0, -900), bytes.subarray(-2)]);
  await assert.rejects(decode(cut, 'a.jpg'), {
    message: 'a.jpg: cannot be decoded as JPEG (premature end of data segment); repair or remove the file',
  });
});

test('kinds of JPEG without a decoder are refused by their name', async () => {
  for (const [offset, value, reason] of [
    [1, 0xc9, /^a\.jpg: a JPEG with lossless, hierarchical or arithmetic coding is not supported; convert it to PNG$/],
    [1, 0xc3, /^a\.jpg: a JPEG with lossless, hierarchical or arithmetic coding is not supported; convert it to PNG$/],
    [4, 12, /^a\.jpg: a JPEG with 12 bits a channel is not supported; convert it to PNG$/],
  ] as const) {
    const bytes = await kinds['baseline']!();
    const frame = bytes.indexOf(Buffer.from([0xff, 0xc0]));
    bytes[frame + offset] = value;
    await assert.rejects(decode(bytes, 'a.jpg'), { message: reason });
  }
});

test('a JPEG of hundreds of scans is refused before they are decoded', async () => {
  const bytes = await kinds['progressive']!();
  const scan = bytes.subarray(bytes.lastIndexOf(Buffer.from([0xff, 0xda])), -2);
  const bomb = Buffer.concat([bytes.subarray(0, -2), ...Array.from({ length: 3000 }, () => scan), bytes.subarray(-2)]);
  await assert.rejects(decode(bomb, 'a.jpg'), { message: /\(30\d\d scans of 192 x 128 pixels, more than the 100 / });
});

test('zeros in the data of WebP, TIFF and GIF are noticed, those of flat areas are not damage', async (t) => {
  const random = new Random(2, 'zeros');
  const noisy = picture(640, 480);
  const texture = (): Sharp => sharp(noisy, { raw: { width: 640, height: 480, channels: 3 } });
  const flat = (): Sharp => sharp({ create: { width: 3000, height: 2000, channels: 3, background: '#000000' } });
  const formats: Readonly<Record<string, (input: Sharp) => Promise<Buffer>>> = {
    'WebP': (input) => input.webp().toBuffer(),
    'lossless WebP': (input) => input.webp({ lossless: true }).toBuffer(),
    'GIF': (input) => input.gif().toBuffer(),
    'TIFF, LZW': (input) => input.tiff({ compression: 'lzw' }).toBuffer(),
    'TIFF, deflate': (input) => input.tiff({ compression: 'deflate' }).toBuffer(),
    'TIFF, JPEG': (input) => input.tiff({ compression: 'jpeg' }).toBuffer(),
  };
  const count = { tries: 0, refused: 0 };
  for (const [format, encode] of Object.entries(formats)) {
    assert.equal((await decode(await encode(flat()), format)).width, 3000);
    const bytes = await encode(texture());
    for (let i = 0; i < 10; i++) {
      const from = Math.floor(bytes.length * (0.2 + 0.6 * random.uniform()));
      const damaged = Buffer.from(bytes).fill(0, from, i % 2 === 0 ? bytes.length : from + 512);
      count.tries++;
      await decode(damaged, format).catch(() => count.refused++);
    }
  }
  t.diagnostic(JSON.stringify(count));
  assert.equal(count.refused, count.tries);
});
