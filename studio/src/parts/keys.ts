/** Keys that mean the same in several sections. */

/** Whether keys are those of a field or a dialog. A choice of a few keeps its arrows and Space alone. */
export function isInField(event: KeyboardEvent): boolean {
  const target = event.target instanceof Element ? event.target : document.body;
  if (target.closest('dialog, input:not([type=radio]), select, textarea') !== null) return true;
  return target.matches('input') && (event.key === ' ' || event.key.startsWith('Arrow'));
}

/** Takes the last step back or makes it again, if the key says so. */
export function hearUndo(event: KeyboardEvent, undo: () => void, redo: () => void): boolean {
  const letter = event.key.toLowerCase();
  if (!(event.ctrlKey || event.metaKey) || (letter !== 'z' && letter !== 'y')) return false;
  if (letter === 'y' || event.shiftKey) redo();
  else undo();
  event.preventDefault();
  return true;
}
