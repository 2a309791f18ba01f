/**
 * Draws sheets of augmented images beside the page, by the code and the compiled kernels of `pupil augment`: the
 * same pixels from the same pixels.
 */
import type { Image } from '../../../dist/image/image.js';
import { findOp } from '../../../dist/augment/ops.js';
import { parseAugment } from '../../../dist/augment/policy.js';
import type { ScaleName } from '../../../dist/augment/scale-names.js';
import { mixingSheet, opSheet, opsSheet, policySheet, type LabelledImage } from '../../../dist/jobs/sheets.js';
import { pixelsOf } from '../../../dist/web/pictures.js';
import type { Asked, AskedImage, Drawn, Request, Response } from './asked.ts';

const decoded = new Map<number, Image>();

/** Those that can be decoded; what is not asked for any more is forgotten. */
async function imagesOf(asked: readonly AskedImage[], broken: string[]): Promise<LabelledImage[]> {
  const ids = new Set(asked.map(({ id }) => id));
  for (const id of decoded.keys()) if (!ids.has(id)) decoded.delete(id);
  const images: LabelledImage[] = [];
  for (const { id, name, label, file } of asked) {
    try {
      const image = decoded.get(id) ?? (file === undefined ? undefined : await pixelsOf(file));
      if (image === undefined) continue;
      decoded.set(id, image);
      images.push({ name, image, label });
    } catch {
      broken.push(name);
    }
  }
  return images;
}

function sheetOf(asked: Asked, images: readonly LabelledImage[], classes: readonly string[]) {
  if (asked.kind === 'ops') return opsSheet(images[0]!, asked.scale as ScaleName);
  if (asked.kind === 'op') return opSheet(images, findOp(asked.op), asked.scale as ScaleName, asked.magnitude);
  const { cutmix, mixup, count, ...how } = asked;
  const policy = parseAugment(asked.policy);
  if (cutmix === 0 && mixup === 0) return policySheet(images, policy, { ...how, count });
  return mixingSheet(images, { cutmix, mixup }, policy, { ...how, batches: count, classes });
}

/** RGB as a canvas takes it. */
function forCanvas({ width, height, data }: Image): ImageData {
  const rgba = new Uint8ClampedArray(width * height * 4);
  for (let from = 0, to = 0; from < data.length; from += 3, to += 4) {
    rgba[to] = data[from]!;
    rgba[to + 1] = data[from + 1]!;
    rgba[to + 2] = data[from + 2]!;
    rgba[to + 3] = 255;
  }
  return new ImageData(rgba, width, height);
}

async function draw({ asked, images: wanted, classes }: Request): Promise<Drawn> {
  const broken: string[] = [];
  const images = await imagesOf(wanted, broken);
  if (images.length === 0) throw new Error('None of these images can be decoded by this browser.');
  const { sheet } = sheetOf(asked, images, classes);
  return {
    title: sheet.title ?? '',
    subtitle: sheet.subtitle ?? '',
    columns: sheet.columns ?? [],
    rows: sheet.rows.map(({ label = '', cells }) => ({
      label,
      cells: cells.map(({ image, caption = '' }) => ({ caption, image: forCanvas(image) })),
    })),
    policy: asked.kind === 'policy' ? parseAugment(asked.policy).name : null,
    broken,
  };
}

addEventListener('message', ({ data: request }: MessageEvent<Request>) => {
  const answer = (result: Response['result']): void => {
    postMessage({ number: request.number, result } satisfies Response);
  };
  draw(request).then(answer, (error: unknown) =>
    answer({ failed: error instanceof Error ? error.message : String(error) }),
  );
});
