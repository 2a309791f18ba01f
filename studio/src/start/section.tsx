/** What is in the folder, and what to do next. */
import { NoFolder } from '../parts/no-folder.tsx';
import { of } from '../parts/numbers.ts';
import { folder, present, rescan } from '../state/folder.ts';
import { attempt, say } from '../state/notices.ts';
import { labelled } from '../state/labels.ts';
import { AddImages } from './add.tsx';
import { BackboneCard } from './backbone.tsx';
import { Chooser } from './chooser.tsx';
import { Figures } from './figures.tsx';
import { Findings } from './findings.tsx';
import { NextStep } from './next-step.tsx';

async function look(): Promise<void> {
  const before = present.value.length;
  await rescan();
  const more = present.value.length - before;
  say(more === 0 ? 'No new images.' : `${of(Math.abs(more), 'image')} ${more > 0 ? 'came' : 'went'}.`);
}

function NothingOpen() {
  return (
    <>
      <h1>Choose a folder of images</h1>
      <p class="lead">
        The studio opens folders below the one it was started in. Labels are written beside the images; no image is ever
        changed or deleted.
      </p>
      <section class="card">
        <Chooser />
      </section>
    </>
  );
}

export function StartSection() {
  const open = folder.value;
  if (open === null) return <h1>Opening…</h1>;
  if (open.at === null) return open.canChoose ? <NothingOpen /> : <NoFolder />;
  return (
    <div class="start">
      <h1>{open.name}</h1>
      <p class="lead">
        {of(present.value.length, 'image')}, {labelled.value} labelled. Labels are kept in <code>{open.manifest}</code>
        {' beside the images; no image is ever changed or deleted.'}
      </p>
      {open.note !== null && <p class="note">{open.note}</p>}
      <NextStep />
      <Figures />
      <BackboneCard />
      <AddImages />
      <p class="buttons">
        <button onClick={() => attempt(look)}>Look for new images</button>
      </p>
      <Findings />
      {open.canChoose && (
        <details class="card finding">
          <summary>Open another folder</summary>
          <Chooser />
        </details>
      )}
    </div>
  );
}
