/** What an image can be marked with: a class, nothing, or set aside. */
import type { LabelChange } from '../protocol.ts';

export type Mark = LabelChange['to'];

export const aside: Mark = { skip: true };

export const isAside = (mark: Mark): boolean => typeof mark === 'object' && mark !== null;

export const isSame = (a: Mark, b: Mark): boolean => a === b || (isAside(a) && isAside(b));

/** The class alone, as the server compares it. */
export const classOf = (mark: Mark): string | null => (typeof mark === 'string' ? mark : null);

export const wordFor = (mark: Mark): string => (isAside(mark) ? 'set aside' : (classOf(mark) ?? 'no label'));

type Source = LabelChange['source'];

/** Of one image: what it was and what it becomes, and who gave either. */
export interface Change {
  readonly id: number;
  readonly was: Mark;
  readonly to: Mark;
  readonly wasFrom: Source;
  readonly source: Source;
}

/** Changes that were made at once, and are undone at once. */
export interface Step {
  readonly changes: readonly Change[];
  /** Classes that came into being by it. */
  readonly made: readonly string[];
}

export const inverse = ({ changes }: Step): Step => ({
  made: [],
  changes: changes.map(({ id, was, to, wasFrom, source }) => ({
    ...{ id, was: to, to: was },
    ...{ wasFrom: source, source: wasFrom },
  })),
});
