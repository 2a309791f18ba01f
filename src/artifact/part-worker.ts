import { parquetReadObjects } from 'hyparquet';
import { closeParquet, openParquet } from '../data/parquet/file.js';
import { answer } from '../threads/answer.js';

/** What is asked of a file: its rows from one to another, or (without) what stands beside them. */
export interface PartRequest {
  readonly path: string;
  readonly rows?: { readonly from: number; readonly to: number; readonly columns: readonly string[] } | undefined;
}

/** What stands beside the rows of a file. */
export interface PartTexts {
  readonly texts: Readonly<Record<string, string>>;
  readonly columns: readonly string[];
  /** Rows of each group. */
  readonly groups: readonly number[];
}

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
  return {
    texts: Object.fromEntries((metadata.key_value_metadata ?? []).map(({ key, value }) => [key, value ?? ''])),
    columns: metadata.schema.slice(1).map(({ name }) => name),
    groups: metadata.row_groups.map(({ num_rows }) => Number(num_rows)),
  } satisfies PartTexts;
});
