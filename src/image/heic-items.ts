/** Where the coded pictures of a HEIC file lie, and whether parts of them are missing. */

type Part = readonly [from: number, to: number];

interface Box {
  readonly kind: string;
  /** Behind its size and kind. */
  readonly from: number;
  readonly to: number;
}

const kindAt = (view: DataView, at: number): string =>
  String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));

/** The boxes from `from` to `to` (ISO/IEC 14496-12). */
function boxesIn(view: DataView, from: number, to: number): Box[] {
  const boxes: Box[] = [];
  for (let at = from; at + 8 <= to;) {
    const size = view.getUint32(at);
    const isLong = size === 1 && at + 16 <= to;
    const length = isLong ? Number(view.getBigUint64(at + 8)) : size === 0 ? to - at : size;
    if (length < 8) break;
    boxes.push({ kind: kindAt(view, at + 4), from: at + (isLong ? 16 : 8), to: Math.min(to, at + length) });
    at += length;
  }
  return boxes;
}

/** Numbers of 0, 2, 4 or 8 bytes, one after the other. */
function reader(view: DataView, from: number): { next(bytes: number): number } {
  let at = from;
  return {
    next(bytes) {
      const value =
        bytes === 0
          ? 0
          : bytes === 1
            ? view.getUint8(at)
            : bytes === 2
              ? view.getUint16(at)
              : bytes === 4
                ? view.getUint32(at)
                : Number(view.getBigUint64(at));
      at += bytes;
      return value;
    },
  };
}

/** Numbers of the items whose data is coded as HEVC. */
function codedItems(view: DataView, { from, to }: Box): Set<number> {
  const items = new Set<number>();
  const start = view.getUint8(from) === 0 ? from + 6 : from + 8;
  for (const { kind, from: at } of boxesIn(view, start, to)) {
    if (kind !== 'infe') continue;
    const version = view.getUint8(at);
    if (version < 2) continue;
    const isLong = version > 2;
    if (kindAt(view, at + (isLong ? 10 : 8)) === 'hvc1')
      items.add(isLong ? view.getUint32(at + 4) : view.getUint16(at + 4));
  }
  return items;
}

/** The parts of the file that hold these items. */
function partsOf(view: DataView, { from }: Box, items: ReadonlySet<number>): Part[] {
  const version = view.getUint8(from),
    sizes = view.getUint8(from + 4),
    baseSizes = view.getUint8(from + 5);
  const [offsetSize, lengthSize, baseSize] = [sizes >> 4, sizes & 15, baseSizes >> 4];
  const indexSize = version === 0 ? 0 : baseSizes & 15;
  const { next } = reader(view, from + 6);
  const parts: Part[] = [];
  for (let left = next(version < 2 ? 2 : 4); left > 0; left--) {
    const item = next(version < 2 ? 2 : 4);
    const place = version === 0 ? 0 : next(2) & 15;
    next(2);
    const base = next(baseSize);
    for (let extents = next(2); extents > 0; extents--) {
      next(indexSize);
      const offset = base + next(offsetSize),
        length = next(lengthSize);
      if (place === 0 && items.has(item)) parts.push([offset, offset + length]);
    }
  }
  return parts;
}

/** Zeros in a row that no HEVC data holds: three are escaped, and the lengths between its units begin with some. */
const zeroRun = 8;

function hasZeros(bytes: Uint8Array, [from, to]: Part): boolean {
  let run = 0;
  for (let at = from; at < to; at++) {
    run = bytes[at] === 0 ? run + 1 : 0;
    if (run >= zeroRun) return true;
  }
  return run > 0; // a unit ends with a bit that is set
}

/**
 * What can be seen of damage in a HEIC file's coded pictures, which its decoder conceals: data that is
 * missing at the end, or was overwritten with zeros. Undefined where there is none.
 */
export function heicDamage(bytes: Uint8Array): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  try {
    const meta = boxesIn(view, 0, bytes.length).find(({ kind }) => kind === 'meta');
    if (meta === undefined) return undefined;
    const boxes = boxesIn(view, meta.from + 4, meta.to);
    const information = boxes.find(({ kind }) => kind === 'iinf'),
      locations = boxes.find(({ kind }) => kind === 'iloc');
    if (information === undefined || locations === undefined) return undefined;
    const parts = partsOf(view, locations, codedItems(view, information));
    if (parts.some(([, to]) => to > bytes.length)) return 'the file is cut short in its image data';
    if (parts.some((part) => hasZeros(bytes, part))) return 'a part of the image data was overwritten with zeros';
    return undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined; // cut short in its headers, which the decoder tells
    throw error;
  }
}
