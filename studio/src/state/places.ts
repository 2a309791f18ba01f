/** Folders that can be opened instead. */
import { signal } from '@preact/signals';
import type { Folder, OpenRequest, Places } from '../protocol.ts';
import { get, post } from './requests.ts';

/** The one that is looked into; null as long as none is. */
export const places = signal<Places | null>(null);

export async function lookInto(at: string): Promise<void> {
  places.value = await get<Places>(`/folders?at=${encodeURIComponent(at)}`);
}

/** Opens it; the page begins anew, since all that it shows is of the folder before. */
export async function openFolder(request: OpenRequest): Promise<void> {
  await post<Folder>('/open', request);
  beginAnew();
}

let isLeaving = false;
/** Whether the page is loaded again by itself: what waits to be saved waits in the browser meanwhile. */
export const isReloading = (): boolean => isLeaving;

/** Loads the page again; it stays at its section unless it shows another folder now. */
export function reload(isElsewhere: boolean): void {
  isLeaving = true;
  if (isElsewhere) history.replaceState(null, '', '#/start');
  location.reload();
}

export const beginAnew = (): void => reload(true);
