/** The folder in numbers. */
import { count } from '../parts/numbers.ts';
import { addressOf, type Section } from '../route.ts';
import { queues } from '../state/queues.ts';
import { folder, present } from '../state/folder.ts';
import { classes, labelled } from '../state/labels.ts';

interface Figure {
  readonly name: string;
  readonly value: number;
  readonly link?: { readonly section: Section; readonly words: string } | undefined;
}

export function Figures() {
  const { unreadable = [] } = folder.value ?? {};
  const { alike } = queues.value;
  const copies = alike.filter(({ kind }) => kind === 'same').length;
  const toCheck = { section: 'check', words: 'Check' } as const;
  const figures: readonly Figure[] = [
    { name: 'images', value: present.value.length },
    { name: 'labelled', value: labelled.value, link: { section: 'label', words: 'Label' } },
    { name: 'classes', value: classes.value.length },
    { name: 'duplicates', value: copies, link: toCheck },
    { name: 'near duplicates', value: alike.length - copies, link: toCheck },
    { name: 'suspicious labels', value: queues.value.labels.length, link: toCheck },
    { name: 'unreadable files', value: unreadable.length },
  ];
  return (
    <dl class="figures">
      {figures.map(({ name, value, link }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            {count(value)}
            {link && value > 0 && (
              <a href={addressOf(link.section)} aria-label={`${link.words}: ${name}`}>
                {link.words}
              </a>
            )}
          </dd>
        </div>
      ))}
    </dl>
  );
}
