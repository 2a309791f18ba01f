/** Which of very many pseudo-labels are accepted, and how often, without holding them in memory. */
import { checkSelection, sharesOf, type SelectOptions } from '../../data/pseudo-labels.js';

/** What choosing needs to know of a label. */
export interface Candidate {
  /** Index of the class. */
  readonly label: number;
  /** Whose float32 is different for different confidences, 0 to 1. */
  readonly confidence: number;
  /** Whether it is left out whatever its confidence. */
  readonly isRejected: boolean;
}

/** Reads all labels from the first to the last, every time that it is called. */
export type Pass = (visit: (candidate: Candidate) => void) => Promise<void>;

/** Says of label after label, in the order of a pass, how often it stands in the training set; 0: not accepted. */
export type Chooser = (candidate: Candidate) => number;

/**
 * `selectPseudoLabels` for more labels than fit into memory: some passes over them instead of sorting.
 * The chooser that it returns has to be asked about every label once, in order.
 */
export async function chooseLabels(pass: Pass, classes: number, options: SelectOptions): Promise<Chooser> {
  checkSelection(options);
  const { threshold, perClass, balance = perClass !== undefined } = options;
  const isOpen = ({ confidence, isRejected }: Candidate): boolean => confidence >= threshold && !isRejected;
  if (perClass === undefined && !balance) return (candidate) => Number(isOpen(candidate));
  const counts = new Array<number>(classes).fill(0);
  await pass((candidate) => {
    if (isOpen(candidate)) counts[candidate.label]!++;
  });
  const chosen = counts.map((count) => Math.min(count, perClass ?? Infinity));
  const wanted = perClass ?? Math.max(0, ...chosen);
  const shares = chosen.map((count) => sharesOf(wanted, count));
  const members: Pass = (visit) => pass((candidate) => isOpen(candidate) && visit(candidate));
  const accepted = await foremost(members, chosen);
  const doubled = await foremost(
    members,
    shares.map(({ extra }, label) => (balance && chosen[label]! > 0 ? extra : 0)),
  );
  return (candidate) => {
    if (!isOpen(candidate)) return 0;
    // Both are asked every time: they count equal confidences.
    const isAccepted = accepted(candidate),
      isDoubled = doubled(candidate);
    if (!isAccepted) return 0;
    return balance ? shares[candidate.label]!.each + Number(isDoubled) : 1;
  };
}

/** Bits of a confidence that one pass looks at. */
const digitBits = 10;
const digits = 1 << digitBits;
/** Passes: a float32 from 0 to 1 has 30 bits that differ. */
const shifts = [20, 10, 0];

const bits = new DataView(new ArrayBuffer(4));
/** A whole number that grows with the confidence. */
function keyOf(confidence: number): number {
  bits.setFloat32(0, confidence);
  return bits.getUint32(0);
}

/**
 * Which labels are among the `wanted` most confident of their class, of equally confident ones the
 * first: the confidence of the last of them is found digit by digit.
 */
async function foremost(pass: Pass, wanted: readonly number[]): Promise<(candidate: Candidate) => boolean> {
  /** What the digits so far say of the last one's key, and its rank among those that begin so. */
  const prefixes = wanted.map(() => 0),
    ranks = [...wanted];
  for (const shift of shifts) {
    const histogram = wanted.map(() => new Float64Array(digits));
    await pass(({ label, confidence }) => {
      const key = keyOf(confidence);
      if (ranks[label]! > 0 && Math.floor(key / 2 ** (shift + digitBits)) === prefixes[label])
        histogram[label]![(key >>> shift) & (digits - 1)]!++;
    });
    histogram.forEach((counts, label) => {
      if (ranks[label] === 0) return;
      let digit = digits - 1;
      while (digit > 0 && counts[digit]! < ranks[label]!) ranks[label]! -= counts[digit--]!;
      prefixes[label] = prefixes[label]! * digits + digit;
    });
  }
  const left = [...ranks];
  return ({ label, confidence }) => {
    if (wanted[label] === 0) return false;
    const key = keyOf(confidence);
    if (key !== prefixes[label]) return key > prefixes[label]!;
    return left[label]!-- > 0;
  };
}
