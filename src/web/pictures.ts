/// <reference lib="dom" preserve="true" />
import { shown } from '../arguments.js';
import { PupilError } from '../errors.js';
import type { Image } from '../image/image.js';
import { readJpeg } from '../image/jpeg-file.js';
import { messageOf } from '../threads/protocol.js';

/**
 * What can be classified in a browser: the address of an image, its bytes (also as a `Blob` or
 * `File`), an element (`img`, `canvas`, `video`), whatever else `createImageBitmap` takes, or
 * decoded pixels.
 */
export type Picture = string | URL | Uint8Array | ArrayBuffer | ImageBitmapSource | Image;

/** Where a model is: its address, or its bytes. */
export type ModelSource = string | URL | ArrayBuffer | Uint8Array | Blob;

/** The bytes of a model, and what messages call it. */
export async function modelBytes(source: ModelSource): Promise<{ readonly name: string; readonly bytes: Uint8Array }> {
  if (typeof source !== 'string' && !(source instanceof URL))
    return { name: 'model.onnx', bytes: await bytesOf(source) };
  return { name: String(source), bytes: await fetchBytes(String(source)) };
}

async function fetchBytes(address: string): Promise<Uint8Array> {
  try {
    const response = await fetch(address);
    if (!response.ok)
      throw new PupilError('not-found', `${address}: ${response.status} ${response.statusText}; check the address`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    if (error instanceof PupilError) throw error;
    // A browser does not tell a script more: no such host, offline, no address, or another site that forbids it.
    throw new PupilError(
      'network',
      `${address}: cannot be fetched (${messageOf(error)}); check the connection and the address, and that its ` +
        'server allows this page (CORS)',
      { cause: error },
    );
  }
}

async function bytesOf(source: ArrayBuffer | Uint8Array | Blob): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  throw new PupilError('usage', `give the address of an ONNX file or its bytes, got ${shown(source)}`);
}

/** RGB pixels of a picture; transparency is laid over white, as in training. */
export async function pixelsOf(picture: Picture): Promise<Image> {
  if (isDecoded(picture)) return picture;
  const rgba = picture instanceof ImageData ? picture : await draw(await drawable(picture));
  const data = new Uint8Array(rgba.width * rgba.height * 3);
  for (let from = 0, to = 0; to < data.length; from += 4, to += 3) {
    const alpha = rgba.data[from + 3]! / 255;
    for (let c = 0; c < 3; c++) data[to + c] = Math.round(255 + (rgba.data[from + c]! - 255) * alpha);
  }
  return { width: rgba.width, height: rgba.height, data };
}

const isDecoded = (picture: Picture): picture is Image =>
  typeof picture === 'object' && 'data' in picture && picture.data instanceof Uint8Array;

async function drawable(picture: Exclude<Picture, Image>): Promise<ImageBitmapSource> {
  if (typeof picture === 'string' || picture instanceof URL)
    return new Blob([(await fetchBytes(String(picture))) as Uint8Array<ArrayBuffer>]);
  if (picture instanceof Uint8Array || picture instanceof ArrayBuffer)
    return new Blob([picture as Uint8Array<ArrayBuffer> | ArrayBuffer]);
  return picture;
}

/** CMYK is converted without its profile, as in training; only of a file can be known that it is CMYK. */
async function bitmapOptions(picture: ImageBitmapSource): Promise<ImageBitmapOptions> {
  if (!(picture instanceof Blob)) return {};
  const start = new Uint8Array(await picture.slice(0, 3).arrayBuffer());
  if (start[0] !== 0xff || start[1] !== 0xd8) return {};
  const structure = readJpeg(new Uint8Array(await picture.arrayBuffer()));
  const isCmyk = structure.kind === 'common' && structure.file.components === 4;
  return isCmyk ? { colorSpaceConversion: 'none' } : {};
}

async function draw(picture: ImageBitmapSource): Promise<ImageData> {
  const bitmap = await createImageBitmap(picture, await bitmapOptions(picture)).catch((error: unknown) => {
    throw new PupilError('bad-data', `the image cannot be decoded: ${messageOf(error)}`, { cause: error });
  });
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')!;
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}
