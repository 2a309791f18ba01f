/**
 * HEIC photos, as phones make them, by libheif-js, which is optional (libheif is under the LGPL) and
 * loaded when the first such file comes. The only file that knows it.
 */
import { createRequire } from 'node:module';
import { allocate } from './buffers.js';
import type { Image } from './image.js';

/** What is wrong with a file, or that there is no library to decode it. */
export class HeicProblem extends Error {}

type Handle = object | undefined;

/** The part of libheif's interface that is used. */
interface Libheif {
  readonly HEAP8: Int8Array;
  readonly heif_error_code: { readonly heif_error_Ok: unknown };
  readonly heif_colorspace: { readonly heif_colorspace_RGB: unknown };
  readonly heif_chroma: { readonly heif_chroma_interleaved_RGBA: unknown };
  heif_context_alloc(): Handle;
  heif_context_free(context: Handle): void;
  heif_context_read_from_memory(
    context: Handle,
    bytes: Uint8Array,
  ): { readonly code: unknown; readonly message: string };
  heif_js_context_get_primary_image_handle(context: Handle): Handle;
  heif_js_decode_image2(image: Handle, colours: unknown, chroma: unknown): Promise<Decoded> | Decoded;
  heif_image_handle_release(image: Handle): void;
  heif_image_release(image: Handle): void;
}

interface Decoded {
  readonly image?: Handle;
  /** Undefined where it failed. */
  readonly channels?: readonly [
    { readonly width: number; readonly height: number; readonly stride: number; readonly data: Uint8Array },
  ];
  readonly message?: string;
}

/** Bytes of memory that the library keeps between pictures; beyond that the next one gets a fresh one. */
const keptBytes = 64 * 2 ** 20;

let library: Libheif | undefined;

function loadLibheif(): Libheif {
  if (library !== undefined && library.HEAP8.length <= keptBytes) return library;
  try {
    const make = createRequire(import.meta.url)('libheif-js/libheif-wasm/libheif-bundle.js') as () => Libheif;
    return (library = make());
  } catch (error) {
    throw new HeicProblem('HEIC needs the library libheif-js: npm install libheif-js, or convert the file to JPEG', {
      cause: error,
    });
  }
}

/** Decodes the primary picture, upright; its colours are those of `profileOf`. Throws `HeicProblem`. */
export async function decodeHeic(bytes: Uint8Array): Promise<Image> {
  const heif = loadLibheif();
  try {
    return await decodePrimary(heif, bytes);
  } catch (error) {
    if (error instanceof HeicProblem) throw error;
    library = undefined; // its memory is as it was in the middle of the work
    throw corrupt(error instanceof Error ? error.message : 'the library gave up');
  }
}

async function decodePrimary(heif: Libheif, bytes: Uint8Array): Promise<Image> {
  const context = heif.heif_context_alloc();
  let handle: Handle, decoded: Decoded | undefined;
  try {
    const { code, message } = heif.heif_context_read_from_memory(context, bytes);
    if (code !== heif.heif_error_code.heif_error_Ok) throw corrupt(message);
    handle = heif.heif_js_context_get_primary_image_handle(context);
    if (handle === undefined || 'code' in handle) throw corrupt('it has no picture');
    const { heif_colorspace_RGB: rgb } = heif.heif_colorspace,
      { heif_chroma_interleaved_RGBA: rgba } = heif.heif_chroma;
    decoded = await heif.heif_js_decode_image2(handle, rgb, rgba);
    const [plane] = decoded.channels ?? [];
    if (plane === undefined) throw corrupt(decoded.message ?? 'its data cannot be decoded');
    return overWhite(plane);
  } finally {
    if (decoded?.image !== undefined) heif.heif_image_release(decoded.image);
    if (handle !== undefined && !('code' in handle)) heif.heif_image_handle_release(handle);
    heif.heif_context_free(context);
  }
}

const corrupt = (reason: string): HeicProblem =>
  new HeicProblem(`cannot be decoded as HEIC (${reason.trim()}); repair or remove the file`);

function overWhite({ width, height, stride, data }: NonNullable<Decoded['channels']>[0]): Image {
  const result = allocate(width * height * 3);
  for (let y = 0, to = 0; y < height; y++)
    for (let x = 0, from = y * stride; x < width; x++, from += 4, to += 3) {
      const opaque = data[from + 3]!;
      for (let c = 0; c < 3; c++) {
        const value = data[from + c]!;
        result[to + c] = opaque === 255 ? value : Math.round(255 + ((value - 255) * opaque) / 255);
      }
    }
  return { width, height, data: result };
}

/** The ICC profile in a HEIC file; undefined where there is none (sRGB, then). */
export function profileOf(bytes: Uint8Array): Uint8Array | undefined {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const at = file.indexOf('colrprof', 0, 'latin1');
  if (at < 4) return undefined;
  const end = at - 4 + file.readUInt32BE(at - 4);
  return end <= file.length && end > at + 8 + 128 ? file.subarray(at + 8, end) : undefined;
}

/** A picture with a colour profile as a TIFF, for a codec that converts such. */
export function tiffOf({ width, height, data }: Image, profile: Uint8Array): Uint8Array {
  const entries: readonly (readonly [tag: number, type: number, count: number, value: number])[] = [
    [256, 4, 1, width],
    [257, 4, 1, height],
    [258, 3, 3, 8 + 2 + 9 * 12 + 4],
    [259, 3, 1, 1], // not compressed
    [262, 3, 1, 2], // RGB
    [273, 4, 1, 8 + 2 + 9 * 12 + 4 + 6 + profile.length],
    [277, 3, 1, 3],
    [279, 4, 1, data.length],
    [34675, 7, profile.length, 8 + 2 + 9 * 12 + 4 + 6],
  ];
  const head = Buffer.alloc(8 + 2 + entries.length * 12 + 4 + 6);
  head.write('II*\0\x08\0\0\0', 'latin1');
  head.writeUInt16LE(entries.length, 8);
  entries.forEach(([tag, type, count, value], i) => {
    const at = 10 + 12 * i;
    head.writeUInt16LE(tag, at);
    head.writeUInt16LE(type, at + 2);
    head.writeUInt32LE(count, at + 4);
    head.writeUInt32LE(value, at + 8);
  });
  for (let i = 0; i < 3; i++) head.writeUInt16LE(8, head.length - 6 + 2 * i);
  return Buffer.concat([head, profile, data]);
}
