import { labelOf } from '../augment/mixed-label.js';
import type { Batch } from '../data/loader.js';
import { imageOf } from '../image/image.js';

/** What a picture of a batch is called, and images of it at most. */
const usual = { title: 'The first batch as the network sees it', most: 64 };

/**
 * A picture of a batch, byte for byte as the network will see it (up to 256 pixels a side), in a
 * grid of up to 64 images with their labels; of a batch of several parts (labelled, weak and strong
 * views), each begins a new row. PNG.
 */
export async function drawBatches(
  parts: readonly Batch[],
  classes: readonly string[],
  subtitle: string,
  { title, most: limit }: typeof usual = usual,
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
    title,
    subtitle: `${subtitle}; ${count} images${drawn}`,
    rows,
    cell: Math.min(256, Math.max(112, width, height)),
  });
}
