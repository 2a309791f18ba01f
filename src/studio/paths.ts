import { stat } from 'node:fs/promises';

/** The path of an image in the folder, from what a run calls it: lists of the studio lie in `.pupil/data`. */
export const pathInFolder = (file: string): string => file.replace(/^(.*\/)?\.\.\/\.\.\//, '');

export const isDirectory = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined))?.isDirectory() === true;
