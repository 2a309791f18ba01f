/** Addresses of files on hosts. */
import { resolve } from 'node:path';

/** Whether data is at an address instead of a path. */
export const isRemote = (path: string): boolean => /^https?:\/\//i.test(path);

/** The address without its query, which may hold a signature. */
export const shownAddress = (address: string): string => address.replace(/[?#].*$/s, '');

/** A path as it is, or an address without its query. */
export const shownPlace = (place: string): string => (isRemote(place) ? shownAddress(place) : place);

/** A path from `folder` as an absolute one; an address as it is. */
export const absolutePlace = (folder: string, place: string): string =>
  isRemote(place) ? place : resolve(folder, place);

/** Options as files keep them: no signature of an address is written down. */
export function shownPlaces<Settings extends object>(settings: Settings): Settings {
  const shown = (value: unknown): unknown =>
    typeof value === 'string' ? shownPlace(value) : Array.isArray(value) ? value.map(shown) : value;
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]: [string, unknown]) => [name, shown(value)]),
  ) as Settings;
}
