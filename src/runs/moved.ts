/** Runs that go on in another working directory, in another folder or on another machine. */
import { existsSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import type { RunConfig } from '../artifact/formats.js';
import type { Dataset } from '../data/sample.js';
import type { Options } from '../options/option.js';

/** Where a run was begun: its working directory, and its own folder. Both absolute. */
export type RunPlace = NonNullable<RunConfig['begun']>;

/**
 * Where something is that a run names: there, as seen from where the run was begun, or in the same place
 * relative to the run, where both were moved. Unchanged where it is nowhere (a built-in network, a repository).
 */
export function placeNow(named: string, begun: RunPlace | undefined, run: string): string {
  if (begun === undefined || /^hf:/.test(named)) return named;
  const then = resolve(begun.folder, named);
  if (isThere(then)) return isAbsolute(named) || begun.folder === process.cwd() ? named : then;
  const [before, now] = movedFrom(begun.run, run);
  const below = relative(before, then);
  if (below.startsWith('..') || isAbsolute(below)) return named;
  const moved = join(now, below);
  return isThere(moved) ? moved : named;
}

/** Archives may be named by a pattern of numbers, which is no file itself. */
const isThere = (path: string): boolean =>
  existsSync(path) || (/[{*?]/.test(basename(path)) && existsSync(dirname(path)));

/** The lowest folder above a run that is another now: `/home/a/insects/runs/x` and `/mnt/insects/runs/x`. */
function movedFrom(before: string, now: string): [before: string, now: string] {
  let [one, other] = [before, now];
  while (basename(one) === basename(other) && dirname(one) !== one && dirname(other) !== other)
    [one, other] = [dirname(one), dirname(other)];
  return [one, other];
}

/** Rows of a table that name files or folders. */
const pathsOf = (table: Options): string[] =>
  Object.keys(table).filter((name) => table[name]!.kind.isPath && name !== 'out' && name !== 'resume');

/** The settings of a run with what they name where it is now. */
export function settingsNow<Settings extends object>(
  table: Options,
  { settings: saved, begun }: RunConfig<Settings>,
  run: string,
): Settings {
  const settings = saved ?? ({} as Settings); // a run.json may come from anybody
  const now = (value: unknown): unknown =>
    typeof value === 'string' ? placeNow(value, begun, run) : Array.isArray(value) ? value.map(now) : value;
  const moved = ['data', ...pathsOf(table)].flatMap((name) => {
    const value = (settings as Readonly<Record<string, unknown>>)[name];
    return value === undefined ? [] : [[name, now(value)]];
  });
  return { ...settings, ...(Object.fromEntries(moved) as object) };
}

/** The settings with what they name as `before` names it. */
export const asNamedIn = <Settings extends object>(table: Options, settings: Settings, before: Settings): Settings => ({
  ...settings,
  ...Object.fromEntries(Object.entries(before).filter(([name]) => name === 'data' || pathsOf(table).includes(name))),
});

/** Rows of a table that a run which goes on may be told anew. */
const renewableIn = (table: Options): string[] => Object.keys(table).filter((name) => table[name]!.renewable);

/** The settings with files and folders, and what else a run may be told, as they are told anew. */
export function toldAnew<Settings extends object>(table: Options, settings: Settings, told: object): Settings {
  const names = [...pathsOf(table), ...renewableIn(table)];
  const given = Object.entries(told).filter(([name, value]) => value !== undefined && names.includes(name));
  return { ...settings, ...(Object.fromEntries(given) as object) };
}

/** Whether settings differ in what a run may be told anew, but for where files are. */
export function isToldAnew<Settings extends object>(
  table: Options,
  before: Settings | undefined,
  now: Settings,
): boolean {
  return (renewableIn(table) as (keyof Settings)[]).some((name) => before?.[name] !== now[name]);
}

/**
 * Images by the names that the run has for them, which what it has measured already refers to. `places`: where
 * data is now, and what it was called.
 */
export function asNamedBefore(dataset: Dataset, places: readonly (readonly [now: string, before: string])[]): Dataset {
  const moved = places.filter(([now, before]) => now !== before);
  if (moved.length === 0) return dataset;
  const named = (path: string): string => {
    for (const [now, before] of moved) {
      if (path === now) return before;
      for (const [from, to] of [
        [now, before],
        [dirname(now), dirname(before)], // the images of a list stand beside it
      ] as const)
        if (path.startsWith(from.endsWith(sep) ? from : from + sep)) return join(to, relative(from, path));
    }
    return path;
  };
  return {
    ...dataset,
    samples: dataset.samples.map((sample) => ({ ...sample, path: named(sample.path) })),
    unreadable: dataset.unreadable.map((file) => ({ ...file, path: named(file.path) })),
  };
}
