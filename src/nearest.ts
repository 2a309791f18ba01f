/**
 * The candidate that `word` is most likely a misspelling of, whatever the case; undefined when none
 * is near.
 */
export function nearest<Name extends string>(word: string, candidates: readonly Name[]): Name | undefined {
  const letters = word.replace(/^-+/, '').length;
  if (letters === 0) return undefined;
  const closest = (names: readonly Name[]): Name | undefined => {
    const distances = names.map((name) => editDistance(word.toLowerCase(), name.toLowerCase()));
    return names[distances.indexOf(Math.min(...distances))];
  };
  // A candidate that merely goes on (--epoch, --backbone) beats one with fewer changed letters.
  const longer = candidates.filter((name) => letters > 1 && name.startsWith(word));
  if (longer.length > 0) return closest(longer);
  const best = closest(candidates);
  if (best === undefined) return undefined;
  const limit = letters < 4 ? 1 : Math.max(2, Math.floor(letters / 3));
  return editDistance(word.toLowerCase(), best.toLowerCase()) <= limit ? best : undefined;
}

/** `did you mean "resnet18"?`, or the known names when none is near. */
export function suggestion(word: string, known: readonly string[]): string {
  if (known.length === 0) return 'nothing to choose from';
  const best = nearest(word, known);
  if (best !== undefined) return `did you mean ${JSON.stringify(best)}?`;
  const shown = known.slice(0, 12).join(', ');
  return `known: ${shown}${known.length > 12 ? `, and ${known.length - 12} more` : ''}`;
}

/**
 * How many letters have to be inserted, removed, replaced or swapped with their neighbour to get
 * from one word to the other (optimal string alignment; Damerau 1964).
 */
export function editDistance(from: string, to: string): number {
  let twoBefore: number[] = [],
    before = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const change = from[i - 1] === to[j - 1] ? 0 : 1;
      row[j] = Math.min(before[j]! + 1, row[j - 1]! + 1, before[j - 1]! + change);
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1])
        row[j] = Math.min(row[j]!, twoBefore[j - 2]! + 1);
    }
    [twoBefore, before] = [before, row];
  }
  return before[to.length]!;
}
