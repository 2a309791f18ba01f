/**
 * The first directory of a TIFF structure, which TIFF files and Exif segments begin with: values by
 * tag. Only whole numbers of one, two and four bytes are read (BYTE, SHORT, LONG).
 */
export interface Directory {
  /** The values of a tag, the first `most` of them (default 16), empty where there are none. */
  values(tag: number, most?: number): readonly number[];
  /** The TIFF type of a tag: 1 BYTE, 3 SHORT, 4 LONG... */
  type(tag: number): number | undefined;
}

const sizes: Readonly<Record<number, number>> = { 1: 1, 3: 2, 4: 4 };
/** Reads the directory; undefined where the bytes hold none. */
export function readDirectory(bytes: Uint8Array): Directory | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.byteLength < 8) return undefined;
  const order = view.getUint16(0);
  const little = order === 0x4949;
  if ((!little && order !== 0x4d4d) || view.getUint16(2, little) !== 42) return undefined;
  const start = view.getUint32(4, little);
  if (start + 2 > view.byteLength) return undefined;
  const entries = new Map<number, { readonly type: number; readonly at: number }>();
  const count = view.getUint16(start, little);
  for (let i = 0, at = start + 2; i < count && at + 12 <= view.byteLength; i++, at += 12) {
    const tag = view.getUint16(at, little),
      type = view.getUint16(at + 2, little);
    if (!entries.has(tag)) entries.set(tag, { type, at });
  }
  return {
    values(tag, most = 16) {
      const entry = entries.get(tag);
      return entry === undefined ? [] : valuesAt(view, entry, { little, most });
    },
    type: (tag) => entries.get(tag)?.type,
  };
}

/** The values of the entry at `at`, which stand there if they fit into four bytes, else elsewhere. */
function valuesAt(
  view: DataView,
  { at, type }: { readonly at: number; readonly type: number },
  { little, most }: { readonly little: boolean; readonly most: number },
): number[] {
  const size = sizes[type];
  if (size === undefined) return [];
  const count = Math.min(most, view.getUint32(at + 4, little));
  const from = view.getUint32(at + 4, little) * size <= 4 ? at + 8 : view.getUint32(at + 8, little);
  if (from + count * size > view.byteLength) return [];
  return Array.from({ length: count }, (_, i) => {
    const place = from + i * size;
    if (size === 1) return view.getUint8(place);
    return size === 2 ? view.getUint16(place, little) : view.getUint32(place, little);
  });
}

/**
 * The orientation (1 to 8) of an Exif segment's TIFF structure, as browsers read it: only one SHORT
 * from 1 to 8 counts, anything else is 1, upright.
 */
export function exifOrientation(bytes: Uint8Array): number {
  const directory = readDirectory(bytes);
  const [value = 1, ...more] = directory?.values(0x0112) ?? [];
  return directory?.type(0x0112) === 3 && more.length === 0 && value >= 1 && value <= 8 ? value : 1;
}
