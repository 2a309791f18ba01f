import { relative } from 'node:path';

const isAbsolute = (path: string): boolean => /^([/\\]|[A-Za-z]:[/\\])/.test(path);

/**
 * A path as a page that is passed on may state it: from the working directory, or without the
 * folders that are this machine's (`…/photos`).
 */
export function placeOf(path: string): string {
  if (!isAbsolute(path)) return path;
  const below = relative(process.cwd(), path);
  if (below !== '' && !below.startsWith('..') && !isAbsolute(below)) return below;
  return `\u2026/${path.split(/[/\\]/).filter(Boolean).at(-1) ?? ''}`;
}

/** The last part of a path. */
export const fileName = (path: string): string => path.split(/[/\\]/).at(-1)!;

/** A value of JSON with `placeOf` of every text in it. */
export function withoutPlaces<T>(value: T): T {
  const shown = (item: unknown): unknown => {
    if (typeof item === 'string') return placeOf(item);
    if (Array.isArray(item)) return item.map(shown);
    if (typeof item !== 'object' || item === null) return item;
    return Object.fromEntries(Object.entries(item).map(([name, part]) => [name, shown(part)]));
  };
  return shown(value) as T;
}
