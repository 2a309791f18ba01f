/** The frame of every section: where one can go, and what goes on in the background. */
import type { ComponentChildren } from 'preact';
import { Icon } from './parts/icon.tsx';
import { Notices } from './parts/notices.tsx';
import { count } from './parts/numbers.ts';
import { Tasks } from './parts/tasks.tsx';
import { Unsaved } from './parts/unsaved.tsx';
import { addressOf, route, sections, type Section } from './route.ts';
import { queues } from './state/queues.ts';
import { folder } from './state/folder.ts';
import { isGoing, runs } from './state/runs.ts';

/** What a section has waiting. */
function Badge({ section }: { readonly section: Section }) {
  const { labels, alike, strangers } = queues.value;
  const waiting =
    section === 'check'
      ? labels.length + alike.length + strangers.length
      : section === 'train'
        ? runs.value.filter(isGoing).length
        : 0;
  const words = section === 'check' ? 'to check' : 'running';
  if (waiting === 0) return null;
  return (
    <span class="badge">
      {waiting > 999 ? '999+' : count(waiting)}
      <span class="unseen"> {words}</span>
    </span>
  );
}

function Places() {
  return (
    <nav aria-label="Sections">
      {sections.map(({ key, label }) => (
        <a key={key} href={addressOf(key)} aria-current={route.value.section === key ? 'page' : undefined}>
          <Icon name={key} />
          <span>{label}</span>
          <Badge section={key} />
        </a>
      ))}
    </nav>
  );
}

export function Shell({ children }: { readonly children: ComponentChildren }) {
  return (
    <div class="shell">
      <a class="skip" href="#content" onClick={skip}>
        Skip to the content
      </a>
      <header class="side">
        <p class="brand">
          <b>Pupil</b> <span title={folder.value?.name}>{folder.value?.name ?? ''}</span>
        </p>
        <Places />
        <Tasks />
      </header>
      <main id="content" tabIndex={-1}>
        <Unsaved />
        {children}
      </main>
      <Notices />
    </div>
  );
}

/** The address keeps its place: it names the section. */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById('content')?.focus();
}
