/** A thread that decodes images: thumbnails, fingerprints, and pictures that browsers cannot show. */
import { readFile } from 'node:fs/promises';
import { writeCacheFile } from '../artifact/files.js';
import { fingerprint, fingerprintShort, type Fingerprint } from '../data/fingerprint.js';
import { openImage } from '../image/decode.js';
import { encodeJpeg } from '../image/thumbnail.js';
import { answer } from '../threads/answer.js';

/** `to`: the file that the thumbnail is written to; without one the picture itself is wanted. */
export interface LookRequest {
  readonly path: string;
  readonly name: string;
  readonly to?: string | undefined;
}

export interface Look extends Fingerprint {
  readonly width: number;
  readonly height: number;
}

/** Pixels of the long side. */
const thumbnailSide = 256,
  pictureSide = 2048;

answer<LookRequest>(async ({ path, name, to }, transfer) => {
  const encoded = await openImage(await readFile(path), name);
  if (to === undefined) {
    const bytes = Uint8Array.from(await encodeJpeg(await encoded.decode(), pictureSide));
    transfer.push(bytes.buffer);
    return bytes;
  }
  const divisor = encoded.divisor(fingerprintShort);
  const image = await encoded.decode(divisor);
  await writeCacheFile(to, await encodeJpeg(image, thumbnailSide));
  // The header states the size before it is turned.
  const isTurned = image.width < image.height !== encoded.width < encoded.height && image.width !== image.height;
  const [width, height] = isTurned ? [encoded.height, encoded.width] : [encoded.width, encoded.height];
  return { ...fingerprint(image), width, height } satisfies Look;
});
