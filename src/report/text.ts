/** How wide texts are in our font, so that a picture can be laid out before it is drawn. */
import { readFileSync } from 'node:fs';
import { fontFiles } from './raster.js';

export interface TextStyle {
  /** Pixels of the em square. */
  readonly size: number;
  readonly bold?: boolean;
}

/** Advance widths in ems by code point; undefined where the font has no glyph. */
type Metrics = (codePoint: number) => number | undefined;

const loaded = new Map<keyof typeof fontFiles, Metrics>();

/**
 * Reads the tables of a TrueType file that tell widths: head, hhea, hmtx, and cmap in format 4 (the
 * basic plane).
 */
function readMetrics(path: string): Metrics {
  const file = readFileSync(path);
  const tables = new Map(
    Array.from({ length: file.readUInt16BE(4) }, (_, i) => {
      const at = 12 + 16 * i;
      return [file.toString('latin1', at, at + 4), file.readUInt32BE(at + 8)] as const;
    }),
  );
  const table = (name: string): number => tables.get(name)!;
  const em = file.readUInt16BE(table('head') + 18),
    measured = file.readUInt16BE(table('hhea') + 34);
  const advance = (glyph: number): number => file.readUInt16BE(table('hmtx') + 4 * Math.min(glyph, measured - 1)) / em;
  const cmap = table('cmap');
  const subtables = Array.from(
    { length: file.readUInt16BE(cmap + 2) },
    (_, i) => cmap + file.readUInt32BE(cmap + 8 + 8 * i),
  );
  const map = subtables.find((at) => file.readUInt16BE(at) === 4)!;
  const segments = file.readUInt16BE(map + 6) / 2;
  const ends = map + 14,
    starts = ends + 2 * segments + 2,
    deltas = starts + 2 * segments,
    offsets = deltas + 2 * segments;
  return (codePoint) => {
    for (let i = 0; i < segments; i++) {
      if (codePoint > file.readUInt16BE(ends + 2 * i)) continue;
      const start = file.readUInt16BE(starts + 2 * i),
        delta = file.readUInt16BE(deltas + 2 * i),
        offset = file.readUInt16BE(offsets + 2 * i);
      if (codePoint < start) return undefined;
      const listed = offset === 0 ? codePoint : file.readUInt16BE(offsets + 2 * i + offset + 2 * (codePoint - start));
      const glyph = offset !== 0 && listed === 0 ? 0 : (listed + delta) & 0xffff;
      return glyph === 0 ? undefined : advance(glyph);
    }
    return undefined;
  };
}

/**
 * Width of a text in pixels without kerning, which makes it a little too large rather than too
 * small; foreign characters count one em.
 */
export function textWidth(text: string, { size, bold = false }: TextStyle): number {
  const weight = bold ? 'bold' : 'regular';
  let metrics = loaded.get(weight);
  if (metrics === undefined) loaded.set(weight, (metrics = readMetrics(fontFiles[weight])));
  let width = 0;
  for (const character of text) width += metrics(character.codePointAt(0)!) ?? (/\p{Mark}/u.test(character) ? 0 : 1);
  return width * size;
}

/** The text, or its beginning with an ellipsis that takes at most `width` pixels. */
export function shortenText(text: string, width: number, style: TextStyle): string {
  if (textWidth(text, style) <= width) return text;
  const characters = [...text];
  let low = 0,
    high = characters.length - 1;
  const cut = (count: number): string => `${characters.slice(0, count).join('').trimEnd()}…`;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (textWidth(cut(middle), style) <= width) low = middle;
    else high = middle - 1;
  }
  return low === 0 && textWidth('…', style) > width ? '' : cut(low);
}

/**
 * The text in lines of at most `width` pixels, broken at spaces, at its own line ends, and inside a
 * word (or at a no-break space) only where the word alone is too wide. What does not fit into
 * `lines` lines ends in an ellipsis.
 */
export function wrapText(text: string, width: number, style: TextStyle, lines = Infinity): string[] {
  const result: string[] = [];
  for (const paragraph of text.split('\n')) {
    let line = '';
    const words = paragraph
      .split(/[ \t\r]+/)
      .flatMap((word) => (textWidth(word, style) > width ? word.split('\u00a0') : [word]));
    for (const word of words.filter((part) => part !== '')) {
      const longer = line === '' ? word : `${line} ${word}`;
      if (textWidth(longer, style) <= width) {
        line = longer;
        continue;
      }
      if (line !== '') result.push(line);
      line = word;
      while (line.length > 1 && textWidth(line, style) > width) {
        const fitting = fittingPart(line, width, style);
        result.push(fitting);
        line = line.slice(fitting.length);
      }
    }
    result.push(line);
  }
  while (result.length > 1 && result.at(-1) === '') result.pop();
  if (result.length <= lines) return result;
  const kept = result.slice(0, lines);
  kept[lines - 1] = endWithEllipsis(kept[lines - 1]!, width, style);
  return kept;
}

/**
 * As many first characters of a word as fit, at least one; preferably up to a hyphen, slash,
 * underscore or comma.
 */
function fittingPart(word: string, width: number, style: TextStyle): string {
  const characters = [...word];
  let count = 1;
  let used = textWidth(characters[0]!, style);
  while (count < characters.length - 1 && (used += textWidth(characters[count]!, style)) <= width) count++;
  const part = characters.slice(0, count).join('');
  const better = /^.+[-/_,:=+]/su.exec(part)?.[0];
  return better !== undefined && better.length > part.length / 3 ? better : part;
}

const endWithEllipsis = (line: string, width: number, style: TextStyle): string =>
  textWidth(`${line}…`, style) <= width ? `${line}…` : shortenText(`${line}……`, width, style);
