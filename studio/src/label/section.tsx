/** Labelling: images on one side, classes and the estimate on the other. */
import { useEffect } from 'preact/hooks';
import { proposed } from '../state/assistant.ts';
import { present } from '../state/folder.ts';
import { complain } from '../state/notices.ts';
import { markOf } from '../state/labels.ts';
import { comes, dialog } from './actions.ts';
import { ClassDialog } from './class-dialog.tsx';
import { EditDialog } from './edit-dialog.tsx';
import { Grid } from './grid.tsx';
import { Help } from './help.tsx';
import { hearKey } from './keys.ts';
import { Panel } from './panel.tsx';
import { Single } from './single.tsx';
import { Suggested } from './suggested.tsx';
import { Toolbar } from './toolbar.tsx';
import { ids, isSingle, show, supply } from './view.ts';

const nothing = {
  next: 'Every image has a label or was set aside.',
  random: 'Every image has a label or was set aside.',
  suggested: 'The model suggests nothing at the moment: label a few images of each class first.',
  unlabelled: 'Every image has a label or was set aside.',
  all: 'There are no images in this folder yet; add some in Start.',
  aside: 'No image was set aside.',
  class: 'No image has this label.',
  alike: '',
} as const;

function saysNothing(): string {
  if (present.value.length === 0) return nothing.all;
  const isToCome = supply.value !== undefined && present.value.some(({ id }) => markOf(id) === null);
  return isToCome ? comes : nothing[show.value.kind];
}

function Images() {
  if (ids.value.length === 0) return <p class="empty">{saysNothing()}</p>;
  if (show.value.kind === 'suggested') return <Suggested />;
  return isSingle.value ? <Single /> : <Grid />;
}

export function LabelSection() {
  useEffect(() => {
    document.addEventListener('keydown', hearKey);
    return () => document.removeEventListener('keydown', hearKey);
  }, []);
  const total = present.value.length;
  useEffect(() => void proposed.more('better').catch(complain), [total]);
  return (
    <div class="labelling">
      <h1 class="unseen">Label</h1>
      <Toolbar />
      <Images />
      <Panel />
      {dialog.value === 'help' && <Help />}
      {dialog.value === 'classes' && <ClassDialog />}
      {dialog.value === 'edit' && <EditDialog />}
    </div>
  );
}
