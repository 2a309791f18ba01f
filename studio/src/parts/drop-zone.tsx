/** Where images can be dropped, with a button for those who choose them instead. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { complain } from '../state/notices.ts';
import { chosenFiles, droppedFiles, type Dropped } from './dropped.ts';

interface Given {
  /** What can be dropped. */
  readonly says: string;
  readonly onFiles: (files: readonly Dropped[]) => void;
  /** Further buttons. */
  readonly children?: ComponentChildren;
}

export function FileButton({
  label,
  isPrimary = false,
  isFolder = false,
  onFiles,
}: {
  readonly label: string;
  readonly isPrimary?: boolean;
  readonly isFolder?: boolean;
  readonly onFiles: Given['onFiles'];
}) {
  return (
    <label class={isPrimary ? 'button primary' : 'button'}>
      {label}
      <input
        class="unseen"
        type="file"
        multiple
        {...(isFolder ? { webkitdirectory: true } : { accept: 'image/*,.heic,.heif' })}
        onChange={({ currentTarget }) => {
          onFiles(chosenFiles(currentTarget.files ?? []));
          currentTarget.value = '';
        }}
      />
    </label>
  );
}

export function DropZone({ says, onFiles, children }: Given) {
  const [isOver, setOver] = useState(false);
  return (
    <div
      class={isOver ? 'drop over' : 'drop'}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        if (event.dataTransfer !== null) droppedFiles(event.dataTransfer).then(onFiles, complain);
      }}
    >
      <p>{says}</p>
      <FileButton label="Choose images" isPrimary onFiles={onFiles} />
      {children}
    </div>
  );
}
