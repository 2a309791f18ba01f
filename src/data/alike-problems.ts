import type { Alike } from './alike.js';
import type { Problem } from './check.js';
import { counted, list } from './dataset.js';
import type { Sample } from './sample.js';

/** Whether a pair makes a measurement look better than it is: one image is learned from, the other measured on. */
export const isAcross = ({ first, second }: Pick<Alike, 'first' | 'second'>): boolean => {
  const isMeasured = ({ split }: Sample): boolean => split === 'val' || split === 'test';
  return first.split !== second.split && (isMeasured(first) || isMeasured(second));
};

/** What should be known of images that look alike: those in two splits, under two labels, and others. */
export function alikeProblems(alike: readonly Alike[], classes: readonly string[]): Problem[] {
  const across = alike.filter(isAcross);
  const rest = alike.filter((pair) => !isAcross(pair));
  const isTwice = ({ first, second }: Alike): boolean =>
    first.label >= 0 && second.label >= 0 && first.label !== second.label;
  const problems: Problem[] = [];
  const warn = (pairs: readonly Alike[], message: (count: string) => string, show = pathOf): void => {
    if (pairs.length === 0) return;
    const shown = list(pairs.map(({ first, second }) => `${show(first)} = ${show(second)}`));
    const images = counted(new Set(pairs.map(({ second }) => second.hash)).size, 'image');
    problems.push({
      kind: 'alike',
      paths: pairs.flatMap(({ first, second }) => [first.path, second.path]),
      message: `${message(images)}: ${shown}`,
    });
  };
  const labelled = (sample: Sample): string => `${sample.path} (${classes[sample.label] ?? 'no label'})`;
  const samePixels = across.filter((pair) => pair.samePixels);
  warn(
    samePixels.filter((pair) => !isTwice(pair)),
    (images) => `${images} with the same pixels as one of another split, in another file; remove one of each`,
  );
  warn(
    samePixels.filter(isTwice),
    (images) =>
      `${images} with the same pixels as one of another split and another label, in another file; ` +
      'keep the one that is right',
    labelled,
  );
  warn(
    across.filter(({ samePixels }) => !samePixels),
    (images) =>
      `${images} nearly the same as one of another split (resized, recompressed or taken right after it), ` +
      'so that accuracy looks better than it is; look at them, and move both to one split',
  );
  warn(rest.filter(isTwice), (images) => `${images} nearly the same as one with another label`, labelled);
  const same = rest.filter((pair) => !isTwice(pair));
  warn(same, (images) => `${images} nearly the same as another (kept together when some are held out)`);
  return problems;
}

const pathOf = ({ path }: Sample): string => path;
