/**
 * What an image of a batch is to be taken for: its class, or the shares of both after mixing, such
 * as `ant 0.70 bee 0.30`; none below half a percent.
 */
export function labelOf(
  { targets, count }: { readonly targets: Float32Array; readonly count: number },
  index: number,
  classes: readonly string[],
): string {
  const size = targets.length / count;
  const shares = Array.from(targets.subarray(index * size, (index + 1) * size), (share, label) => ({
    share,
    name: classes[label] ?? String(label),
  }))
    .filter(({ share }) => share >= 0.005)
    .sort((a, b) => b.share - a.share);
  if (shares.length <= 1) return shares[0]?.name ?? 'no label';
  // Mixed labels have two shares; printed, they add up too.
  const first = shares[0]!.share.toFixed(2);
  return shares
    .map(
      ({ share, name }, i) =>
        `${name} ` +
        `${i === 1 && shares.length === 2 ? (1 - Number(first)).toFixed(2) : i === 0 ? first : share.toFixed(2)}`,
    )
    .join(' ');
}
