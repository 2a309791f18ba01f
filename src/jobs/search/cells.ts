import { hyphenated } from '../../augment/names.js';
import { ops } from '../../augment/ops.js';
import { largest, opsOf, type ScaleName } from '../../augment/policies/scales.js';
import { parseAugment, type AugmentPolicy } from '../../augment/policy.js';
import { PupilError } from '../../errors.js';
import { Random } from '../../random.js';

/** One candidate of a search. */
export interface Cell {
  readonly policy: AugmentPolicy;
  /** RandAugment's number of ops and magnitude, in a grid. */
  readonly n?: number;
  readonly m?: number;
}

/** What every search measures its cells against: random crops and mirror images alone. */
export const baseline = (): Cell => ({ policy: parseAugment('basic') });

/**
 * RandAugment's settings: `n` ops of magnitude `m` each, row by row. Throws `usage` for an empty or
 * repeated list and numbers out of range.
 */
export function gridCells(n: readonly number[], m: readonly number[], scale: ScaleName): Cell[] {
  check('n', n, 1, 16);
  check('m', m, 0, largest[scale], ` on the scale ${scale}`);
  return n.flatMap((count) =>
    m.map((magnitude) => ({
      policy: parseAugment(`randaugment:n=${count},m=${magnitude}${scale === 'torchvision' ? '' : `,scale=${scale}`}`),
      n: count,
      m: magnitude,
    })),
  );
}

function check(option: string, values: readonly number[], low: number, high: number, where = ''): void {
  const refuse = (message: string): never => {
    throw new PupilError('usage', message, { option });
  };
  if (values.length === 0) refuse(`\`${option}\`: no number given; give some such as 1,2,3`);
  const outside = values.find((value) => !(Number.isInteger(value) && value >= low && value <= high));
  if (outside !== undefined) refuse(`\`${option}: ${outside}\`: give whole numbers from ${low} to ${high}${where}`);
  const repeated = values.find((value, i) => values.indexOf(value) !== i);
  if (repeated !== undefined) refuse(`\`${option}: ${values.join(',')}\`: ${repeated} is there twice`);
}

/** Ops that a drawn policy holds at most. */
const mostOps = 3;

/**
 * `count` different random policies: one to three of RandAugment's ops, none twice, each with a
 * magnitude of its own (torchvision's scale, 1 to 30). Identity is left out: it would only repeat
 * shorter policies. The first policies of a longer list are those of a shorter one.
 */
export function policyCells(count: number, seed: number): Cell[] {
  if (!Number.isInteger(count) || count < 1 || count > 1000)
    throw new PupilError('usage', `\`candidates: ${count}\`: give a whole number from 1 to 1000`, {
      option: 'candidates',
    });
  const names = opsOf.torchvision.filter((name) => name !== 'identity');
  const found = new Map<string, Cell>();
  for (let i = 0; found.size < count; i++) {
    const random = new Random(seed, 'search policy', i);
    const chosen = random.shuffle(names).slice(0, 1 + random.integer(mostOps));
    const text = chosen.map((name) => {
      const m = 1 + random.integer(largest.torchvision);
      return ops[name].unit === 'none' ? hyphenated(name) : `${hyphenated(name)}=${m}`;
    });
    const policy = parseAugment(`ops:${text.join(',')}`);
    if (!found.has(policy.name)) found.set(policy.name, { policy });
  }
  return [...found.values()];
}
