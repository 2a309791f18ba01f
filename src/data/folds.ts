/** Folds of anything that has a class and a content. */

/** Examples of one content: no fold tears them apart. */
export interface ContentGroup<Example> {
  /** In [0, 1), by the content alone. */
  readonly key: number;
  readonly members: readonly Example[];
}

/** Folds of at most `most`, but no more than the largest class has contents; 0 where that is one. */
export function foldCount(classes: readonly (readonly unknown[])[], most: number): number {
  const k = Math.min(
    most,
    classes.reduce((largest, { length }) => Math.max(largest, length), 0),
  );
  return k < 2 ? 0 : k;
}

/**
 * k folds with equal shares of each class, whose groups come in the order of their keys: each goes to the fold
 * that its key says, or to the next one that is not full, so that few move when others are added. Classes with
 * one content are in no fold.
 */
export function dealFolds<Example>(
  classes: readonly (readonly ContentGroup<Example>[])[],
  k: number,
): (readonly Example[])[] {
  const parts = Array.from({ length: k }, (): Example[] => []);
  let turn = 0;
  for (const groups of classes) {
    if (groups.length < 2) continue;
    const room = Math.floor(groups.length / k);
    let extra = groups.length % k; // folds that take one more
    const used = new Array<number>(k).fill(0);
    const full = (fold: number): boolean => used[fold]! > room || (used[fold]! === room && extra === 0);
    for (const { key, members } of groups) {
      // Classes start at different folds, or small ones would crowd the first.
      let fold = (Math.floor(key * k) + turn) % k;
      while (full(fold)) fold = (fold + 1) % k;
      if (used[fold]! === room) extra--;
      used[fold]!++;
      parts[fold]!.push(...members);
    }
    turn++;
  }
  return parts.filter((part) => part.length > 0);
}
