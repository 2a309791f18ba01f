/**
 * Common JPEGs by libjpeg-turbo compiled to WebAssembly (@cwasm/jpeg-turbo): the same bytes as by
 * the codec library, sooner. The library has everything else: files whose colours or headers need
 * more care, and all about which the decoder has a complaint.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { allocate, release } from './buffers.js';
import type { Image } from './image.js';

/**
 * The part of TurboJPEG's interface that is used (libjpeg-turbo's turbojpeg.h); numbers are
 * addresses, sizes or flags.
 */
interface TurboJpeg {
  readonly memory: WebAssembly.Memory;
  malloc(size: number): number;
  free(address: number): void;
  tjInitDecompress(): number;
  tjDecompress2(
    handle: number,
    file: number,
    size: number,
    target: number,
    width: number,
    pitch: number,
    height: number,
    format: number,
    flags: number,
  ): number;
}

/** TJPF_RGB: three bytes a pixel. */
const rgb = 0;
/** Bytes of memory that are kept between images; beyond that the next image gets a fresh memory. */
const keptBytes = 64 * 2 ** 20;

let compiled: WebAssembly.Module | undefined;
let decoder: { readonly library: TurboJpeg; readonly handle: number } | undefined;
let wanted = true;

function loadDecoder(): typeof decoder {
  if (decoder !== undefined || !wanted) return decoder;
  compiled ??= new WebAssembly.Module(
    readFileSync(createRequire(import.meta.url).resolve('@cwasm/jpeg-turbo/jpeg-turbo.wasm')),
  );
  const refuse = (): never => {
    throw new Error('libjpeg gave up');
  };
  const { exports } = new WebAssembly.Instance(compiled, {
    // libjpeg leaves by longjmp where it cannot go on.
    env: { setjmp: () => 0, longjmp: refuse },
    wasi_snapshot_preview1: {
      environ_sizes_get: () => 0,
      environ_get: refuse,
      proc_exit: refuse,
      fd_close: refuse,
      fd_seek: refuse,
      fd_write: refuse,
    },
  });
  const library = exports as unknown as TurboJpeg;
  return (decoder = { library, handle: library.tjInitDecompress() });
}

/** Uses the decoder, or does without it, from the next image on in this thread. */
export function useTurbo(on: boolean): void {
  wanted = on;
  decoder = undefined;
}

/** The pixels of a file of that size; undefined where there is any complaint about it. */
function decompress(file: Uint8Array, width: number, height: number): Uint8Array | undefined {
  const loaded = loadDecoder();
  if (loaded === undefined) return undefined;
  const { library, handle } = loaded;
  const size = width * height * 3;
  try {
    const source = library.malloc(file.length),
      target = library.malloc(size);
    if (handle === 0 || source === 0 || target === 0) throw new Error('no memory');
    new Uint8Array(library.memory.buffer, source, file.length).set(file);
    const status = library.tjDecompress2(handle, source, file.length, target, width, 3 * width, height, rgb, 0);
    const data = status === 0 ? allocate(size) : undefined;
    data?.set(new Uint8Array(library.memory.buffer, target, size));
    library.free(source);
    library.free(target);
    if (library.memory.buffer.byteLength > keptBytes) decoder = undefined;
    return data;
  } catch {
    decoder = undefined; // its memory is as it was in the middle of the work
    return undefined;
  }
}

interface Header {
  readonly width: number;
  readonly height: number;
  /** EXIF orientation, 1 to 8. */
  readonly orientation: number;
}

const ascii = (bytes: Uint8Array, from: number, text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text.charCodeAt(i)) return false;
  return true;
};

/**
 * Whether an ICC profile, as one chunk from `from` to `to`, calls itself sRGB: the pixels are then
 * what they should be.
 */
function isSrgb(bytes: Uint8Array, from: number, to: number): boolean {
  if (bytes[from + 12] !== 1 || bytes[from + 13] !== 1) return false;
  const profile = bytes.subarray(from + 14, to);
  const view = new DataView(profile.buffer, profile.byteOffset, profile.length);
  if (profile.length < 132) return false;
  const tags = view.getUint32(128);
  for (let tag = 0, at = 132; tag < tags && at + 12 <= profile.length; tag++, at += 12) {
    if (!ascii(profile, at, 'desc')) continue;
    const place = view.getUint32(at + 4);
    const text = String.fromCharCode(
      ...profile.subarray(place, Math.min(place + view.getUint32(at + 8), place + 200, profile.length)),
    ).replaceAll('\0', '');
    return text.includes('sRGB');
  }
  return false;
}

/**
 * Tag 0x0112 of the first directory of an EXIF segment; 1 where there is none, undefined where the
 * segment is damaged.
 */
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

/** Reads the headers up to the first scan; undefined for what is left to the codec library. */
function readHeader(bytes: Uint8Array): Header | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let frame:
    | { readonly width: number; readonly height: number; readonly components: number; readonly named: boolean }
    | undefined;
  let orientation = 1,
    adobe: number | undefined,
    jfif = false;
  for (let at = 2; ;) {
    if (at + 4 > bytes.length || bytes[at] !== 0xff) return undefined;
    const marker = bytes[at + 1]!;
    if (marker === 0xff) {
      at++;
      continue;
    } // padding
    const from = at + 4,
      to = at + 2 + view.getUint16(at + 2);
    if (to > bytes.length || to < from) return undefined;
    at = to;
    if (marker >= 0xc0 && marker <= 0xc2) {
      // a sequential or progressive frame
      if (frame !== undefined || to - from < 6 || bytes[from] !== 8) return undefined;
      const components = bytes[from + 5]!;
      if (to - from !== 6 + 3 * components || (components !== 1 && components !== 3)) return undefined;
      const named = Array.from({ length: components }, (_, i) => bytes[from + 6 + 3 * i] === i + 1).every(Boolean);
      frame = { height: view.getUint16(from + 1), width: view.getUint16(from + 3), components, named };
    } else if (marker === 0xe0) {
      if (ascii(bytes, from, 'JFIF\0')) jfif = true;
    } else if (marker === 0xe1) {
      if (ascii(bytes, from, 'Exif\0\0')) {
        const found = orientationOf(bytes, from, to);
        if (found === undefined) return undefined;
        orientation = found;
      }
    } else if (marker === 0xe2) {
      if (ascii(bytes, from, 'ICC_PROFILE\0') && !isSrgb(bytes, from, to)) return undefined;
    } else if (marker === 0xee) {
      if (ascii(bytes, from, 'Adobe') && to - from >= 12) adobe = bytes[from + 11]!;
    } else if (marker === 0xda) {
      // the scan
      if (frame === undefined || frame.width === 0 || frame.height === 0) return undefined;
      // YCbCr by the rules of the IJG: a JFIF file, else as Adobe says, else by the names of the
      // components.
      if (frame.components === 3 && !(jfif || (adobe === undefined ? frame.named : adobe === 1))) return undefined;
      return { width: frame.width, height: frame.height, orientation };
    } else if (!(marker === 0xc4 || marker === 0xdb || marker === 0xdd || marker === 0xfe || (marker & 0xf0) === 0xe0))
      return undefined;
  }
}

/**
 * Decodes a common JPEG: 8 bits, grey or YCbCr, sRGB. Undefined for any other, and where the
 * decoder complains about anything (a file cut short, codes that do not exist). At most
 * `maximumPixels` pixels.
 */
export function decodeJpeg(file: Uint8Array, maximumPixels: number): Image | undefined {
  const bytes = new Uint8Array(file.buffer, file.byteOffset, file.length); // a Buffer's methods are slower
  const header = readHeader(bytes);
  if (header === undefined || header.width * header.height > maximumPixels) return undefined;
  const { width, height, orientation } = header;
  const data = decompress(bytes, width, height);
  return data && orient({ width, height, data }, orientation);
}

/**
 * The image as it should be seen, given its EXIF orientation (1 to 8: mirrored for 2, 4, 5 and 7;
 * lying for 5 to 8). The given one is used up.
 */
function orient(image: Image, orientation: number): Image {
  if (orientation === 1) return image;
  const { width, height, data } = image;
  const lying = orientation >= 5;
  const outWidth = lying ? height : width,
    outHeight = lying ? width : height;
  // Where the first row of the result begins, and the steps along its rows and columns, in pixels
  // of the stored image.
  const fromRight = [2, 3, 7, 8].includes(orientation),
    fromBottom = [3, 4, 6, 7].includes(orientation);
  const alongRow = (lying ? width : 1) * ((lying ? fromBottom : fromRight) ? -1 : 1);
  const alongColumn = (lying ? 1 : width) * ((lying ? fromRight : fromBottom) ? -1 : 1);
  const first = (fromRight ? width - 1 : 0) + (fromBottom ? (height - 1) * width : 0);
  const result = allocate(data.length);
  for (let y = 0, to = 0; y < outHeight; y++) {
    let from = 3 * (first + y * alongColumn);
    for (let x = 0; x < outWidth; x++, to += 3, from += 3 * alongRow) {
      result[to] = data[from]!;
      result[to + 1] = data[from + 1]!;
      result[to + 2] = data[from + 2]!;
    }
  }
  release(data);
  return { width: outWidth, height: outHeight, data: result };
}
