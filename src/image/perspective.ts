import { invariant } from '../errors.js';
import { allocate } from './buffers.js';
import type { Colour, Image } from './image.js';
import { coordinateRow, paint, samplers, sourceOf, type Sampling } from './sampling.js';

/** Four corners in pixels: top left, top right, bottom right, bottom left. */
export type Corners = readonly (readonly [x: number, y: number])[];

/**
 * Output to source: x' = (a x + b y + c) / (g x + h y + 1), y' = (d x + e y + f) / (g x + h y + 1),
 * pixel centres at halves.
 */
export type PerspectiveCoefficients = readonly [
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
  f: number,
  g: number,
  h: number,
];

const identity: PerspectiveCoefficients = [1, 0, 0, 0, 1, 0, 0, 0];

/**
 * The coefficients that take `start`'s corners of the source to `end`'s of the output, as float32
 * (torchvision rounds them so). Corners without an area, as those of an image one pixel wide,
 * cannot be distorted: they give the identity.
 */
export function perspectiveCoefficients(start: Corners, end: Corners): PerspectiveCoefficients {
  invariant(
    start.length === 4 && end.length === 4,
    `perspective: ${start.length} and ${end.length} corners instead of 4`,
  );
  // Two equations a corner: a X + b Y + c - g X x - h Y x = x and d X + e Y + f - g X y - h Y y =
  // y, (X, Y) in the output.
  const rows: Float64Array[] = [];
  for (let i = 0; i < 4; i++) {
    const [x, y] = start[i]!,
      [X, Y] = end[i]!;
    rows.push(
      Float64Array.of(X, Y, 1, 0, 0, 0, -x * X, -x * Y, x),
      Float64Array.of(0, 0, 0, X, Y, 1, -y * X, -y * Y, y),
    );
  }
  const solution = solve(rows);
  return solution === undefined ? identity : (Array.from(solution, Math.fround) as unknown as PerspectiveCoefficients);
}

/**
 * Solves the n equations whose rows are n factors and the right side (Gauss, partial pivoting, in
 * place); undefined when singular.
 */
function solve(rows: Float64Array[]): Float64Array | undefined {
  const n = rows.length;
  const scale = Math.max(...rows.map((row) => Math.max(...row.map(Math.abs))));
  for (let k = 0; k < n; k++) {
    let best = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(rows[i]![k]!) > Math.abs(rows[best]![k]!)) best = i;
    [rows[k], rows[best]] = [rows[best]!, rows[k]!];
    const pivot = rows[k]!;
    if (!(Math.abs(pivot[k]!) > 1e-12 * scale)) return undefined;
    for (let i = k + 1; i < n; i++) {
      const row = rows[i]!,
        factor = row[k]! / pivot[k]!;
      if (factor === 0) continue;
      for (let j = k; j <= n; j++) row[j] = row[j]! - factor * pivot[j]!;
    }
  }
  const result = new Float64Array(n);
  for (let k = n - 1; k >= 0; k--) {
    let sum = rows[k]![n]!;
    for (let j = k + 1; j < n; j++) sum -= rows[k]![j]! * result[j]!;
    result[k] = sum / rows[k]![k]!;
  }
  return result;
}

/**
 * A perspective map of the image onto its own size; what comes from outside is `fill`. Equal to
 * Pillow's `Image.transform(size, PERSPECTIVE, coefficients, sampling, fillcolor)`.
 */
export function perspective(
  image: Image,
  coefficients: PerspectiveCoefficients,
  sampling: Sampling = 'bilinear',
  fill: Colour = [0, 0, 0],
): Image {
  invariant(
    coefficients.length === 8 && coefficients.every(Number.isFinite),
    `perspective: coefficients ${coefficients.join(', ')}`,
  );
  const { width, height } = image;
  const [a, b, c, d, e, f, g, h] = coefficients;
  const data = allocate(width * height * 3);
  const coordinates = coordinateRow(width);
  const { xs, ys } = coordinates;
  const sample = samplers[sampling],
    source = sourceOf(image);
  for (let y = 0, start = 0; y < height; y++, start += width) {
    const bx = b * (y + 0.5),
      ey = e * (y + 0.5),
      hy = h * (y + 0.5);
    for (let i = 0; i < width; i++) {
      const below = g * (i + 0.5) + hy + 1;
      xs[i] = (a * (i + 0.5) + bx + c) / below;
      ys[i] = (d * (i + 0.5) + ey + f) / below;
    }
    // Runs of pixels outside and inside in turn: behind the horizon a row may enter the image
    // twice.
    let i = 0;
    while (i < width) {
      const outside = i;
      while (i < width && !(xs[i]! >= 0 && xs[i]! < width && ys[i]! >= 0 && ys[i]! < height)) i++;
      paint(data, (start + outside) * 3, (start + i) * 3, fill);
      const inside = i;
      while (i < width && xs[i]! >= 0 && xs[i]! < width && ys[i]! >= 0 && ys[i]! < height) i++;
      if (inside < i) sample(source, coordinates, [inside, i], data, start);
    }
  }
  return { width, height, data };
}
