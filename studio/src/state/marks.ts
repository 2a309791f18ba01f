/** What an image can be marked with: a class, nothing, or set aside; and the steps in which marks change. */
import type { CheckDecision, LabelChange, Mark } from '../protocol.ts';

export type { Mark };

export const aside: Mark = { skip: true };

export const isAside = (mark: Mark): boolean => typeof mark === 'object' && mark !== null;

export const isSame = (a: Mark, b: Mark): boolean => a === b || (isAside(a) && isAside(b));

/** The class alone. */
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

/** What a person did at once, and what is undone at once. */
export interface Step {
  readonly changes: readonly Change[];
  /** Classes that came into being by it. */
  readonly made: readonly string[];
  /** What was decided in a check. */
  readonly kept?: Kept | undefined;
}

/** A question of a check that is not asked again; or is (`isBack`). */
export interface Kept {
  readonly queue: CheckDecision['queue'];
  readonly id: number;
  /** The label that is kept, and who gave it. */
  readonly label: string | null;
  readonly from: Source;
  readonly isBack: boolean;
}

export const inverse = ({ changes, kept }: Step): Step => ({
  made: [],
  changes: changes.map(({ id, was, to, wasFrom, source }) => ({
    ...{ id, was: to, to: was },
    ...{ wasFrom: source, source: wasFrom },
  })),
  kept: kept && { ...kept, isBack: !kept.isBack },
});

/** The images that a step is about. */
export const imagesOf = ({ changes, kept }: Step): readonly number[] => [
  ...new Set([...changes.map(({ id }) => id), ...(kept === undefined ? [] : [kept.id])]),
];
