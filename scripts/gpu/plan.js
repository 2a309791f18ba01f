// What is measured, in which order and for how long: parts, cells and their shares of the time.

/** Parts that can be chosen; those but the last are Pupil's. */
export const parts = ['check', 'training', 'inference', 'profile', 'pytorch'];

/** Sizes of batches, the most telling first, and of images. Tiny ones are for a software GPU. */
export const sizes = {
  full: { size: 224, classes: 1000, check: 4, training: [64, 16, 128], inference: [64, 1, 256], profile: 64 },
  tiny: { size: 32, classes: 10, check: 16, training: [4, 2], inference: [4, 1], profile: 2 },
};

/** PyTorch's ways to compute: full float32, TF32 in its products, automatic mixed precision. */
export const precisions = ['float32', 'tf32', 'amp'];

/**
 * Names of a comma-separated list, in the order of `known`. Throws with the unknown name and what there is.
 */
export function choose(list, known, option) {
  const names = list.split(',').filter(Boolean);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined || names.length === 0)
    throw new Error(`--${option}: ${unknown === undefined ? 'no name' : `no ${unknown}`}; choose from ${known}`);
  return known.filter((name) => names.includes(name));
}

/**
 * The work on one network, most telling first: the check, the first batch size of each part, the profile, then
 * the other sizes.
 */
export function cellsOf(chosen, { check, training, inference, profile }) {
  const measured = { training, inference };
  const at = (i) =>
    Object.entries(measured).flatMap(([kind, batches]) =>
      batches[i] === undefined ? [] : [{ kind, batch: batches[i] }],
    );
  const rest = Array.from({ length: Math.max(training.length, inference.length) - 1 }, (_, i) => at(i + 1)).flat();
  return [{ kind: 'check', batch: check }, ...at(0), { kind: 'profile', batch: profile }, ...rest].filter(({ kind }) =>
    chosen.includes(kind),
  );
}

/** PyTorch's cells of all networks: the first batch sizes of every network and precision come before others. */
export function peerCellsOf(names, chosen, sizesOfRun) {
  const kinds = chosen.filter((kind) => kind === 'training' || kind === 'inference');
  const wanted = kinds.length > 0 ? kinds : ['training', 'inference'];
  const ofNetwork = cellsOf(wanted, sizesOfRun);
  const first = ofNetwork.slice(0, wanted.length),
    rest = ofNetwork.slice(wanted.length);
  return [first, rest].flatMap((cells) =>
    names.flatMap((name) =>
      cells.flatMap((cell) => precisions.map((precision) => ({ network: name, precision, ...cell }))),
    ),
  );
}

/** Kinds of cells that load, draw weights or compile what later ones find ready get more of the time. */
const weights = { check: 4, training: 2, inference: 1, profile: 2 };

/**
 * Seconds that the first of the `cells` may take of the `remaining` ones: up to three times its share, at least three
 * seconds while there are any.
 */
export function budgetOf(remaining, cells) {
  const all = cells.reduce((sum, { kind }) => sum + weights[kind], 0);
  return Math.min(remaining, Math.max(3, (3 * remaining * weights[cells[0].kind]) / all));
}
