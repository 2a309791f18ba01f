/** Levels of nesting that no file of a run comes near. */
const deepest = 64;

/** Whether a value of JSON is nested so deeply that a function that calls itself could not walk it. */
export function isTooDeep(value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > deepest) return true;
    level = level.flatMap((item): unknown[] =>
      typeof item === 'object' && item !== null ? Object.values(item).filter((part) => typeof part === 'object') : [],
    );
  }
  return false;
}
