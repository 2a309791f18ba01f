// The batch that both sides compute on: the same bytes as pixels() of peers/networks.py.

/** Bytes that repeat nowhere soon: a linear congruential generator's upper bits. */
export function testPixels(count) {
  const pixels = new Uint8Array(count);
  for (let i = 0; i < count; i++) pixels[i] = (Math.imul(i, 1664525) + 1013904223) >>> 24;
  return pixels;
}

/** Image i is of class i modulo the classes, one-hot. */
export function testTargets(batch, classes) {
  const targets = new Float32Array(batch * classes);
  for (let i = 0; i < batch; i++) targets[i * classes + (i % classes)] = 1;
  return targets;
}
