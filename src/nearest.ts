import { closest, distance } from 'fastest-levenshtein';

/** `did you mean "resnet18"?`, or the known names when none is near. */
export function nearest(name: string, known: readonly string[]): string {
  if (known.length === 0) return 'nothing to choose from';
  const best = closest(name, known);
  if (distance(name, best) <= Math.max(2, best.length / 3)) return `did you mean ${JSON.stringify(best)}?`;
  const shown = known.slice(0, 12).join(', ');
  return `known: ${shown}${known.length > 12 ? `, and ${known.length - 12} more` : ''}`;
}
