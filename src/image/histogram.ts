import { allocate } from './buffers.js';
import { reserve, transformed } from './compiled.js';
import type { Image } from './image.js';

const counts = new Int32Array(3 * 256);
const table = new Uint8Array(3 * 256);

/** How often each byte occurs in each channel, into `counts`. */
function countBytes({ data }: Image): void {
  const { length } = data;
  const room = reserve(length, 4 * 4 * counts.length);
  if (room !== undefined) {
    const {
      kernels: {
        memory: { buffer },
        countChannels,
      },
      addresses,
    } = room;
    new Uint8Array(buffer).set(data, addresses[0]);
    countChannels(addresses[0]!, length / 3, addresses[1]!);
    counts.set(new Int32Array(buffer, addresses[1], counts.length));
    return;
  }
  counts.fill(0);
  for (let i = 0; i < length; i += 3) {
    counts[data[i]!]!++;
    counts[256 + data[i + 1]!]!++;
    counts[512 + data[i + 2]!]!++;
  }
}

/** Each channel through its own part of `table`. */
function lookUpChannels({ width, height, data: source }: Image): Image {
  const { length } = source;
  const fast = transformed(source, table.length, (kernels, from, to, at, memory) => {
    memory.set(table, at);
    kernels.lookUpChannels(from, to, length, at);
  });
  if (fast !== undefined) return { width, height, data: fast };
  const data = allocate(length);
  for (let i = 0; i < length; i += 3) {
    data[i] = table[source[i]!]!;
    data[i + 1] = table[256 + source[i + 1]!]!;
    data[i + 2] = table[512 + source[i + 2]!]!;
  }
  return { width, height, data };
}

function keepChannel(start: number): void {
  for (let value = 0; value < 256; value++) table[start + value] = value;
}

/**
 * Stretches each channel to 0..255; a channel of one value stays (Pillow's `ImageOps.autocontrast`
 * without cutoff, to the byte).
 */
export function autoContrast(image: Image): Image {
  countBytes(image);
  let changed = false;
  for (let start = 0; start < 768; start += 256) {
    let low = 0,
      high = 255;
    while (low < 255 && counts[start + low] === 0) low++;
    while (high > 0 && counts[start + high] === 0) high--;
    if (high <= low || (low === 0 && high === 255)) {
      keepChannel(start);
      continue;
    }
    changed = true;
    // This order of rounding is Pillow's.
    const scale = 255 / (high - low),
      offset = -low * scale;
    for (let value = 0; value < 256; value++)
      table[start + value] = Math.max(0, Math.min(255, Math.trunc(value * scale + offset)));
  }
  return changed ? lookUpChannels(image) : image;
}

/**
 * Makes the values of each channel about equally frequent (Pillow's `ImageOps.equalize`, to the
 * byte).
 */
export function equalize(image: Image): Image {
  countBytes(image);
  let changed = false;
  for (let start = 0; start < 768; start += 256) {
    let high = 255;
    while (high > 0 && counts[start + high] === 0) high--;
    // Pixels a grey level of the result holds. Those of the highest value are left out, so a
    // channel of one value has step 0.
    const step = Math.floor((image.width * image.height - counts[start + high]!) / 255);
    if (step === 0) {
      keepChannel(start);
      continue;
    }
    changed = true;
    let sum = step >> 1;
    for (let value = 0; value < 256; value++) {
      table[start + value] = Math.min(255, Math.floor(sum / step));
      sum += counts[start + value]!;
    }
  }
  return changed ? lookUpChannels(image) : image;
}
