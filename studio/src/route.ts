/** Where in the studio one is: `#/section` or `#/section/name`. */
import { signal } from '@preact/signals';

export const sections = [
  { key: 'start', label: 'Start' },
  { key: 'label', label: 'Label' },
  { key: 'check', label: 'Check' },
  { key: 'augment', label: 'Augment' },
  { key: 'train', label: 'Train' },
  { key: 'try', label: 'Try' },
  { key: 'look', label: 'Look' },
] as const;

export type Section = (typeof sections)[number]['key'];

export interface Route {
  readonly section: Section;
  /** A run, where the section shows one. */
  readonly name: string | null;
}

const current = (): Route => {
  const [, section, name] = /^#\/([a-z]+)(?:\/(.+))?$/.exec(location.hash) ?? [];
  const known = sections.find(({ key }) => key === section);
  return { section: known?.key ?? 'start', name: name === undefined ? null : decoded(name) };
};

/** Null for what no address of the studio has: a `%` that stands for nothing. */
function decoded(name: string): string | null {
  try {
    return decodeURIComponent(name);
  } catch {
    return null;
  }
}

export const route = signal(current());
window.addEventListener('hashchange', () => (route.value = current()));

export const addressOf = (section: Section, name?: string): string =>
  `#/${section}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`;

export const go = (section: Section, name?: string): void => {
  location.hash = addressOf(section, name);
};
