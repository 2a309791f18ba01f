import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { parquetReadObjects } from 'hyparquet';
import { closeParquet, openParquet } from '../data/parquet/file.js';
import { answer } from '../threads/answer.js';
import { checksumKey, headerKey, type PartRequest, type PartTexts } from './part-texts.js';

/** Reads Parquet files in a thread of its own, for the reasons of `parquet-worker.ts`. */
answer<PartRequest>(async ({ path, rows }) => {
  if (rows === undefined) await closeParquet(); // it may have been written anew
  const { file, metadata } = await openParquet(path);
  if (rows !== undefined)
    return parquetReadObjects({
      file,
      metadata,
      columns: [...rows.columns],
      rowStart: rows.from,
      rowEnd: rows.to,
      utf8: false,
    });
  const texts = Object.fromEntries((metadata.key_value_metadata ?? []).map(({ key, value }) => [key, value ?? '']));
  await assertUnchanged(path, texts);
  return {
    texts,
    columns: metadata.schema.slice(1).map(({ name }) => name),
    groups: metadata.row_groups.map(({ num_rows }) => Number(num_rows)),
  } satisfies PartTexts;
});

/** Throws for a part whose bytes are not those that were written. What is no part is told by its lack of a header. */
async function assertUnchanged(path: string, texts: PartTexts['texts']): Promise<void> {
  const header = texts[headerKey];
  if (header === undefined) return;
  const [count, expected] = (texts[checksumKey] ?? '').split(' ');
  const hash = createHash('sha256');
  if (Number(count) > 0)
    for await (const chunk of createReadStream(path, { end: Number(count) - 1 })) hash.update(chunk as Buffer);
  if (hash.update(header).digest('hex') !== expected) throw new Error('it was changed after it was written');
}
