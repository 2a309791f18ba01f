import { closest, distance } from 'fastest-levenshtein';

/** The candidate that `word` is most likely a misspelling of, or undefined when none is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (word === '' || candidates.length === 0) return undefined;
  // A candidate that merely goes on (--epoch, --backbone) beats one with fewer changed letters.
  const longer = candidates.filter((candidate) => candidate.startsWith(word) && word.replace(/^-+/, '').length > 1);
  const best = longer.length > 0 ? closest(word, longer) : closest(word.toLowerCase(), [...candidates]);
  const limit = longer.length > 0 ? Infinity : Math.max(2, Math.floor(word.replace(/^-+/, '').length / 2.5));
  return distance(word.toLowerCase(), best.toLowerCase()) <= limit ? best : undefined;
}
