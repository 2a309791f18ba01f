/** The list of keys. */
import { Dialog } from '../parts/dialog.tsx';
import { dialog } from './actions.ts';
import { keys } from './keys.ts';

export function Help() {
  return (
    <Dialog title="Keys" onClose={() => (dialog.value = null)}>
      <dl class="keys">
        {keys.map(({ shown, says }) => (
          <div key={shown}>
            <dt>
              <kbd>{shown}</kbd>
            </dt>
            <dd>{says}</dd>
          </div>
        ))}
      </dl>
      <p class="note">
        With the mouse: drag a frame around images, or click with Ctrl or Shift, to select several; double-click opens
        one.
      </p>
    </Dialog>
  );
}
