import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allocate } from '../image/buffers.js';
import type { Image } from '../image/image.js';
import { Random } from '../random.js';
import { noise } from '../testing/image-files.js';
import { applyAll, applyEach, describeDraw, fixed, withProbability, type Transform } from './transform.js';

const copied =
  (made: Uint8Array[]) =>
  ({ width, height, data }: Image): Image => {
    const copy = allocate(data.length);
    copy.set(data);
    made.push(copy);
    return { width, height, data: copy };
  };

test('buffers between steps are used again, the first and the last image stay', () => {
  const given = noise(1, 23, 7);
  for (const run of [
    applyAll,
    (image: Image, steps: ((image: Image) => Image)[]) =>
      applyEach(
        image,
        steps.map((step) => fixed('x', step)),
        () => null,
      ),
  ]) {
    const made: Uint8Array[] = [];
    const step = copied(made),
      same = (image: Image): Image => image;
    const result = run(given, [same, step, same, step, same, step, same]);
    assert.equal(made.length, 3);
    assert.equal(made[2]!.buffer, made[0]!.buffer, 'the third step writes where the first did');
    assert.equal(result.data, made[2]);
    assert.deepEqual(result.data, given.data);
    const free = allocate(given.data.length);
    assert.equal(free.buffer, made[1]!.buffer);
    assert.ok(![result.data.buffer, given.data.buffer].includes(allocate(given.data.length).buffer));
  }
});

test('a probability makes draws null and leaves the image alone', () => {
  const turn: Transform<number> = {
    name: 'turnRound',
    sample: (random) => random.between(1, 2),
    apply: (image) => ({ ...image }),
  };
  const sometimes = withProbability(0.3, turn);
  const draws = Array.from({ length: 3000 }, (_, i) => sometimes.sample(new Random(0, i), { width: 1, height: 1 }));
  const share = draws.filter((draw) => draw !== null).length / draws.length;
  assert.ok(Math.abs(share - 0.3) < 0.03, String(share));
  const image = noise(1, 2, 2);
  assert.equal(sometimes.apply(image, null), image);
  assert.notEqual(sometimes.apply(image, 1), image);
  assert.deepEqual([describeDraw(sometimes, null), describeDraw(sometimes, 1)], ['', 'turn-round']);
  assert.notEqual(withProbability(1, turn).sample(new Random(0), image), null);
  assert.equal(withProbability(0, turn).sample(new Random(0), image), null);
});
