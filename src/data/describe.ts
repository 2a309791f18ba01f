import { findAlike, type Alike } from './alike.js';
import { alikeProblems } from './alike-problems.js';
import { checkDataset, type Problem } from './check.js';
import { counted, list } from './dataset.js';
import type { Measured, Pool } from './pool.js';
import { note } from './prepare.js';
import type { Dataset, Sample, Split, Unreadable } from './sample.js';

/** Width and height of every sample that can be decoded, and the others. */
export interface Inspection {
  /** By path. */
  readonly sizes: ReadonlyMap<string, readonly [width: number, height: number]>;
  /** How far apart the values of an image are (`contrast`), by path. */
  readonly contrasts: ReadonlyMap<string, number>;
  readonly unreadable: readonly Unreadable[];
  /** Different contents that show the same. */
  readonly alike: readonly Alike[];
}

/**
 * Decodes every content once, in parallel, keeping only its size, contrast and fingerprint: finds the corrupt,
 * the blank and those that look alike. What the pool has measured is not decoded again.
 */
export async function inspectImages(
  { samples }: Dataset,
  pool: Pool,
  onProgress?: (done: number, total: number) => void,
  signal?: AbortSignal,
): Promise<Inspection> {
  const measured = pool.measured ?? new Map<string, Measured>();
  const errors = new Map<string, string>();
  await pool.fingerprints.load(samples.map(({ hash }) => hash));
  const contents = [...new Map(samples.map((sample) => [sample.hash, sample])).values()].filter(
    ({ hash, source }) => !measured.has(hash) || (source.kind !== 'pixels' && !pool.fingerprints.get(hash)),
  );
  const chunkSize = 16;
  let next = 0,
    done = 0;
  const lane = async (): Promise<void> => {
    while (next < contents.length) {
      signal?.throwIfAborted();
      const chunk = contents.slice(next, (next += chunkSize));
      const results = await pool.run({
        kind: 'decode',
        items: chunk.map(({ path, source }) => ({ path, source, print: source.kind !== 'pixels' })),
      });
      results.forEach((result, i) => {
        const { hash } = chunk[i]!;
        if ('error' in result) errors.set(hash, result.error);
        else note(chunk[i]!, result, { ...pool, measured });
      });
      done += chunk.length;
      onProgress?.(done, contents.length);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, pool.workers * 2) }, lane));
  await pool.fingerprints.save();
  const sizes = new Map<string, readonly [number, number]>(),
    contrasts = new Map<string, number>(),
    unreadable: Unreadable[] = [];
  for (const { path, hash } of samples) {
    const found = measured.get(hash);
    if (found === undefined) unreadable.push({ path, reason: errors.get(hash) ?? 'cannot be decoded' });
    else {
      sizes.set(path, [found.width, found.height]);
      contrasts.set(path, found.contrast);
    }
  }
  const broken = new Set(unreadable.map(({ path }) => path));
  const alike = await findAlike(
    samples.filter(({ path }) => !broken.has(path)),
    (hash) => pool.fingerprints.get(hash),
  );
  return { sizes, contrasts, unreadable, alike };
}

/** Smallest, middle and largest. */
export interface Range {
  readonly minimum: number;
  readonly median: number;
  readonly maximum: number;
}

/** What `pupil doctor` says of a data set. */
export interface Description {
  readonly path: string;
  readonly hash: string;
  readonly images: number;
  /** Images by class and split, in class order. */
  readonly classes: readonly ({ readonly name: string } & Readonly<Record<Split, number>>)[];
  readonly splits: Readonly<Record<Split, number>>;
  /** Files by format. */
  readonly formats: Readonly<Record<string, number>>;
  readonly bytes: number;
  /** Pixels; undefined when nothing was decoded. */
  readonly shortSide: Range | undefined;
  readonly longSide: Range | undefined;
  /** Different contents. */
  readonly distinct: number;
  readonly errors: readonly Problem[];
  readonly warnings: readonly Problem[];
}

const noneYet = (): Record<Split, number> => ({ train: 0, val: 0, test: 0, unlabelled: 0 });

/**
 * Counts, formats, sizes and problems of a data set; sizes and corrupt files come from
 * `inspectImages`.
 */
export function describeDataset(dataset: Dataset, inspection?: Inspection): Description {
  const { errors, warnings } = checkDataset(dataset, inspection?.unreadable);
  const broken = new Set(inspection?.unreadable.map(({ path }) => path));
  const samples = dataset.samples.filter(({ path }) => !broken.has(path));
  const classes = dataset.classes.map((name) => ({ name, ...noneYet() }));
  const splits = noneYet();
  const formats: Record<string, number> = {};
  let bytes = 0;
  for (const sample of samples) {
    splits[sample.split]++;
    if (sample.label >= 0) classes[sample.label]![sample.split]++;
    formats[sample.format] = (formats[sample.format] ?? 0) + 1;
    bytes += sample.bytes;
  }
  const sizes = [...(inspection?.sizes.values() ?? [])];
  return {
    path: dataset.path,
    hash: dataset.hash,
    images: samples.length,
    classes,
    splits,
    formats,
    bytes,
    shortSide: rangeOf(sizes.map(([width, height]) => Math.min(width, height))),
    longSide: rangeOf(sizes.map(([width, height]) => Math.max(width, height))),
    distinct: new Set(samples.map(({ hash }) => hash)).size,
    errors,
    warnings:
      inspection === undefined
        ? warnings
        : [...warnings, ...alikeProblems(inspection.alike, dataset.classes), ...emptyPictures(samples, inspection)],
  };
}

/** Contrast up to which an image is of one colour, and up to which it shows next to nothing. */
const blank = 4,
  nearlyBlank = 16;
/** Pixels of a short side below which there is little to see. */
const tiny = 16;

/** Warnings of images in which there is little or nothing to see, in the order of the samples. */
function emptyPictures(samples: readonly Sample[], { sizes, contrasts }: Inspection): Problem[] {
  const problems: Problem[] = [];
  const warn = (kind: Problem['kind'], found: readonly Sample[], what: string): void => {
    const paths = found.map(({ path }) => path);
    if (paths.length === 0) return;
    const advice =
      paths.length === 1 ? 'look at it, and remove it if it is no photo' : 'look at them, and remove what is no photo';
    const message = `${counted(paths.length, 'image')} ${what}: ${list(paths)}; ${advice}`;
    problems.push({ kind, paths, message });
  };
  const contrastOf = ({ path }: Sample): number => contrasts.get(path) ?? 255;
  const one = samples.filter((sample) => contrastOf(sample) <= blank);
  warn('blank', one, 'of one colour');
  const dim = samples.filter((sample) => contrastOf(sample) > blank && contrastOf(sample) <= nearlyBlank);
  warn('blank', dim, 'of nearly one colour');
  const small = samples.filter(({ path }) => Math.min(...(sizes.get(path) ?? [tiny])) < tiny);
  // Where most are, that is what the data is.
  if (small.length * 2 < samples.length) warn('tiny', small, `of less than ${tiny} pixels in width or height`);
  return problems;
}

function rangeOf(values: readonly number[]): Range | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  return { minimum: sorted[0]!, median: sorted[sorted.length >> 1]!, maximum: sorted.at(-1)! };
}

/** Classes of a table that is not asked for in full. */
const mostClasses = 1000;

/** The description as lines of text. `all` names every file concerned instead of the first ones. */
export function formatDescription(description: Description, { all = false }: { all?: boolean } = {}): string[] {
  const { path, images, classes, splits, formats, bytes, shortSide, longSide, distinct, errors, warnings } =
    description;
  const used = (['train', 'val', 'test', 'unlabelled'] as const).filter((split) => splits[split] > 0);
  const lines = [
    `${path}: ${images} images, ${classes.length} classes, ${(bytes / 2 ** 20).toFixed(1)} MiB, ` +
      `content ${description.hash}`,
    `formats: ${
      Object.entries(formats)
        .sort(([, a], [, b]) => b - a)
        .map(([name, n]) => `${name} ${n}`)
        .join(', ') || 'none'
    }`,
  ];
  const range = ({ minimum, median, maximum }: Range): string => `${minimum} to ${maximum} (median ${median})`;
  if (shortSide !== undefined && longSide !== undefined)
    lines.push(`short side ${range(shortSide)}, long side ${range(longSide)} pixels`);
  if (distinct < images) lines.push(`${images - distinct} ${images - distinct === 1 ? 'duplicate' : 'duplicates'}`);
  const shown = all ? classes : classes.slice(0, mostClasses);
  const rows = [
    ['class', ...used],
    ...shown.map((row) => [oneLine(row.name), ...used.map((split) => String(row[split]))]),
    ...(shown.length < classes.length ? [[`and ${classes.length - shown.length} more`, ...used.map(() => '')]] : []),
    ['all', ...used.map((split) => String(splits[split]))],
  ];
  const widths = rows[0]!.map((_, column) => rows.reduce((most, row) => Math.max(most, row[column]!.length), 0));
  lines.push('');
  for (const row of rows)
    lines.push(
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  ')
        .trimEnd(),
    );
  lines.push('');
  for (const [word, problems] of [
    ['error', errors],
    ['warning', warnings],
  ] as const) {
    for (const { message, paths } of problems) {
      lines.push(`${word}: ${oneLine(message)}`);
      if (all) for (const file of paths) lines.push(`  ${oneLine(file)}`);
    }
  }
  lines.push(
    errors.length > 0
      ? 'Fix the errors above, then train.'
      : warnings.length > 0
        ? 'Ready to train; see the warnings.'
        : 'Ready to train.',
  );
  return lines;
}

const oneLine = (text: string): string =>
  text.replace(/[\r\n\t]/g, (c) => ({ '\r': '\\r', '\n': '\\n', '\t': '\\t' })[c]!);
