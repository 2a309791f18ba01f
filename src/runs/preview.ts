import type { Batch } from '../data/loader.js';
import { imageOf } from '../image/image.js';

/** Images of a preview at most. */
const limit = 64;

/**
 * What an image of a batch is to be taken for: its class, or the shares of both after mixing, such
 * as `ant 0.70 bee 0.30`; none below half a percent.
 */
export function labelOf(
  { targets, count }: Pick<Batch, 'targets' | 'count'>,
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

/**
 * A picture of a batch, byte for byte as the network will see it (up to 256 pixels a side), in a
 * grid of up to 64 images with their labels; of a batch of several parts (labelled, weak and strong
 * views), each begins a new row. PNG.
 */
export async function drawBatches(
  parts: readonly Batch[],
  classes: readonly string[],
  subtitle: string,
): Promise<Uint8Array> {
  const { drawSheet } = await import('../report/sheet.js');
  const { width, height, mix } = parts[0]!;
  const counts = parts.map(({ count }) => Math.min(Math.floor(limit / parts.length), count));
  const most = Math.max(...counts),
    columns = Math.ceil(most / Math.ceil(most / 8));
  const rows = parts.flatMap((batch, part) => {
    const cells = Array.from({ length: counts[part]! }, (_, i) => ({
      image: imageOf(width, height, batch.pixels.subarray(i * width * height * 3, (i + 1) * width * height * 3)),
      caption: labelOf(batch, i, classes),
    }));
    return Array.from({ length: Math.ceil(cells.length / columns) }, (_, row) => ({
      cells: cells.slice(row * columns, (row + 1) * columns),
    }));
  });
  const drawn = mix
    ? `; ${mix.kind === 'cutmix' ? 'CutMix' : 'MixUp'} with lambda ${Number(mix.lambda.toPrecision(3))}`
    : '';
  const count = parts.map((batch) => batch.count).join(' + ');
  return drawSheet({
    title: 'The first batch as the network sees it',
    subtitle: `${subtitle}; ${count} images${drawn}`,
    rows,
    cell: Math.min(256, Math.max(112, width, height)),
  });
}
