import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEngine } from '../engine/index.js';
import { Random } from '../random.js';
import { consensus } from './consensus.js';

const size = 48,
  /** From here on images are of the second class, and from `alike` on closer together than the others of it. */
  second = 60,
  alike = 120,
  count = 200;

/** Features of images of two classes, of which many of the second one are alike. */
function draw(seed: number): Float32Array {
  const random = new Random(seed, 'features');
  return Float32Array.from({ length: count * size }, (_, at) => {
    const row = Math.floor(at / size),
      i = at % size,
      label = Number(row >= second);
    const middle = 1 + (i % 2 === label ? 0.6 : 0);
    const [shift, spread] = row < alike ? [0, 0.4] : [i % 7 === 0 ? 0.3 : 0, 0.1];
    return Math.abs(middle + shift + spread * random.normal());
  });
}

test('where labels were chosen, only those drawn at random tell whether there are images of no class', async () => {
  const engine = await createEngine('ort', { threads: 1 });
  try {
    for (const seed of [0, 1]) {
      const ids = Array.from({ length: count }, (_, i) => i);
      // Chosen are one in two of what is unlike the others, and two of those that are alike.
      const drawn = new Random(seed, 'drawn').shuffle(ids).slice(0, 14);
      const known = ids.filter((i) => drawn.includes(i) || (i < alike ? i % 2 === 0 : i < alike + 2));
      const labels = ids.map((i) => (known.includes(i) ? Number(i >= second) : -1));
      const folds = [0, 1, 2, 3, 4].map((fold) => known.filter((_, k) => k % 5 === fold));
      const set = { networks: [[{ features: draw(seed), size }]], labels, classes: 2 };
      const setAside = async (of: object): Promise<number> =>
        (await consensus(engine, { ...set, ...of }, folds)).aside.reduce((sum, one) => sum + one, 0);
      const byAll = await setAside({});
      assert.ok(byAll > 40, `${byAll} of 200 by all labels, though all are of a class`);
      assert.equal(await setAside({ drawn }), 0);
    }
  } finally {
    await engine.close();
  }
});
