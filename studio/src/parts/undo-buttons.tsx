/** Takes the last step back, or makes it again. */
import { canRedo, canUndo } from '../state/steps.ts';
import { Icon } from './icon.tsx';

export function UndoButtons({ undo, redo }: { readonly undo: () => void; readonly redo: () => void }) {
  return (
    <span class="undoing">
      <button class="quiet square" aria-label="Undo" disabled={!canUndo.value} onClick={undo}>
        <Icon name="undo" />
      </button>
      <button class="quiet square" aria-label="Do it again" disabled={!canRedo.value} onClick={redo}>
        <Icon name="redo" />
      </button>
    </span>
  );
}
