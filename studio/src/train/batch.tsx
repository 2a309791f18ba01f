/** Images as the network sees them: the batch of this moment while it trains, the first one afterwards. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { RunDetail } from '../protocol.ts';
import { batchOf, fileOf, isGoing } from '../state/runs.ts';

/** Milliseconds from one picture to the next. */
const pause = 4000;

export function BatchPicture({ detail }: { readonly detail: RunDetail }) {
  const { name, hasPreview } = detail;
  const isLive = isGoing(detail);
  const [isOpen, setOpen] = useState(false);
  const [again, setAgain] = useState(0);
  const [hasFailed, setFailed] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const look = (): void => {
    clearTimeout(timer.current);
    setFailed(false);
    setAgain((count) => count + 1);
  };
  if (!isLive && !hasPreview) return null;
  const title = isLive ? 'The batch that it learns from now' : 'The first batch that it learned from';
  return (
    <details onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>{title}</summary>
      {isOpen && hasFailed && <p class="note">Nothing is trained on batches at this moment.</p>}
      {isOpen && !hasFailed && (
        <img
          class="batch"
          src={isLive ? batchOf(name, again) : fileOf(name, 'preview.png')}
          alt={`${title}: augmented images with their labels`}
          onLoad={() => {
            clearTimeout(timer.current);
            if (isLive) timer.current = setTimeout(look, pause);
          }}
          onError={() => {
            setFailed(true);
            if (isLive) timer.current = setTimeout(look, pause);
          }}
        />
      )}
      {isOpen && isLive && <button onClick={look}>Show another one</button>}
    </details>
  );
}
