/**
 * JPEGs by libjpeg-turbo compiled to WebAssembly (@cwasm/jpeg-turbo): the same bytes as by the codec
 * library, sooner, and stricter. Data about which the decoder has any complaint is damaged.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { allocate } from './buffers.js';
import type { Image } from './image.js';
import type { JpegFile } from './jpeg-file.js';
import { orient } from './orient.js';

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

/** TJPF_RGB, three bytes a pixel, and TJPF_CMYK, four. */
const rgb = 0,
  cmyk = 11;
/** Bytes of memory that are kept between images; beyond that the next image gets a fresh memory. */
const keptBytes = 32 * 2 ** 20;

interface Decoder {
  readonly library: TurboJpeg;
  readonly handle: number;
  /** Where the decoder may write its message, by address. */
  readonly messages: readonly number[];
}

let compiled: WebAssembly.Module | undefined;
let decoder: Decoder | undefined;
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
  const handle = library.tjInitDecompress();
  return (decoder = { library, handle, messages: messagesIn(library.memory) });
}

const noMessage = 'No error\0';

/** The addresses of messages: buffers that say that there was no error. */
function messagesIn({ buffer }: WebAssembly.Memory): number[] {
  const memory = Buffer.from(buffer);
  const places: number[] = [];
  for (let at = memory.indexOf(noMessage); at >= 0; at = memory.indexOf(noMessage, at + 1)) places.push(at);
  return places;
}

/** What the decoder complained about. */
function complaintOf({ library, messages }: Decoder): string {
  const memory = Buffer.from(library.memory.buffer);
  for (const at of messages) {
    const text = memory.toString('latin1', at, Math.min(memory.indexOf(0, at), at + 200));
    if (text !== '' && `${text}\0` !== noMessage) return text.replace(/^Corrupt JPEG data: /, '');
  }
  return 'corrupt data';
}

/** Messages of files that are not damaged, but of a kind or size that this decoder cannot do. */
const cannot = /not implemented|unsupported (JPEG process|JPEG data precision|color conversion)|insufficient memory/i;

/** Uses the decoder, or does without it, from the next image on in this thread. */
export function useTurbo(on: boolean): void {
  wanted = on;
  decoder = undefined;
}

interface Request {
  /** Of the result; a half, quarter or eighth of the file's, rounded up, is decoded at that scale. */
  readonly width: number;
  readonly height: number;
  /** Bytes a pixel: 3 red, green, blue; 4 cyan, magenta, yellow, black. */
  readonly channels: 3 | 4;
}

/** Pixels, or what the decoder complains about; undefined where it cannot decode such a file at all. */
type Outcome<T> = { readonly image: T } | { readonly damage: string } | undefined;

function decompress(file: Uint8Array, { width, height, channels }: Request): Outcome<Uint8Array> {
  const loaded = loadDecoder();
  if (loaded === undefined) return undefined;
  const { library, handle } = loaded;
  const size = width * height * channels;
  const source = library.malloc(file.length),
    target = library.malloc(size);
  if (handle === 0 || source === 0 || target === 0) {
    decoder = undefined;
    return undefined;
  }
  new Uint8Array(library.memory.buffer, source, file.length).set(file);
  let status: number | undefined;
  try {
    const format = channels === 4 ? cmyk : rgb;
    status = library.tjDecompress2(handle, source, file.length, target, width, channels * width, height, format, 0);
  } catch {
    decoder = undefined; // its memory is as it was in the middle of the work
  }
  if (status === 0) {
    const pixels = new Uint8Array(library.memory.buffer, target, size);
    if (library.memory.buffer.byteLength > keptBytes) {
      decoder = undefined; // the pixels keep this memory
      return { image: pixels };
    }
    const image = allocate(size);
    image.set(pixels);
    library.free(source);
    library.free(target);
    return { image };
  }
  const complaint = complaintOf(loaded);
  if (library.memory.buffer.byteLength > keptBytes) decoder = undefined;
  if (decoder !== undefined) {
    library.free(source);
    library.free(target);
  }
  return cannot.test(complaint) ? undefined : { damage: complaint };
}

/** The file without zeros before its last marker: padding of some cameras, which harms nothing. */
function withoutPadding(file: Uint8Array): Uint8Array | undefined {
  const end = file.length - 2;
  if (file[end] !== 0xff || file[end + 1] !== 0xd9) return undefined;
  let last = end;
  while (last > 0 && file[last - 1] === 0) last--;
  if (last === end) return undefined;
  const shorter = new Uint8Array(last + 2);
  shorter.set(file.subarray(0, last));
  shorter.set([0xff, 0xd9], last);
  return shorter;
}

/** `decompress`, again without padding where that is all that the decoder complains about. */
function decompressPadded(file: Uint8Array, request: Request): Outcome<Uint8Array> {
  const bytes = new Uint8Array(file.buffer, file.byteOffset, file.length); // a Buffer's methods are slower
  const outcome = decompress(bytes, request);
  if (outcome === undefined || 'image' in outcome) return outcome;
  const shorter = withoutPadding(bytes);
  const again = shorter && decompress(shorter, request);
  return again !== undefined && 'image' in again ? again : outcome;
}

/** The size at 1/`divisor`, as libjpeg rounds it. */
const scaled = (length: number, divisor: number): number => Math.ceil(length / divisor);

/**
 * What is wrong with a JPEG's data: its codes are decoded, its pixels only at an eighth of the size.
 * Undefined where there is nothing, or where the decoder cannot tell.
 */
export function damageOf(bytes: Uint8Array, { width, height, components }: JpegFile): string | undefined {
  const request: Request = { width: scaled(width, 8), height: scaled(height, 8), channels: components === 4 ? 4 : 3 };
  const outcome = decompressPadded(bytes, request);
  return outcome !== undefined && 'damage' in outcome ? outcome.damage : undefined;
}

/**
 * Decodes a JPEG of 8 bits, upright: grey, YCbCr and RGB as they are, CMYK as browsers and Pillow do
 * where no profile counts. `divisor` 2, 4 or 8 decodes at that part of the size (libjpeg's scaled
 * decoding). Undefined for what this decoder cannot do.
 */
export function decodeJpeg(bytes: Uint8Array, file: JpegFile, divisor: 1 | 2 | 4 | 8 = 1): Outcome<Image> {
  const width = scaled(file.width, divisor),
    height = scaled(file.height, divisor);
  const outcome = decompressPadded(bytes, { width, height, channels: file.components === 4 ? 4 : 3 });
  if (outcome === undefined || 'damage' in outcome) return outcome;
  const data = file.components === 4 ? fromInverted(outcome.image) : outcome.image;
  return { image: orient({ width, height, data }, file.orientation) };
}

/** RGB of CMYK that is stored inverted, as in all JPEGs that Adobe's programs write. */
function fromInverted(inks: Uint8Array): Uint8Array {
  const data = allocate((inks.length / 4) * 3);
  for (let from = 0, to = 0; from < inks.length; from += 4, to += 3) {
    const black = inks[from + 3]!;
    for (let c = 0; c < 3; c++) data[to + c] = Math.round((inks[from + c]! * black) / 255);
  }
  return data;
}
