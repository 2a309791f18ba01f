/** The list of keys, or of what a finger does. */
import { Dialog } from '../parts/dialog.tsx';
import { isTouch } from '../parts/touch.ts';
import { dialog } from './actions.ts';
import { keys } from './keys.ts';

const gestures: readonly (readonly [string, string])[] = [
  ['Tap', 'select or deselect an image'],
  ['Double tap', 'one image, large'],
  ['A class below', 'label the selected images with it'],
  ['Set aside', 'of no class, or not worth a label'],
  ['Suggested', 'review and accept what the model suggests'],
];

function Gestures() {
  return (
    <Dialog title="By touch" onClose={() => (dialog.value = null)}>
      <dl class="keys">
        {gestures.map(([does, says]) => (
          <div key={does}>
            <dt>{does}</dt>
            <dd>{says}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

export function Help() {
  if (isTouch.value) return <Gestures />;
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
