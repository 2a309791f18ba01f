/** The studio's page. */
import { render, type ComponentType } from 'preact';
import { useEffect } from 'preact/hooks';
import { AugmentSection } from './augment/section.tsx';
import { CheckSection } from './check/section.tsx';
import { ConflictDialog } from './label/conflict.tsx';
import { LabelSection } from './label/section.tsx';
import { LookSection } from './look/section.tsx';
import { NoFolder } from './parts/no-folder.tsx';
import { route, sections, type Section } from './route.ts';
import { Shell } from './shell.tsx';
import { StartSection } from './start/section.tsx';
import { isOpened, listen } from './state/events.ts';
import { folder } from './state/folder.ts';
import { TrainSection } from './train/section.tsx';
import { TrySection } from './try/section.tsx';

const parts: Readonly<Record<Section, ComponentType>> = {
  start: StartSection,
  label: LabelSection,
  check: CheckSection,
  augment: AugmentSection,
  train: TrainSection,
  try: TrySection,
  look: LookSection,
};

/** What there is nothing of without a folder. */
const ofImages: ReadonlySet<Section> = new Set(['label', 'check', 'augment']);

function Page() {
  const { section } = route.value;
  const Part = folder.value?.at === null && ofImages.has(section) ? NoFolder : parts[section];
  const title = sections.find(({ key }) => key === section)!.label;
  useEffect(() => {
    document.title = `${title} – Pupil studio`;
  }, [title]);
  return (
    <>
      <Shell>{isOpened.value ? <Part /> : <h1>Opening…</h1>}</Shell>
      <ConflictDialog />
    </>
  );
}

listen();
render(<Page />, document.getElementById('page')!);
