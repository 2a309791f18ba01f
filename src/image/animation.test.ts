import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { test } from 'node:test';
import sharp, { type Sharp } from 'sharp';
import { decode } from './decode.js';
import type { Box, Colour, Image, Size } from './image.js';

const red: Colour = [220, 30, 40],
  blue: Colour = [20, 60, 200],
  white: Colour = [255, 255, 255];

interface Frame extends Box {
  readonly colour: Colour;
}

const frame = (left: number, top: number, width: number, height: number, colour = red): Frame => ({
  left,
  top,
  width,
  height,
  colour,
});

const plain = ({ width, height }: Size, [r, g, b]: Colour): Sharp =>
  sharp({ create: { width, height, channels: 3, background: { r, g, b } } });

/** A GIF of one-coloured frames on a canvas of that size; its background is the second of its colours. */
async function gif(canvas: Size, frames: readonly Frame[]): Promise<Buffer> {
  const head = Buffer.alloc(13);
  head.write('GIF89a');
  head.writeUInt16LE(canvas.width, 6);
  head.writeUInt16LE(canvas.height, 8);
  head.set([0x80, 1], 10);
  const parts = [head, Buffer.from([0, 255, 0, 0, 0, 255])];
  for (const { left, top, width, height, colour } of frames) {
    const file = await plain({ width, height }, colour).gif().toBuffer();
    let at = 13 + ((file[10]! & 0x80) === 0 ? 0 : 3 * 2 ** ((file[10]! & 7) + 1));
    const colours = file.subarray(13, at);
    while (file[at] === 0x21) {
      at += 2;
      while (file[at] !== 0) at += file[at]! + 1;
      at++;
    }
    const descriptor = Buffer.from(file.subarray(at, at + 10));
    descriptor.writeUInt16LE(left, 1);
    descriptor.writeUInt16LE(top, 3);
    const own = (descriptor[9]! & 0x80) !== 0;
    if (!own) descriptor[9]! |= 0x80 | (file[10]! & 7);
    const control = Buffer.from([0x21, 0xf9, 4, 0, 10, 0, 0, 0]);
    parts.push(control, descriptor, own ? Buffer.alloc(0) : colours, file.subarray(at + 10, file.length - 1));
  }
  return Buffer.concat([...parts, Buffer.from([0x3b])]);
}

async function webp({ width, height }: Size, frames: readonly Frame[]): Promise<Buffer> {
  const chunk = (name: string, ...data: readonly Uint8Array[]): Buffer => {
    const content = Buffer.concat(data),
      head = Buffer.alloc(8);
    head.write(name);
    head.writeUInt32LE(content.length, 4);
    return Buffer.concat([head, content, Buffer.alloc(content.length & 1)]);
  };
  const numbers = (...values: readonly number[]): Buffer =>
    Buffer.from(values.flatMap((value) => [value & 255, (value >> 8) & 255, value >> 16]));
  const parts = [
    chunk('VP8X', Buffer.from([0x12, 0, 0, 0]), numbers(width - 1, height - 1)),
    chunk('ANIM', Buffer.from([0, 255, 0, 255, 0, 0])),
  ];
  for (const { left, top, colour, ...size } of frames) {
    const file = await plain(size, colour).webp({ lossless: true }).toBuffer();
    const place = numbers(left / 2, top / 2, size.width - 1, size.height - 1, 100);
    parts.push(chunk('ANMF', place, Buffer.from([0]), file.subarray(12)));
  }
  return chunk('RIFF', Buffer.from('WEBP'), ...parts);
}

/** An animated PNG; with `still` that is its default image, which is no part of the animation. */
async function png(canvas: Size, frames: readonly Frame[], still?: Colour): Promise<Buffer> {
  const chunk = (name: string, data: Uint8Array): Buffer => {
    const bytes = Buffer.alloc(12 + data.length);
    bytes.writeUInt32BE(data.length);
    bytes.write(name, 4);
    bytes.set(data, 8);
    bytes.writeUInt32BE(crc32(bytes.subarray(4, -4)), 8 + data.length);
    return bytes;
  };
  const numbers = (...values: readonly number[]): Buffer => {
    const bytes = Buffer.alloc(4 * values.length);
    values.forEach((value, i) => bytes.writeUInt32BE(value, 4 * i));
    return bytes;
  };
  const dataOf = async (size: Size, colour: Colour, wanted: string): Promise<Buffer> => {
    const file = await plain(size, colour).png({ palette: false }).toBuffer();
    const found: Buffer[] = [];
    for (let at = 8; at < file.length; at += 12 + file.readUInt32BE(at))
      if (file.toString('latin1', at + 4, at + 8) === wanted)
        found.push(file.subarray(at + 8, at + 8 + file.readUInt32BE(at)));
    return Buffer.concat(found);
  };
  const parts = [
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', await dataOf(canvas, red, 'IHDR')),
    chunk('acTL', numbers(frames.length, 0)),
  ];
  if (still !== undefined) parts.push(chunk('IDAT', await dataOf(canvas, still, 'IDAT')));
  let sequence = 0;
  for (const [i, { colour, left, top, ...size }] of frames.entries()) {
    const place = numbers(sequence++, size.width, size.height, left, top);
    parts.push(chunk('fcTL', Buffer.concat([place, Buffer.from([0, 1, 0, 10, 0, 0])])));
    const data = await dataOf(size, colour, 'IDAT');
    const isFirst = still === undefined && i === 0;
    parts.push(isFirst ? chunk('IDAT', data) : chunk('fdAT', Buffer.concat([numbers(sequence++), data])));
  }
  return Buffer.concat([...parts, chunk('IEND', Buffer.alloc(0))]);
}

interface Case {
  readonly file: Promise<Buffer>;
  /** What is shown, and where the red of the first frame is in it; a pattern where it is refused. */
  readonly shown: readonly [Size, Box] | RegExp;
}

const [small, ofScreen, wide] = [
  { width: 40, height: 30 },
  { width: 640, height: 480 },
  { width: 3000, height: 20 },
];
const second = frame(0, 0, 40, 30, blue);
const inner = frame(10, 6, 20, 12);

const cases: Readonly<Record<string, Case>> = {
  'GIF': { file: gif(small, [frame(0, 0, 40, 30), second]), shown: [small, frame(0, 0, 40, 30)] },
  'GIF, a smaller frame': { file: gif(small, [inner, second]), shown: [small, inner] },
  'GIF, a smaller frame on a usual screen': { file: gif(ofScreen, [inner, second]), shown: [ofScreen, inner] },
  'GIF, a smaller frame on a wide canvas': { file: gif(wide, [inner]), shown: [wide, inner] },
  'GIF without a canvas': { file: gif({ width: 0, height: 0 }, [inner]), shown: [{ width: 30, height: 18 }, inner] },
  'GIF, a frame beyond the canvas': {
    file: gif(small, [frame(30, 20, 20, 16)]),
    shown: [{ width: 50, height: 36 }, frame(30, 20, 20, 16)],
  },
  'GIF, a second frame beyond the canvas': {
    file: gif(small, [inner, frame(0, 0, 60, 50, blue)]),
    shown: [small, inner],
  },
  'GIF, a canvas of 65,535 pixels': {
    file: gif({ width: 65_535, height: 65_535 }, [inner]),
    shown: /^[^\n]*65535 x 65535 pixels \(4294\.8 megapixels\), and a GIF may have at most 33\.6 megapixels/,
  },
  'WebP': { file: webp(small, [frame(0, 0, 40, 30), second]), shown: [small, frame(0, 0, 40, 30)] },
  'WebP, a smaller frame': { file: webp(small, [inner, second]), shown: [small, inner] },
  'animated PNG': { file: png(small, [frame(0, 0, 40, 30), second]), shown: [small, frame(0, 0, 40, 30)] },
  'animated PNG, a smaller second frame': {
    file: png(small, [frame(0, 0, 40, 30), { ...inner, colour: blue }]),
    shown: [small, frame(0, 0, 40, 30)],
  },
  'animated PNG, a smaller first frame': { file: png(small, [inner, second]), shown: /cannot be decoded as PNG/ },
  'animated PNG with another still picture': {
    file: png(small, [frame(0, 0, 40, 30), second], blue),
    shown: /an animated PNG whose still picture is not part of the animation[^\n]*save its first frame as a PNG$/,
  },
};

/** The picture with all white but one red box. */
function drawn({ width, height }: Size, box: Box): Image {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const inside = x >= box.left && x < box.left + box.width && y >= box.top && y < box.top + box.height;
      data.set(inside ? red : white, 3 * (y * width + x));
    }
  return { width, height, data };
}

test('of an animation the first frame is read, on its canvas', async () => {
  for (const [name, { file, shown }] of Object.entries(cases)) {
    if (shown instanceof RegExp)
      await assert.rejects(
        file.then((bytes) => decode(bytes, name)),
        shown,
      );
    else {
      const image = await decode(await file, name);
      assert.deepEqual([image.width, image.height], [shown[0].width, shown[0].height], name);
      assert.ok(Buffer.from(image.data).equals(drawn(...shown).data), name);
    }
  }
});

test('a GIF that ends before its first frame is refused', async () => {
  const file = await gif(small, [inner]);
  for (const length of [6, 12, 13, 18, 26, 30])
    await assert.rejects(decode(file.subarray(0, length), 'x.gif'), { code: 'bad-data' });
});

const chromium = '/usr/bin/chromium';
test('a browser shows the same first frame', { skip: existsSync(chromium) ? false : 'needs Chromium' }, async () => {
  const { chromium: browserType } = await import('playwright-core');
  const browser = await browserType.launch({ executablePath: chromium, args: ['--no-sandbox', '--disable-gpu'] });
  try {
    const tab = await browser.newPage();
    for (const [name, { file, shown }] of Object.entries(cases)) {
      if (shown instanceof RegExp) continue;
      const seen = await tab.evaluate(
        async (base64) => {
          const blob = new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))]);
          const image = await createImageBitmap(blob);
          const { width, height } = image;
          const context = new OffscreenCanvas(width, height).getContext('2d')!;
          context.fillStyle = '#ffffff';
          context.fillRect(0, 0, width, height);
          context.drawImage(image, 0, 0);
          let text = ''; // a list of a million numbers takes seconds to arrive
          context.getImageData(0, 0, width, height).data.forEach((value, i) => {
            if (i % 4 < 3) text += String.fromCharCode(value);
          });
          return { width, height, text };
        },
        (await file).toString('base64'),
      );
      assert.deepEqual([seen.width, seen.height], [shown[0].width, shown[0].height], name);
      assert.ok(Buffer.from(seen.text, 'latin1').equals(drawn(...shown).data), name);
    }
  } finally {
    await browser.close();
  }
});
