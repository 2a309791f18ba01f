import { startThread } from '../threads/thread.js';

/** The columns of a Parquet file, and its rows; none where it lacks `path` or `label`. */
export interface ParquetRows {
  readonly names: readonly string[];
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

/** Megabytes of objects, at least and at most, and for each of the file. */
const heap = { least: 512, most: 4096, each: 64 };
/** Seconds, and for each megabyte of the file. */
const patience = { least: 60, each: 1 };

/** Reads a Parquet file's bytes, which are given away. Throws an Error that says what is wrong with it. */
export async function readParquet(
  bytes: Uint8Array<ArrayBuffer>,
  { seconds }: { readonly seconds?: number | undefined } = {},
): Promise<ParquetRows> {
  const megabytes = bytes.length / 1e6;
  const limit = seconds ?? patience.least + patience.each * megabytes;
  const thread = startThread<Uint8Array<ArrayBuffer>>({
    url: new URL('./parquet-worker.js', import.meta.url),
    name: 'reading it',
    resourceLimits: { maxOldGenerationSizeMb: Math.min(heap.most, heap.least + heap.each * Math.ceil(megabytes)) },
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it is not read after ${Math.round(limit)} s`)), 1000 * limit);
  });
  try {
    return await Promise.race([thread.call<ParquetRows>(bytes, [bytes.buffer]), late]);
  } finally {
    clearTimeout(timer);
    await thread.end();
  }
}
