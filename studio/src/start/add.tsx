/** Adding images to the folder: they are copied into it. */
import { Bar } from '../parts/bar.tsx';
import { DropZone, FileButton } from '../parts/drop-zone.tsx';
import { count, of } from '../parts/numbers.ts';
import { addImages, incoming, refused } from '../state/incoming.ts';
import { attempt } from '../state/notices.ts';

function Refusals() {
  if (refused.value.length === 0) return null;
  return (
    <details class="card finding">
      <summary>{of(refused.value.length, 'file')} could not be added</summary>
      <ul class="files">
        {refused.value.map(({ path, reason }) => (
          <li key={path}>
            <b>{path}</b> <small>{reason}</small>
          </li>
        ))}
      </ul>
    </details>
  );
}

export function AddImages() {
  const now = incoming.value;
  const add = (files: Parameters<typeof addImages>[0]): void => attempt(() => addImages(files));
  return (
    <section aria-label="Add images">
      {now === null ? (
        <DropZone says="Drop photos or a folder here to copy them into this folder." onFiles={add}>
          <FileButton label="Choose a folder of images" isFolder onFiles={add} />
        </DropZone>
      ) : (
        <div class="drop" role="status">
          <p>
            Adding images: {count(now.done)} of {count(now.total)}
          </p>
          <Bar label="Adding images" done={now.done / now.total} />
        </div>
      )}
      <Refusals />
    </section>
  );
}
