/** What a run said of images without labels, round by round, with their numbers in the studio. */
import type { PseudoLabelsFile } from '../artifact/formats.js';
import type { PseudoRound } from './protocol.js';

/** `idOf`: of a path as the run knows it. */
export function pseudoRounds(
  file: PseudoLabelsFile | undefined,
  idOf: (path: string) => number | undefined,
): PseudoRound[] {
  const idsOf = (paths: readonly string[]): number[] => paths.flatMap((path) => idOf(path) ?? []);
  return (file?.rounds ?? []).map((round, i): PseudoRound => {
    const { total, accepted, threshold, histogram, perClass, samples, doubtful } = round;
    return {
      title: round.name ?? `round ${round.round ?? i + 1}`,
      images: total ?? 0,
      accepted: accepted ?? 0,
      threshold: threshold ?? null,
      histogram: histogram ?? [],
      classes: Object.entries(perClass ?? {}).map(([name, { predicted, accepted: taken, meanConfidence }]) => ({
        name,
        predicted,
        accepted: taken,
        confidence: meanConfidence,
        examples: idsOf(samples?.[name] ?? []),
      })),
      doubtful: idsOf(doubtful ?? []),
    };
  });
}
