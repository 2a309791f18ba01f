/** Another window was first: what is there now, and what this window wanted. */
import { Dialog } from '../parts/dialog.tsx';
import { of } from '../parts/numbers.ts';
import { Photo } from '../parts/photo.tsx';
import { conflict } from '../state/conflict.ts';
import { wordFor } from '../state/marks.ts';
import { resolve } from '../state/steps.ts';

export function ConflictDialog() {
  const open = conflict.value;
  if (open === null) return null;
  const { changes } = open;
  return (
    <Dialog title="Another window was first" onClose={() => conflict.value !== null && resolve(false)}>
      <p>
        {of(changes.length, 'image')} got another label while you worked. Nothing was overwritten; which label is right?
      </p>
      <ul class="photos">
        {changes.slice(0, 12).map(({ id, to }) => (
          <li key={id}>
            <Photo id={id} />
            <small>
              now <b>{wordFor(open.now.get(id) ?? null)}</b>, yours <b>{wordFor(to)}</b>
            </small>
          </li>
        ))}
      </ul>
      <footer>
        <button onClick={() => resolve(false)}>Keep what is there</button>
        <button class="primary" onClick={() => resolve(true)}>
          Use mine
        </button>
      </footer>
    </Dialog>
  );
}
