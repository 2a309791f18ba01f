/**
 * The layout of WebDataset: files of one sample in an archive share their name up to its first dot, such
 * as 0001.jpg, 0001.cls and 0001.json.
 */
import type { Entry } from './scan.js';

/** Bytes of a file beside an image that is read for its label. */
export const longestNote = 2 ** 16;

/** Whether a file may say something of an image of the same name. */
export const isNote = (name: string): boolean => /\.(cls|json|txt)$/i.test(name);

/** What the files of one sample share. */
function keyOf(name: string): string {
  const slash = name.lastIndexOf('/') + 1;
  const dot = name.indexOf('.', slash);
  return dot < 0 ? name : name.slice(0, dot);
}

/** The label in a note: of .cls the text, of .json `label`, `class` or `cls`; undefined where there is none. */
function labelIn(name: string, text: string): string | undefined {
  if (/\.cls$/i.test(name)) return text.trim() === '' ? undefined : text.trim();
  if (!/\.json$/i.test(name)) return undefined;
  try {
    const { label, class: kind, cls } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    const found = label ?? kind ?? cls;
    return typeof found === 'string' || typeof found === 'number' ? String(found) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The files of an archive without the notes beside images. An image that lies in no folder, and whose
 * note has a label, gets a name in a folder of that label: of its words the name in .json counts before
 * the number in .cls.
 */
export function withoutNotes(entries: readonly Entry[], notes: ReadonlyMap<string, string>): Entry[] {
  if (notes.size === 0) return [...entries];
  const images = new Set(entries.filter(({ problem }) => problem === undefined).map(({ name }) => keyOf(name)));
  const labels = new Map<string, string>();
  const byKind = [...notes].sort(([a], [b]) => Number(/\.json$/i.test(a)) - Number(/\.json$/i.test(b)));
  for (const [name, text] of byKind) {
    const label = labelIn(name, text)?.replaceAll('/', '-');
    if (label !== undefined && label !== '') labels.set(keyOf(name), label);
  }
  return entries
    .filter(({ name }) => !(notes.has(name) && images.has(keyOf(name))))
    .map((entry) => {
      const label = entry.name.includes('/') ? undefined : labels.get(keyOf(entry.name));
      return label === undefined ? entry : { ...entry, name: `${label}/${entry.name}` };
    });
}
