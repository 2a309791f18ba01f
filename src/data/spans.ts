/** Runs of archives that are read at once for many images in them. */

/** Where an image is. */
export interface Part {
  /** A path or an address. */
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

/** A run of an archive that one request brings. */
export interface Span {
  readonly start: number;
  end: number;
  /** Indexes of the images in it. */
  readonly members: number[];
}

/** Bytes of one request at most. */
const longestSpan = 2 ** 25;

/**
 * What has to be read of each file, in the order of its bytes; `widestGap`: bytes between two images that are read
 * along.
 */
export function spansOf(parts: readonly Part[], widestGap: number): Map<string, Span[]> {
  const files = new Map<string, Span[]>();
  const order = parts.map((_, index) => index).sort((a, b) => parts[a]!.offset - parts[b]!.offset);
  for (const index of order) {
    const { file, offset, length } = parts[index]!;
    const spans = files.get(file) ?? [];
    files.set(file, spans);
    const last = spans.at(-1);
    const end = offset + length;
    if (last !== undefined && offset - last.end <= widestGap && end - last.start <= longestSpan) {
      last.end = Math.max(last.end, end);
      last.members.push(index);
    } else spans.push({ start: offset, end, members: [index] });
  }
  return files;
}
