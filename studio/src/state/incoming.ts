/** Images on their way into the folder. */
import { signal } from '@preact/signals';
import type { Added } from '../protocol.ts';
import { isImageFile, withoutCommonFolder, type Dropped } from '../parts/dropped.ts';
import { of } from '../parts/numbers.ts';
import { rescan } from './folder.ts';
import { complain, say } from './notices.ts';
import { messageOf, postImage, Refused } from './requests.ts';

export interface Incoming {
  readonly done: number;
  readonly total: number;
}

/** null: none are on their way. */
export const incoming = signal<Incoming | null>(null);
/** Files that were not taken, with the reason. */
export const refused = signal<readonly { readonly path: string; readonly reason: string }[]>([]);

/** Sent at once: the server takes four. */
const together = 2;

/** Sends images into the folder, then looks for them there. Files that are no images are passed over. */
export async function addImages(files: readonly Dropped[]): Promise<void> {
  if (incoming.value !== null) return complain('Images are being added; wait until they are there.');
  const images = withoutCommonFolder(files.filter(({ file }) => isImageFile(file)));
  if (images.length === 0) return complain('There are no images among these files.');
  incoming.value = { done: 0, total: images.length };
  refused.value = [];
  let isOver = false,
    added = 0;
  const queue = images.values();
  const send = async (): Promise<void> => {
    for (const { path, file } of queue) {
      if (isOver) return;
      try {
        const { isNew } = await postImage<Added>(`/add?path=${encodeURIComponent(path)}`, file);
        if (isNew) added++;
      } catch (error) {
        // Nobody is there any more, or another folder is.
        if (error instanceof Refused && (error.status === 0 || error.status === 409)) isOver = true;
        refused.value = [...refused.value, { path, reason: messageOf(error) }];
      }
      incoming.value = { done: incoming.value!.done + 1, total: images.length };
    }
  };
  await Promise.all(Array.from({ length: together }, send));
  incoming.value = null;
  await rescan().catch(complain);
  const known = images.length - added - refused.value.length;
  say(
    `${of(added, 'image')} added.` +
      (known > 0 ? ` ${of(known, 'image')} ${known === 1 ? 'was' : 'were'} here already.` : ''),
  );
}
