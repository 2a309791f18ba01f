/** Choosing which folder is open: one below the folder that the studio was started in, a new one, or a bundled set. */
import { useEffect, useState } from 'preact/hooks';
import type { OpenRequest, Places } from '../protocol.ts';
import { of } from '../parts/numbers.ts';
import { folder } from '../state/folder.ts';
import { attempt, complain } from '../state/notices.ts';
import { lookInto, openFolder, places } from '../state/places.ts';
import { returned } from '../state/requests.ts';

const below = (at: string, name: string): string => (at === '' ? name : `${at}/${name}`);

/** Where one is; each folder on the way can be gone back to. */
function Way({ root, at }: Pick<Places, 'root' | 'at'>) {
  const names = at === '' ? [] : at.split('/');
  return (
    <nav class="way" aria-label="Folder">
      {[root, ...names].map((name, i) => (
        <span key={i}>
          {i > 0 && ' / '}
          {i === names.length ? (
            <b>{name}</b>
          ) : (
            <button class="quiet" onClick={() => attempt(() => lookInto(names.slice(0, i).join('/')))}>
              {name}
            </button>
          )}
        </span>
      ))}
    </nav>
  );
}

function Folders({ at, folders }: Pick<Places, 'at' | 'folders'>) {
  if (folders.length === 0) return <p class="note">There are no folders in it.</p>;
  return (
    <ul class="places">
      {folders.map(({ name, images, folders: inner }) => (
        <li key={name}>
          <button class="quiet" onClick={() => attempt(() => lookInto(below(at, name)))}>
            <b>{name}</b>
            <small>
              {of(images, 'image')}
              {inner > 0 && `, ${of(inner, 'folder')}`}
            </small>
          </button>
        </li>
      ))}
    </ul>
  );
}

function NewFolder({ onMake }: { readonly onMake: (name: string) => void }) {
  const [name, setName] = useState('');
  return (
    <form
      class="new-folder"
      onSubmit={(event) => {
        event.preventDefault();
        onMake(name.trim());
      }}
    >
      <label for="new-folder">New folder</label>
      <input id="new-folder" value={name} onInput={({ currentTarget }) => setName(currentTarget.value)} />
      <button disabled={name.trim() === ''}>Make and open it</button>
    </form>
  );
}

export function Chooser() {
  const [isOpening, setOpening] = useState(false);
  const now = places.value;
  useEffect(() => attempt(() => lookInto(now?.at ?? folder.value?.at ?? '')), [returned.value]);
  if (now === null) return <p class="note">Looking…</p>;
  const open = (request: OpenRequest): void => {
    setOpening(true);
    openFolder(request)
      .catch(complain)
      .finally(() => setOpening(false));
  };
  const isOpen = now.at === folder.value?.at;
  return (
    <div class="chooser" aria-busy={isOpening}>
      <Way {...now} />
      <Folders {...now} />
      <p class="buttons">
        <button class="primary" disabled={isOpen || isOpening} onClick={() => open({ folder: now.at })}>
          {isOpen ? 'This folder is open' : `Open ${now.at.split('/').at(-1) || now.root}`}
        </button>
        <small>{of(now.images, 'image')} directly in it; those in its folders come too.</small>
      </p>
      <NewFolder onMake={(name) => open({ folder: below(now.at, name), make: true })} />
      <p class="buttons">
        {now.sets.map(({ name, says }) => (
          <span key={name}>
            <button disabled={isOpening} onClick={() => open({ set: name })}>
              Try it with {name}
            </button>{' '}
            <small>
              {says}, written into a folder "{name}"
            </small>
          </span>
        ))}
      </p>
    </div>
  );
}
