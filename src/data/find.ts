/** Finds the files that a list names, however it writes them. */
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { normalName } from './layout.js';

/** The path of a file that exists, or why there is none. */
export type Found = { readonly path: string } | { readonly problem: string };

/** A folder's names by their usual spelling, and in lower case. */
interface Listing {
  readonly names: ReadonlyMap<string, string>;
  readonly lower: ReadonlyMap<string, string>;
}

/** Longest path that is looked for; systems take 4,096 bytes at most. */
const longest = 4096;

/**
 * Gives a function that finds a name of a list in `folder`: as it is written; with spaces around it
 * dropped, Windows' backslashes or a file: address resolved; and in the other Unicode spelling (é as
 * one character or two). It remembers the folders that it looked into.
 */
export function createFinder(folder: string): (name: string) => Found {
  const listings = new Map<string, Listing | undefined>();
  const listing = (path: string): Listing | undefined => {
    if (!listings.has(path)) listings.set(path, list(path));
    return listings.get(path);
  };
  /** Where `path` really is, by its names' usual spelling. */
  const spelled = (path: string): string | undefined => {
    const above = dirname(path);
    if (above === path) return path;
    const real = listing(above) !== undefined ? above : spelled(above);
    const found = real === undefined ? undefined : listing(real)?.names.get(normalName(basename(path)));
    return found === undefined ? undefined : resolve(real!, found);
  };
  const problemOf = (path: string): string => {
    const above = dirname(path);
    const names = listing(above);
    if (names === undefined) return `there is no folder ${above}`;
    const other = names.lower.get(normalName(basename(path)).toLowerCase());
    return other === undefined ? `no such file in ${above}` : `no such file, but ${other}, in ${above}`;
  };
  return (name) => {
    if (name.length > longest) return { problem: `a path of ${name.length} characters` };
    if (name.includes('\0')) return { problem: 'a path with a zero character' };
    if (/^\s*(?!file:)([a-z][a-z0-9+.-]+:\/\/|data:)/i.test(name))
      return { problem: 'an address, not a file; download it first' };
    const candidates = candidatesOf(name).map((candidate) => resolve(folder, candidate));
    const exact = candidates.find((path) => existsSync(path));
    if (exact !== undefined) return { path: exact };
    for (const candidate of candidates) {
      const path = spelled(candidate);
      if (path !== undefined) return { path };
    }
    if (sep === '/' && /^[a-z]:[\\/]/i.test(name)) return { problem: 'a path of another computer, one with Windows' };
    return { problem: problemOf(candidates.at(-1)!) };
  };
}

function list(path: string): Listing | undefined {
  try {
    const all = readdirSync(path);
    return {
      names: new Map(all.map((name) => [normalName(name), name])),
      lower: new Map(all.map((name) => [normalName(name).toLowerCase(), name])),
    };
  } catch {
    return undefined;
  }
}

/** How a name may be meant, as it is written first. */
function candidatesOf(name: string): string[] {
  const forms = [name, name.trim()];
  if (sep === '/') forms.push(name.trim().replaceAll('\\', '/'));
  if (/^file:/i.test(name.trim())) {
    try {
      forms.push(fileURLToPath(name.trim()));
    } catch {
      // an address of another computer: no such file
    }
  }
  return [...new Set(forms)];
}
