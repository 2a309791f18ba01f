import { stat } from 'node:fs/promises';

/**
 * Finds the number of an image from what a run calls it: `../../a/1.jpg` as in the lists of the studio, which
 * lie in `.pupil/data`, or a longer path that ends in its place in the folder.
 */
export function idFinder(paths: readonly string[]): (file: string) => number | undefined {
  const ids = new Map(paths.map((path, id) => [path, id]));
  return (file) => {
    const parts = file.split(/[/\\]/);
    for (let from = 0; from < parts.length; from++) {
      const id = ids.get(parts.slice(from).join('/'));
      if (id !== undefined) return id;
    }
    return undefined;
  };
}

export const isDirectory = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined))?.isDirectory() === true;

export const isImageName = (name: string): boolean => /\.(jpe?g|png|gif|webp|tiff?|avif|bmp|hei[cf])$/i.test(name);
