import { strToU8, zipSync } from 'fflate';

/** Files of a folder by their paths in it, parts joined by `/`. */
export type Files = ReadonlyMap<string, Uint8Array | string>;

/** The first day that the format knows: the same files make the same archive. */
const mtime = new Date(1980, 0, 1);

/** The files in one folder of a ZIP archive, below 4 GiB. */
export const zipped = (folder: string, files: Files): Uint8Array =>
  zipSync(
    Object.fromEntries(
      [...files].map(([path, content]) => [
        `${folder}/${path}`,
        typeof content === 'string' ? strToU8(content) : content,
      ]),
    ),
    { mtime },
  );
