import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEngine } from '../../engine/index.js';
import { argmax } from '../../evaluate/metrics.js';
import { Random } from '../../random.js';
import { consensus, type ConsensusSet } from '../consensus.js';
import type { Features } from '../features.js';
import { exactViews, keptViews } from './views.js';

const classes = 4;

/** Images of four classes, two layers. */
function draw(count: number): { networks: (readonly Features[])[]; truth: number[] } {
  const random = new Random(5, 'views');
  const truth = Array.from({ length: count }, (_, i) => i % classes);
  const layer = (size: number, strength: number): Features => ({
    size,
    features: Float32Array.from(
      truth.flatMap((label) =>
        Array.from({ length: size }, (_, i) =>
          Math.abs(1 + (i % classes === label ? strength : 0) + 0.5 * random.normal()),
        ),
      ),
    ),
  });
  return { networks: [[layer(160, 0.35), layer(96, 0.25)]], truth };
}

test('further labels of the same images cost a fraction, and a quick consensus is nearly as often right', async () => {
  const { networks, truth } = draw(600);
  const engine = await createEngine('ort', { threads: 1 });
  try {
    const labels = truth.map((label, i) => (i < 40 ? label : -1));
    const folds = [0, 1, 2, 3, 4].map((k) => Array.from({ length: 8 }, (_, i) => 8 * k + i));
    const timed = async (set: Partial<ConsensusSet>): Promise<{ seconds: number; right: number }> => {
      const before = process.cpuUsage();
      const { probabilities } = await consensus(engine, { networks, labels, classes, ...set }, folds);
      const { user, system } = process.cpuUsage(before);
      const right = truth.filter((label, i) => argmax(probabilities, i * classes, classes) === label).length;
      return { seconds: (user + system) / 1e6, right: right / truth.length };
    };
    const full = await timed({});
    const views = keptViews(engine, networks);
    await views.of([0], 'all');
    const quick = await timed({ views, isQuick: true, aside: new Uint8Array(truth.length) });
    assert.ok(quick.seconds < 0.6 * full.seconds, `${quick.seconds} s instead of ${full.seconds} s of processor time`);
    assert.ok(quick.right > full.right - 0.03, `${quick.right} instead of ${full.right}`);
  } finally {
    await engine.close();
  }
});

test('views of some images: kept ones are a part of those of all, exact ones are worked out again', async () => {
  const { networks } = draw(60);
  const rows = Array.from({ length: 50 }, (_, i) => i + 5);
  const engine = await createEngine('ort', { threads: 1 });
  try {
    const whole = await keptViews(engine, networks).of([0], 'all');
    for (const views of [keptViews(engine, networks).only(rows), exactViews(engine, networks).only(rows)]) {
      const { components, affinities } = await views.of([0], 'all');
      assert.equal(components.scores.length, rows.length * components.size);
      assert.equal(affinities.starts.length, rows.length + 1);
      assert.ok(affinities.columns.every((column) => column >= 0 && column < rows.length));
      assert.equal(affinities.columns.length, affinities.starts.at(-1));
      for (let i = 0; i < components.size; i++) {
        const squares = rows.reduce((sum, _, row) => sum + components.scores[row * components.size + i]! ** 2, 0);
        assert.ok(Math.abs(squares / rows.length / components.variances[i]! - 1) < 0.02, `component ${i}`);
      }
    }
    const part = await keptViews(engine, networks).only(rows).of([0], 'all');
    assert.equal(part.components.scores[0], whole.components.scores[5 * whole.components.size]);
  } finally {
    await engine.close();
  }
});
