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

export function beginAnew(): void {
  history.replaceState(null, '', '#/start');
  location.reload();
}
