import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse } from 'csv-parse/sync';
import { PupilError } from '../errors.js';
import { splitOf, type Placed } from './layout.js';
import { reasonOf } from './read.js';
import { inParallel, readEntry, type Entry } from './scan.js';
import type { Split } from './sample.js';
import { scanTar } from './tar.js';

interface Row {
  readonly line: number;
  readonly path: string;
  readonly label: string | undefined;
  readonly split: Split | undefined;
}

/** Whether a path names a manifest, by its extension. */
export const isManifest = (path: string): boolean => /\.(csv|jsonl|ndjson)$/i.test(path);

/**
 * Reads a CSV (with a header) or JSONL file of `path,label[,split]`; other columns are passed over.
 * Paths are relative to the manifest; ARCHIVE.tar/ENTRY is a file inside an archive. Without a
 * label an image is unlabelled, without a split it is for training. Spaces around a label are none of
 * it.
 */
export async function readManifest(manifest: string): Promise<Placed[]> {
  let text: string;
  try {
    text = await readFile(manifest, 'utf8');
  } catch (error) {
    throw new PupilError('not-found', `${manifest}: the manifest cannot be read (${reasonOf(error)})`, {
      cause: error,
    });
  }
  const rows = /\.csv$/i.test(manifest) ? csvRows(text, manifest) : jsonRows(text, manifest);
  if (rows.length === 0) throw new PupilError('bad-data', `${manifest}: the manifest lists no image`);
  const seen = new Map<string, Row>();
  for (const row of rows) {
    const before = seen.get(row.path);
    if (before !== undefined && (before.label !== row.label || before.split !== row.split)) {
      throw new PupilError(
        'bad-data',
        `${manifest}: ${row.path} is listed twice, with different labels or splits (lines ${before.line} and ` +
          `${row.line}); keep one`,
      );
    }
    seen.set(row.path, row);
  }
  const folder = dirname(manifest);
  const archives = new Map<string, Promise<ReadonlyMap<string, Entry>>>();
  const unique = [...seen.values()];
  const entries = await inParallel(unique, 16, async ({ path }) => {
    const full = resolve(folder, path);
    const inside = /^(.*\.tar)[/\\](.+)$/is.exec(full);
    if (inside !== null && (await stat(inside[1]!).catch(() => undefined))?.isFile() === true) {
      const archive = inside[1]!;
      if (!archives.has(archive))
        archives.set(
          archive,
          scanTar(archive).then(({ entries: list }) => new Map(list.map((entry) => [entry.name, entry]))),
        );
      const entry = (await archives.get(archive)!).get(inside[2]!.replaceAll('\\', '/'));
      return entry ?? missing(path, full);
    }
    return { ...(await readEntry(path, full)), path };
  });
  return unique.map(({ label, split }, i) => ({
    entry: entries[i]!,
    split: label === undefined ? 'unlabelled' : (split ?? 'train'),
    className: split === 'unlabelled' ? undefined : label,
  }));
}

const missing = (name: string, path: string): Entry => ({
  name,
  path,
  source: { kind: 'file', path },
  hash: '',
  format: 'unreadable',
  bytes: 0,
  problem: 'no such entry in the archive',
});

function rowOf(line: number, values: Readonly<Record<string, unknown>>, manifest: string): Row {
  const { path, label, split } = values;
  if (typeof path !== 'string' || path === '') throw new PupilError('bad-data', `${manifest}, line ${line}: no path`);
  if (label !== undefined && label !== null && typeof label !== 'string' && typeof label !== 'number') {
    throw new PupilError('bad-data', `${manifest}, line ${line}: the label is neither a text nor a number`);
  }
  const word =
    typeof split === 'string' ? split.trim() : split === undefined || split === null ? '' : JSON.stringify(split);
  const meant = word === '' ? undefined : splitOf(word);
  if (word !== '' && meant === undefined) {
    throw new PupilError(
      'bad-data',
      `${manifest}, line ${line}: split '${word}' is not train, val, test or unlabelled`,
    );
  }
  return {
    line,
    path,
    label: label === undefined || label === null ? undefined : String(label).trim() || undefined,
    split: meant,
  };
}

function csvRows(text: string, manifest: string): Row[] {
  let records: { info: { lines: number }; record: Record<string, string> }[];
  let columns: string[] = [];
  try {
    records = parse(text, {
      bom: true,
      info: true,
      skip_empty_lines: true,
      // Where the comma stands in numbers, Excel writes semicolons.
      delimiter: /^[^,\r\n]*;[^,\r\n]*[\r\n]/.test(text) ? ';' : ',',
      columns: (header: string[]) => (columns = header.map((name) => name.trim().toLowerCase())),
    }) as unknown as typeof records;
  } catch (error) {
    throw new PupilError('bad-data', `${manifest}: not a readable CSV file (${reasonOf(error)})`, { cause: error });
  }
  if (!columns.includes('path')) {
    throw new PupilError(
      'bad-data',
      `${manifest}: its first line has no column 'path' (found: ${columns.join(', ') || 'nothing'}); ` +
        'begin the file with path,label or path,label,split',
    );
  }
  return records.map(({ info, record }) => rowOf(info.lines, record, manifest));
}

function jsonRows(text: string, manifest: string): Row[] {
  return text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .flatMap((line, i) => {
      if (line.trim() === '') return [];
      let value: unknown;
      try {
        value = JSON.parse(line);
      } catch (error) {
        throw new PupilError('bad-data', `${manifest}, line ${i + 1}: not JSON (${reasonOf(error)})`, { cause: error });
      }
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        throw new PupilError('bad-data', `${manifest}, line ${i + 1}: not an object {"path", "label"}`);
      }
      return [rowOf(i + 1, value as Record<string, unknown>, manifest)];
    });
}
