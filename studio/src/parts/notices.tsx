/** Notices at the foot of the page; screen readers hear them. */
import { dismiss, notices } from '../state/notices.ts';
import { Icon } from './icon.tsx';

export function Notices() {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map(({ key, text, isError, action }) => (
        <div key={key} class={isError ? 'notice error' : 'notice'}>
          <p>{text}</p>
          {action && (action.isOpen?.() ?? true) && (
            <button
              class="quiet"
              onClick={() => {
                dismiss(key);
                action.run();
              }}
            >
              {action.label}
            </button>
          )}
          <button class="quiet square" aria-label="Dismiss" onClick={() => dismiss(key)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}
