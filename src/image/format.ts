/** What the first bytes of a file say it is. */
export type ImageFormat =
  | { readonly readable: true; readonly name: string }
  | { readonly readable: false; readonly name: string; readonly problem: string };

const readable = (name: string): ImageFormat => ({ readable: true, name });
const refused = (name: string, problem: string): ImageFormat => ({ readable: false, name, problem });

/** Recognises an image by its signature, never by its name. 32 bytes are enough. */
export function imageFormat(bytes: Uint8Array): ImageFormat {
  const ascii = (from: number, to: number): string =>
    String.fromCharCode(...bytes.subarray(from, Math.min(to, bytes.length)));
  const starts = (...values: number[]): boolean => values.every((value, i) => bytes[i] === value);
  if (bytes.length === 0) return refused('empty', 'the file is empty');
  if (starts(0xff, 0xd8, 0xff)) return readable('JPEG');
  if (starts(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return readable('PNG');
  if (ascii(0, 6) === 'GIF87a' || ascii(0, 6) === 'GIF89a') return readable('GIF');
  if (ascii(0, 4) === 'RIFF' && ascii(8, 12) === 'WEBP') return readable('WebP');
  if (
    starts(0x49, 0x49, 0x2a, 0x00) ||
    starts(0x4d, 0x4d, 0x00, 0x2a) ||
    starts(0x49, 0x49, 0x2b, 0x00) ||
    starts(0x4d, 0x4d, 0x00, 0x2b)
  ) {
    return readable('TIFF');
  }
  if (ascii(4, 8) === 'ftyp') {
    const brands = ascii(8, 32);
    if (brands.includes('avif') || brands.includes('avis')) return readable('AVIF');
    if (/hei[cxms]|hev[cx]|mif1/.test(brands)) return readable('HEIC');
  }
  if (ascii(0, 2) === 'BM') return readable('BMP');
  if (starts(0xff, 0x0a) || starts(0, 0, 0, 0x0c, 0x4a, 0x58, 0x4c, 0x20))
    return refused('JPEG XL', 'JPEG XL is not supported; convert it to PNG');
  return refused('unknown', 'not an image (JPEG, PNG, GIF, WebP, TIFF, AVIF, HEIC and BMP are read)');
}
