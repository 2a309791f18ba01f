/** What is wrong with files and labels: each kind a list that opens. */
import type { ComponentChildren } from 'preact';
import { FileName } from '../parts/file-name.tsx';
import { of, percent } from '../parts/numbers.ts';
import { Photo } from '../parts/photo.tsx';
import { addressOf } from '../route.ts';
import { queues } from '../state/queues.ts';
import { folder, nameOf } from '../state/folder.ts';

/** Of a list, so many are shown here; the rest is in Check. */
const most = 12;

function Finding({ title, children }: { readonly title: string; readonly children: ComponentChildren }) {
  return (
    <details class="card finding">
      <summary>{title}</summary>
      {children}
    </details>
  );
}

const Rest = ({ left }: { readonly left: number }) =>
  left > 0 ? (
    <p class="note">
      and {left} more, in <a href={addressOf('check')}>Check</a>
    </p>
  ) : null;

export function Findings() {
  const { unreadable = [] } = folder.value ?? {};
  const { labels, alike } = queues.value;
  return (
    <>
      {unreadable.length > 0 && (
        <Finding title={`${of(unreadable.length, 'unreadable file')}, skipped`}>
          <ul class="files">
            {unreadable.map(({ path, reason }) => (
              <li key={path}>
                <b>
                  <FileName path={path} />
                </b>{' '}
                <small>{reason}</small>
              </li>
            ))}
          </ul>
        </Finding>
      )}
      {labels.length > 0 && (
        <Finding title={`${of(labels.length, 'label')} may be wrong`}>
          <ul class="photos">
            {labels.slice(0, most).map(({ id, label, likely, confidence }) => (
              <li key={id}>
                <Photo id={id} />
                <small>
                  {label}, likely <b>{likely}</b> ({percent(confidence)})
                </small>
              </li>
            ))}
          </ul>
          <Rest left={labels.length - most} />
        </Finding>
      )}
      {alike.length > 0 && (
        <Finding title={`${of(alike.length, 'pair')} of images that are the same, or nearly`}>
          <ul class="photos pairs">
            {alike.slice(0, most).map(({ ids: [a, b], kind }) => (
              <li key={`${a} ${b}`}>
                <Photo id={a} />
                <Photo id={b} />
                <small>
                  {kind === 'same' ? 'same pixels' : 'nearly the same'}: <FileName path={nameOf(a)} />,{' '}
                  <FileName path={nameOf(b)} />
                </small>
              </li>
            ))}
          </ul>
          <Rest left={alike.length - most} />
        </Finding>
      )}
    </>
  );
}
