/** The open folder and its images. */
import { computed, signal } from '@preact/signals';
import type { Folder, Progress, StudioImage } from '../protocol.ts';
import { reload } from './places.ts';
import { get, getOfAny, post, setMeant } from './requests.ts';

export const folder = signal<Folder | null>(null);
export const images = signal<readonly StudioImage[]>([]);
/** Without those whose files are gone or cannot be decoded. */
export const present = computed(() => images.value.filter(({ absent }) => absent !== true));
export const progress = signal<ReadonlyMap<Progress['task'], Progress>>(new Map());

export const isScanning = computed(() => progress.value.has('scan'));

function take(value: Folder): void {
  setMeant(value.key);
  folder.value = value;
  progress.value = new Map(value.progress.map((one) => [one.task, one]));
}

/**
 * Loads what is open. Where that is another folder, or this one on a server that was started anew and numbers its
 * images otherwise, the page is loaded again, and this never settles.
 */
export async function loadFolder(): Promise<void> {
  const before = folder.value;
  const now = await getOfAny<Folder>('/folder');
  const isOther = before !== null && before.identity !== now.identity;
  const isAnew = before !== null && before.key !== now.key;
  if (isAnew) setMeant(now.key);
  else take(now);
  const list = isOther ? [] : await get<StudioImage[]>('/images');
  if (isOther || (isAnew && !images.value.every(({ id, path }) => list[id]?.path === path))) {
    reload(isOther);
    await new Promise(() => undefined);
  }
  if (isAnew) take(now);
  images.value = list;
}

export function hearProgress(heard: Progress): void {
  const tasks = new Map(progress.value);
  if (heard.done >= heard.total) tasks.delete(heard.task);
  else tasks.set(heard.task, heard);
  progress.value = tasks;
}

/** Looks for images that came or went. */
export async function rescan(): Promise<void> {
  take(await post<Folder>('/rescan', {}));
  await loadFolder();
}

/** Fetches the network that the folder offers, as the person has asked. */
export async function fetchBackbone(): Promise<void> {
  take(await post<Folder>('/backbone', {}));
}

/** The last part of an image's path. */
export const nameOf = (id: number): string => images.value[id]?.path.replace(/^.*\//, '') ?? `image ${id}`;
