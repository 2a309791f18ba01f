// Note from the coordinator to V (remove this line): image codecs come from a well-kept library in this project (brief, "How to work"). Please drop our own JPEG decoder (assembly/jpeg.ts and the parts of image/jpeg.ts that decode) and use @julusian/jpeg-turbo 2.3 as optionalDependency (measured: 0.33 ms CPU a flower photo against sharp 1.45, throws on truncated data; prebuilt, Node 20) or @napi-rs/image (0.6 ms), behind your header checks, sharp behind that. The compiled resize is fine if it is bit-equal and clearly faster; keep the plain path. Then bench.
/**
 * The common JPEG, decoded by the compiled kernels: 8-bit sequential, grey or YCbCr at 4:4:4, 4:2:2 or 4:2:0, one scan, sRGB. Pixels are
 * those of libjpeg-turbo (which Pillow and `sharp` use), byte for byte. Anything else, and anything wrong, is left to the codec library.
 */
import { allocate, release } from './buffers.js';
import type { Image } from './image.js';
import { reserve } from './compiled.js';

interface Component {
  readonly id: number;
  readonly across: number;
  readonly down: number;
  readonly quantizer: number;
}

/** What the headers say, up to the entropy-coded data. */
interface Header {
  readonly width: number;
  readonly height: number;
  readonly components: readonly Component[];
  /** For each component its DC and its AC table. */
  readonly tables: readonly (readonly [dc: number, ac: number])[];
  /** 64 values each, in zigzag order. */
  readonly quantizers: ReadonlyMap<number, Uint16Array>;
  /** Counts by length and symbols of each table; key: number, plus 16 for AC. */
  readonly codes: ReadonlyMap<number, Uint8Array>;
  readonly restartInterval: number;
  /** EXIF orientation, 1 to 8. */
  readonly orientation: number;
  /** Where the entropy-coded data begin. */
  readonly start: number;
}

const zigzag = [
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
  35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

const ascii = (bytes: Uint8Array, from: number, text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text.charCodeAt(i)) return false;
  return true;
};

/** Whether an ICC profile, as one chunk from `from` to `to`, calls itself sRGB: the pixels are then what they should be. */
function isSrgb(bytes: Uint8Array, from: number, to: number): boolean {
  if (bytes[from + 12] !== 1 || bytes[from + 13] !== 1) return false;
  const profile = bytes.subarray(from + 14, to);
  const view = new DataView(profile.buffer, profile.byteOffset, profile.length);
  if (profile.length < 132) return false;
  const tags = view.getUint32(128);
  for (let tag = 0, at = 132; tag < tags && at + 12 <= profile.length; tag++, at += 12) {
    if (!ascii(profile, at, 'desc')) continue;
    const place = view.getUint32(at + 4);
    const text = String.fromCharCode(...profile.subarray(place, Math.min(place + view.getUint32(at + 8), place + 200, profile.length))).replaceAll('\0', '');
    return text.includes('sRGB');
  }
  return false;
}

/** Tag 0x0112 of the first directory of an EXIF segment; 1 where there is none, undefined where the segment is damaged. */
function orientationOf(bytes: Uint8Array, from: number, to: number): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset + from + 6, to - from - 6);
  if (view.byteLength < 8) return undefined;
  const order = view.getUint16(0);
  const little = order === 0x4949;
  if ((!little && order !== 0x4d4d) || view.getUint16(2, little) !== 42) return undefined;
  const directory = view.getUint32(4, little);
  if (directory + 2 > view.byteLength) return undefined;
  const entries = view.getUint16(directory, little);
  for (let i = 0, at = directory + 2; i < entries; i++, at += 12) {
    if (at + 12 > view.byteLength) return undefined;
    if (view.getUint16(at, little) !== 0x0112) continue;
    const value = view.getUint16(at + 8, little);
    return view.getUint16(at + 2, little) === 3 && value >= 1 && value <= 8 ? value : undefined;
  }
  return 1;
}

/** Reads the headers; undefined for what is left to the codec library. */
function readHeader(bytes: Uint8Array): Header | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const quantizers = new Map<number, Uint16Array>(), codes = new Map<number, Uint8Array>();
  let frame: { width: number; height: number; components: Component[] } | undefined;
  let restartInterval = 0, orientation = 1;
  let adobe: number | undefined, jfif = false;
  let at = 2;
  for (;;) {
    if (at + 4 > bytes.length || bytes[at] !== 0xff) return undefined;
    const marker = bytes[at + 1]!;
    if (marker === 0xff) { at++; continue; } // padding
    const from = at + 4, to = at + 2 + view.getUint16(at + 2);
    if (to > bytes.length || to < from) return undefined;
    at = to;
    if (marker === 0xdb) { // quantizers
      for (let p = from; p < to;) {
        const wide = bytes[p]! >> 4, length = wide === 0 ? 64 : 128;
        if (wide > 1 || p + 1 + length > to) return undefined;
        const values = new Uint16Array(64);
        for (let i = 0; i < 64; i++) values[i] = wide === 0 ? bytes[p + 1 + i]! : view.getUint16(p + 1 + 2 * i);
        quantizers.set(bytes[p]! & 15, values);
        p += 1 + length;
      }
    } else if (marker === 0xc4) { // Huffman codes
      for (let p = from; p < to;) {
        if (p + 17 > to || (bytes[p]! & 0xee) !== 0) return undefined;
        let count = 0;
        for (let i = 1; i <= 16; i++) count += bytes[p + i]!;
        if (count > 256 || p + 17 + count > to) return undefined;
        codes.set(bytes[p]!, bytes.subarray(p + 1, p + 17 + count));
        p += 17 + count;
      }
    } else if (marker === 0xc0 || marker === 0xc1) { // a sequential frame
      if (frame !== undefined || to - from < 6 || bytes[from] !== 8) return undefined;
      const count = bytes[from + 5]!;
      if (to - from !== 6 + 3 * count || (count !== 1 && count !== 3)) return undefined;
      const components = Array.from({ length: count }, (_, i) => {
        const p = from + 6 + 3 * i;
        return { id: bytes[p]!, across: bytes[p + 1]! >> 4, down: bytes[p + 1]! & 15, quantizer: bytes[p + 2]! };
      });
      frame = { height: view.getUint16(from + 1), width: view.getUint16(from + 3), components };
    } else if (marker === 0xdd) {
      if (to - from !== 2) return undefined;
      restartInterval = view.getUint16(from);
    } else if (marker === 0xe0) {
      if (ascii(bytes, from, 'JFIF\0')) {
        if (bytes[from + 5] !== 1) return undefined;
        jfif = true;
      }
    } else if (marker === 0xe1) {
      if (ascii(bytes, from, 'Exif\0\0')) {
        const found = orientationOf(bytes, from, to);
        if (found === undefined) return undefined;
        orientation = found;
      }
    } else if (marker === 0xe2) {
      if (ascii(bytes, from, 'ICC_PROFILE\0') && !isSrgb(bytes, from, to)) return undefined;
    } else if (marker === 0xee) {
      if (ascii(bytes, from, 'Adobe')) {
        if (to - from < 12) return undefined;
        adobe = bytes[from + 11]!;
      }
    } else if (marker === 0xda) { // the scan
      if (frame === undefined || frame.width === 0 || frame.height === 0) return undefined;
      const { components } = frame;
      // One scan with every component, all of their coefficients in it.
      if (bytes[from] !== components.length || to - from !== 4 + 2 * components.length) return undefined;
      if (bytes[to - 3] !== 0 || bytes[to - 2] !== 63 || bytes[to - 1] !== 0) return undefined;
      const tables = components.map(({ id }, i): readonly [number, number] | undefined =>
        (bytes[from + 1 + 2 * i] === id ? [bytes[from + 2 + 2 * i]! >> 4, bytes[from + 2 + 2 * i]! & 15] : undefined));
      // YCbCr by the rules of the IJG: a JFIF file, else as Adobe says, else by the names of the components.
      const named = components.every(({ id }, i) => id === i + 1);
      if (components.length === 3 && !(jfif || (adobe === undefined ? named : adobe === 1))) return undefined;
      if (!tables.every((pair) => pair !== undefined && codes.has(pair[0]) && codes.has(16 + pair[1]))) return undefined;
      if (!components.every(({ quantizer }) => quantizers.has(quantizer))) return undefined;
      return { ...frame, tables: tables as [number, number][], quantizers, codes, restartInterval, orientation, start: to };
    } else if (marker !== 0xfe && !(marker >= 0xe0 && marker <= 0xef)) return undefined; // progressive and rarer frames, stray markers
  }
}

const tableBytes = 8192;

/**
 * Decodes a common JPEG; undefined for any other, where a compiled kernel cannot be used, and where anything about the data is not as it
 * should be (a file cut short, codes that do not exist, bytes to spare). At most `maximumPixels` pixels.
 */
export function decodeJpeg(file: Uint8Array, maximumPixels: number): Image | undefined {
  const bytes = new Uint8Array(file.buffer, file.byteOffset, file.length); // a Buffer's methods are slower
  const header = readHeader(bytes);
  if (header === undefined) return undefined;
  const { width, height, components, tables, codes, quantizers, restartInterval, start } = header;
  if (width * height > maximumPixels) return undefined;
  const grey = components.length === 1;
  const [luma, blue, red] = components as [Component, Component, Component];
  // Grey is not interleaved, so its sampling means nothing.
  const across = grey ? 1 : luma.across, down = grey ? 1 : luma.down;
  const known = grey || ((across === 1 && down === 1) || (across === 2 && down === 1) || (across === 2 && down === 2));
  if (!known || (!grey && [blue, red].some((component) => component.across !== 1 || component.down !== 1))) return undefined;
  const unitsAcross = Math.ceil(width / (8 * across)), unitsDown = Math.ceil(height / (8 * down));
  const chromaWidth = Math.ceil(width / across), chromaHeight = Math.ceil(height / down);
  if (across === 2 && chromaWidth < 3) return undefined; // upsampled without a filter
  const lumaLine = unitsAcross * across * 8, chromaLine = unitsAcross * 8;
  const chromaBytes = grey ? 0 : chromaLine * unitsDown * 8;

  const room = reserve(
    bytes.length - start, lumaLine * unitsDown * down * 8, chromaBytes, chromaBytes, width * height * 3,
    4 * (chromaWidth + 32), 32 * 3, 128 * 3, tableBytes * 6, 512,
  );
  if (room === undefined) return undefined;
  const { kernels } = room;
  const [data, lumaPlane, bluePlane, redPlane, target, rows, described, scales, huffman, spec] = room.addresses as [
    number, number, number, number, number, number, number, number, number, number];
  const memory = new Uint8Array(kernels.memory.buffer);
  memory.set(bytes.subarray(start), data);

  const built = new Map<number, number>();
  const table = (key: number): number | undefined => {
    let address = built.get(key);
    if (address === undefined) {
      address = huffman + built.size * tableBytes;
      memory.set(codes.get(key)!, spec);
      if (kernels.buildHuffman(spec, address, key >= 16 ? 1 : 0) === 0) return undefined;
      built.set(key, address);
    }
    return address;
  };
  const numbers = new Int32Array(kernels.memory.buffer, described, 8 * components.length);
  for (const [i, component] of components.entries()) {
    const quantizer = new Int16Array(kernels.memory.buffer, scales + 128 * i, 64);
    const values = quantizers.get(component.quantizer)!;
    for (let k = 0; k < 64; k++) quantizer[zigzag[k]!] = values[k]!;
    const dc = table(tables[i]![0]), ac = table(16 + tables[i]![1]);
    if (dc === undefined || ac === undefined) return undefined;
    const line = i === 0 ? lumaLine : chromaLine;
    numbers.set([i === 0 ? across : 1, i === 0 ? down : 1, scales + 128 * i, dc, ac, [lumaPlane, bluePlane, redPlane][i]!, line, 0], 8 * i);
  }
  let end = kernels.decodeScan(data, data + bytes.length - start, described, components.length, unitsAcross, unitsDown, restartInterval);
  if (end === 0) return undefined;
  end += start - data;
  // The end of the image has to follow, after any padding.
  if (bytes[end] !== 0xff) return undefined;
  while (bytes[end] === 0xff) end++;
  if (bytes[end] !== 0xd9) return undefined;

  if (grey) kernels.convertGrey(lumaPlane, lumaLine, width, height, target);
  else {
    kernels.convertColour(
      lumaPlane, lumaLine, bluePlane, redPlane, chromaLine, chromaWidth, chromaHeight, across === 2 ? 1 : 0, down === 2 ? 1 : 0, width, height, rows, target,
    );
  }
  const pixels = allocate(width * height * 3);
  pixels.set(memory.subarray(target, target + pixels.length));
  return orient({ width, height, data: pixels }, header.orientation);
}

/** The image as it should be seen, given its EXIF orientation (1 to 8: mirrored for 2, 4, 5 and 7; lying for 5 to 8). The given one is used up. */
function orient(image: Image, orientation: number): Image {
  if (orientation === 1) return image;
  const { width, height, data } = image;
  const lying = orientation >= 5;
  const outWidth = lying ? height : width, outHeight = lying ? width : height;
  // Where the first row of the result begins, and the steps along its rows and columns, in pixels of the stored image.
  const fromRight = [2, 3, 7, 8].includes(orientation), fromBottom = [3, 4, 6, 7].includes(orientation);
  const alongRow = (lying ? width : 1) * ((lying ? fromBottom : fromRight) ? -1 : 1);
  const alongColumn = (lying ? 1 : width) * ((lying ? fromRight : fromBottom) ? -1 : 1);
  const first = (fromRight ? width - 1 : 0) + (fromBottom ? (height - 1) * width : 0);
  const result = allocate(data.length);
  for (let y = 0, to = 0; y < outHeight; y++) {
    let from = 3 * (first + y * alongColumn);
    for (let x = 0; x < outWidth; x++, to += 3, from += 3 * alongRow) {
      result[to] = data[from]!; result[to + 1] = data[from + 1]!; result[to + 2] = data[from + 2]!;
    }
  }
  release(data);
  return { width: outWidth, height: outHeight, data: result };
}
