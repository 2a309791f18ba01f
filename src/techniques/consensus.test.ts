import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EigenvalueDecomposition, inverse, Matrix } from 'ml-matrix';
import { createEngine } from '../engine/index.js';
import type { Engine } from '../engine/engine.js';
import { argmax } from '../evaluate/metrics.js';
import { Random } from '../random.js';
import { principalComponents } from './closed-form/components.js';
import { cholesky, times, transpose } from './closed-form/matrices.js';
import { openMixture } from './closed-form/mixture.js';
import { affinitiesOf } from './closed-form/neighbours.js';
import { powerTransform } from './closed-form/power-transform.js';
import { propagate } from './closed-form/propagation.js';
import { consensus } from './consensus.js';
import type { Features } from './features.js';

async function withEngine(work: (engine: Engine) => Promise<void>): Promise<void> {
  const engine = await createEngine('ort', { threads: 1 });
  try {
    await work(engine);
  } finally {
    await engine.close();
  }
}

/** Images of classes that differ in some features, so much, and vary together in others, which say nothing. */
function draw(counts: readonly number[], seed: number, difference = 0.6): Features & { truth: number[] } {
  const size = 48,
    random = new Random(seed, 'features');
  const truth = counts.flatMap((count, label) => Array.from({ length: count }, () => label));
  const features = truth.flatMap((label) => {
    const light = random.normal();
    return Array.from({ length: size }, (_, i) =>
      Math.abs(1 + (i % counts.length === label ? difference : 0) + 0.5 * light * Math.sin(i) + 0.3 * random.normal()),
    );
  });
  return { features: Float32Array.from(features), size, truth };
}

/** Labels of the first `count` of each class; -1 for the others. */
function few(truth: readonly number[], count: number): number[] {
  const seen = new Map<number, number>();
  return truth.map((label) => {
    const before = seen.get(label) ?? 0;
    seen.set(label, before + 1);
    return before < count ? label : -1;
  });
}

const accuracy = (rows: Float32Array, truth: readonly number[], classes: number): number =>
  truth.filter((label, i) => argmax(rows, i * classes, classes) === label).length / truth.length;

test('transformed features are unit vectors around zero, every layer with the same share', () => {
  const one = draw([20, 20], 0),
    other = { features: one.features.map((x) => 100 * x), size: one.size };
  const { features, size } = powerTransform([one, other]);
  assert.equal(size, 2 * one.size);
  for (let row = 0; row < 40; row++) {
    const own = features.subarray(row * size, (row + 1) * size);
    const square = (part: Float32Array): number => part.reduce((sum, x) => sum + x * x, 0);
    assert.ok(Math.abs(square(own.subarray(0, one.size)) - 0.5) < 1e-5);
    assert.ok(Math.abs(square(own.subarray(one.size)) - 0.5) < 1e-5, 'the scale of a layer does not count');
  }
});

test('principal components are those of an exact decomposition', async () => {
  const count = 60;
  const rows = powerTransform([draw([30, 30], 1)]);
  const table = Matrix.from1DArray(count, rows.size, rows.features);
  const exact = new EigenvalueDecomposition(table.transpose().mmul(table).div(count), { assumeSymmetric: true });
  const variances = [...exact.realEigenvalues].sort((a, b) => b - a);
  await withEngine(async (engine) => {
    const found = await principalComponents(engine, rows, 8);
    assert.equal(found.size, 8);
    for (let i = 0; i < 8; i++) {
      assert.ok(Math.abs(found.variances[i]! / variances[i]! - 1) < 1e-3, `component ${i}: ${found.variances[i]}`);
      for (let j = 0; j <= i; j++) {
        let product = 0;
        for (let row = 0; row < count; row++) product += found.scores[row * 8 + i]! * found.scores[row * 8 + j]!;
        const expected = i === j ? found.variances[i]! : 0;
        assert.ok(Math.abs(product / count - expected) < 1e-4 * variances[0]!, `${i}, ${j}`);
      }
    }
  });
});

test('rows on all their components keep their distances, also where a column is constant', async () => {
  const random = new Random(0, 'rows');
  const features = Float32Array.from({ length: 120 }, (_, i) => [1, 5, 0.2, 0][i % 4]! * random.normal());
  await withEngine(async (engine) => {
    const { scores, size } = await principalComponents(engine, { features, size: 4 }, 50);
    const distance = (rows: Float32Array, wide: number, i: number, j: number): number =>
      Math.hypot(...Array.from({ length: wide }, (_, c) => rows[i * wide + c]! - rows[j * wide + c]!));
    for (const [i, j] of [
      [0, 1],
      [3, 17],
      [29, 5],
    ] as const)
      assert.ok(Math.abs(distance(scores, size, i, j) - distance(features, 4, i, j)) < 1e-4);
    const none = await principalComponents(engine, { features: new Float32Array(40), size: 4 }, 50);
    assert.ok(none.scores.every((score) => score === 0));
  });
});

test('images are joined to their nearest ones, in both directions, and labels spread along the graph', async () => {
  // Two chains of points on a circle, far from one another.
  const angles = [
    ...Array.from({ length: 10 }, (_, i) => 0.05 * i),
    ...Array.from({ length: 10 }, (_, i) => 2 + 0.05 * i),
  ];
  const features = Float32Array.from(angles.flatMap((angle) => [Math.cos(angle), Math.sin(angle)]));
  await withEngine(async (engine) => {
    const graph = await affinitiesOf(engine, { features, size: 2 }, 2);
    const row = (i: number): number[] =>
      [...graph.columns.subarray(graph.starts[i], graph.starts[i + 1])].sort((a, b) => a - b);
    assert.deepEqual(row(5), [4, 6]);
    assert.deepEqual(row(2), [0, 1, 3], 'the first has it among its two nearest');
    for (let i = 0; i < 20; i++) for (const j of row(i)) assert.ok(row(j).includes(i));
    const known = angles.map((_, i) => (i === 0 ? 0 : i === 19 ? 1 : -1));
    const labels = propagate(graph, new Float32Array(40).fill(0.5), known, 2);
    assert.equal(
      accuracy(
        labels,
        angles.map((angle) => (angle < 1 ? 0 : 1)),
        2,
      ),
      1,
    );
    assert.deepEqual([...labels.subarray(0, 2)], [1, 0]);
  });
});

test('an iteration of the mixture is that of a discriminant analysis written out', async () => {
  const { truth, ...seen } = draw([25, 25, 25], 2);
  const count = truth.length,
    classes = 3,
    d = 6;
  await withEngine(async (engine) => {
    const components = await principalComponents(engine, powerTransform([seen]), 8);
    const mixture = await openMixture(engine, components, classes);
    const guess = Float32Array.from(truth.flatMap((label) => [0, 1, 2].map((c) => (c === label ? 0.8 : 0.1))));
    const known = truth.map((label, i) => (i % 5 === 0 ? label : -1));
    const fitted = await mixture.fit(guess, known, d);
    await mixture.close();
    const scores = Matrix.from1DArray(count, 8, components.scores).subMatrix(0, count - 1, 0, d - 1);
    const clamp = (rows: Matrix): Matrix => {
      for (let i = 0; i < count; i++)
        if (known[i]! >= 0) for (let c = 0; c < 3; c++) rows.set(i, c, c === known[i] ? 1 : 0);
      return rows;
    };
    let shares = clamp(Matrix.from1DArray(count, classes, guess));
    for (let iteration = 0; iteration < 12; iteration++) {
      const totals = shares.sum('column');
      const means = shares.transpose().mmul(scores);
      for (let c = 0; c < classes; c++) means.mulRow(c, 1 / totals[c]!);
      // In the means that classify, rows with a label count double.
      const centres = shares.transpose().mmul(scores);
      for (let c = 0; c < classes; c++) {
        const own = [...known.keys()].filter((i) => known[i] === c);
        for (const i of own) centres.setRow(c, Matrix.add(centres.getRowVector(c), scores.getRowVector(i)).to1DArray());
        centres.mulRow(c, 1 / (totals[c]! + own.length));
      }
      let within = Matrix.diag([...components.variances.subarray(0, d)]);
      for (let c = 0; c < classes; c++) {
        const mean = means.getRowVector(c);
        within = within.sub(
          mean
            .transpose()
            .mmul(mean)
            .mul(totals[c]! / count),
        );
      }
      const precision = inverse(Matrix.add(within.clone().mul(0.9), Matrix.eye(d).mul((0.1 * within.trace()) / d)));
      const next = new Matrix(count, classes);
      for (let i = 0; i < count; i++) {
        const logits = [0, 1, 2].map((c) => {
          const from = Matrix.sub(scores.getRowVector(i), centres.getRowVector(c));
          return (
            Math.log((totals[c]! / count + 1 / classes) / 2) - from.mmul(precision).mmul(from.transpose()).get(0, 0) / 2
          );
        });
        const largest = Math.max(...logits),
          powers = logits.map((logit) => Math.exp(logit - largest)),
          sum = powers.reduce((a, b) => a + b);
        next.setRow(
          i,
          powers.map((power) => power / sum),
        );
      }
      shares = clamp(next);
    }
    const difference = Math.max(...shares.to1DArray().map((share, i) => Math.abs(share - fitted[i]!)));
    assert.ok(difference < 2e-3, `${difference}`);
  });
});

test('a consensus of three labels a class finds the others, and knows how often it is right', async () => {
  const { truth, ...seen } = draw([100, 100, 100], 3);
  const labels = few(truth, 3),
    lists = [0, 1, 2].map((fold) => [0, 1, 2].map((label) => label * 100 + fold));
  await withEngine(async (engine) => {
    const set = { networks: [[seen]], labels, classes: 3 };
    const { probabilities, folds, opinions } = await consensus(engine, set, lists);
    const right = accuracy(probabilities, truth, 3);
    assert.ok(right > 0.95, `${right}`);
    labels.forEach((label, i) => label >= 0 && assert.equal(probabilities[i * 3 + label], 1));
    assert.ok(folds.length === 3 && folds[0]![lists[0]![0]! * 3]! < 1, 'a label held out is not known');
    assert.ok(Math.abs(opinions.reduce((sum, { weight }) => sum + weight, 0) - 1) < 1e-9);
    const free = truth.flatMap((label, i) => (labels[i]! < 0 ? [probabilities[i * 3 + label]!] : []));
    const loss = free.reduce((sum, p) => sum - Math.log(p), 0) / free.length;
    assert.ok(loss < 0.5, `confidences that are not honest: ${loss}`);
    assert.deepEqual(
      opinions.map(({ name }) => name),
      ['linear', 'neighbours', 'mixture 32'],
    );
    const { opinions: doubted } = await consensus(engine, { ...set, worth: 1 / 3 }, lists);
    assert.ok(doubted.every(({ temperature }, i) => temperature > opinions[i]!.temperature));
  });
});

test('networks that see next to nothing give probabilities, too', async () => {
  const size = 128,
    count = 260,
    classes = 4;
  const random = new Random(5, 'next to nothing');
  const truth = Array.from({ length: count }, (_, i) => i % classes);
  const centres = Array.from({ length: classes * size }, () => Math.abs(random.normal()));
  const degenerate: Record<string, (label: number, i: number) => number> = {
    'every image of a class is the same': (label, i) => centres[label * size + i]!,
    'all images are the same': (_, i) => centres[i]!,
    'one number for all': () => 0.7,
    'only zeros': () => 0,
    'one feature': (_, i) => (i === 0 ? 1 + 0.01 * random.normal() : 0),
    'rounding alone': () => 1 + 1e-7 * random.normal(),
    'numbers near the largest': (label, i) => 1e30 * (centres[label * size + i]! + 0.1 * random.normal()),
  };
  const labels = few(truth, 3),
    lists = [0, 1, 2].map((fold) => [0, 1, 2, 3].map((label) => fold * classes + label));
  await withEngine(async (engine) => {
    for (const [name, see] of Object.entries(degenerate)) {
      const features = Float32Array.from(
        truth.flatMap((label) => Array.from({ length: size }, (_, i) => see(label, i))),
      );
      const { probabilities } = await consensus(engine, { networks: [[{ features, size }]], labels, classes }, lists);
      for (let i = 0; i < count; i++) {
        const sum = probabilities.subarray(i * classes, (i + 1) * classes).reduce((a, b) => a + b);
        assert.ok(Math.abs(sum - 1) < 1e-5, `${name}: image ${i} has ${sum}`);
      }
    }
  });
});

test('a matrix that rounding has made indefinite has factors near it', () => {
  const exact = Float64Array.of(1, 1, 1, 1 - 1e-10);
  const root = cholesky(exact, 2);
  const product = times(root, transpose(root, 2), 2);
  product.forEach((value, i) => assert.ok(Math.abs(value - exact[i]!) < 1e-8, `${value}`));
  assert.throws(() => cholesky(Float64Array.of(NaN), 1), RangeError);
});

/** Three classes with six labels each, held out in three lists. */
function views() {
  const { truth, ...seen } = draw([60, 60, 60], 3);
  const labels = few(truth, 6),
    lists = [0, 1, 2].map((fold) => [0, 1, 2].flatMap((label) => [0, 3].map((more) => label * 60 + fold + more)));
  /** Features of which some are replaced by noise. */
  const blind = (isBlind: (i: number) => boolean, seed: number): Features => {
    const random = new Random(seed, 'noise');
    return { ...seen, features: seen.features.map((x, i) => (isBlind(i % 48) ? Math.abs(random.normal()) : x)) };
  };
  return { seen, blind, truth, labels, lists };
}

test('networks are looked at side by side, unless one alone is clearly better', async () => {
  const { seen, blind, truth, labels, lists } = views();
  await withEngine(async (engine) => {
    const chosen = async (networks: Features[][]): Promise<{ networks: number[]; right: number }> => {
      const { probabilities, opinions } = await consensus(engine, { networks, labels, classes: 3 }, lists);
      assert.ok(Math.abs(opinions.reduce((sum, { weight }) => sum + weight, 0) - 1) < 1e-9);
      const speaking = opinions.filter(({ weight }) => weight > 0).map((opinion) => opinion.networks);
      assert.ok(
        speaking.every((some) => some === speaking[0]),
        'one view speaks',
      );
      return { networks: [...speaking[0]!], right: accuracy(probabilities, truth, 3) };
    };
    const weak = await chosen([[seen], [blind(() => true, 1)], [blind(() => true, 2)]]);
    assert.deepEqual(weak.networks, [0]);
    assert.ok(weak.right > 0.95, `${weak.right}`);
    // Each sees a half.
    const halves = await chosen([[blind((i) => i < 24, 3)], [blind((i) => i >= 24, 4)]]);
    assert.deepEqual(halves.networks, [0, 1]);
  });
});

test('an earlier layer has half a say, unless it does harm', async () => {
  const { seen, blind, truth, labels, lists } = views();
  await withEngine(async (engine) => {
    const heard = async (layers: Features[]): Promise<{ all: number; right: number }> => {
      let fits = 0;
      const { probabilities, opinions } = await consensus(
        engine,
        { networks: [layers], labels, classes: 3 },
        lists,
        (done, total) => {
          assert.equal(done, ++fits);
          assert.equal(total, 8);
        },
      );
      assert.equal(fits, 8);
      const all = opinions.filter((opinion) => opinion.layers === 'all');
      assert.ok(all.length > 0 && all.length < opinions.length);
      return { all: all.reduce((sum, { weight }) => sum + weight, 0), right: accuracy(probabilities, truth, 3) };
    };
    const harmed = await heard([seen, blind(() => true, 1)]);
    assert.equal(harmed.all, 0);
    assert.ok(harmed.right > 0.95, `${harmed.right}`);
    const helped = await heard([blind((i) => i < 24, 3), blind((i) => i >= 24, 4)]);
    assert.ok(Math.abs(helped.all - 0.5) < 1e-9, `${helped.all}`);
  });
});

test('one label a class cannot be held out: all opinions count the same', async () => {
  const { truth, ...seen } = draw([30, 30], 4);
  await withEngine(async (engine) => {
    const { probabilities, opinions } = await consensus(
      engine,
      { networks: [[seen]], labels: few(truth, 1), classes: 2 },
      [],
    );
    assert.ok(accuracy(probabilities, truth, 2) > 0.7);
    assert.deepEqual(new Set(opinions.map(({ weight }) => weight)).size, 1);
    assert.equal(opinions[0]!.heldOut, undefined);
    assert.ok(
      opinions.every(({ temperature }) => temperature > 1),
      'nothing tells that they are right',
    );
  });
});

/** Rows of one after those of another. */
const stacked = (one: Features, other: Features): Features => ({
  features: Float32Array.from([...one.features, ...other.features]),
  size: one.size,
});

test('images of no class are set aside, and none where all are of some class', async () => {
  const { truth, ...seen } = draw([80, 80, 80], 4);
  const others = draw([90], 6);
  // Of something else: other features stand out.
  const odd = { ...others, features: others.features.map((x, i) => x + (i % 48 < 12 ? 0.8 : 0)) };
  const lists = [0, 1, 2, 3, 4].map((fold) =>
    [0, 1, 2].flatMap((label) => [0, 5].map((more) => label * 80 + fold + more)),
  );
  await withEngine(async (engine) => {
    const labels = few(truth, 10);
    const clean = await consensus(engine, { networks: [[seen]], labels, classes: 3 }, lists);
    assert.ok(!clean.aside.includes(1));
    const mixed = await consensus(
      engine,
      { networks: [[stacked(seen, odd)]], labels: [...labels, ...Array.from({ length: 90 }, () => -1)], classes: 3 },
      lists,
    );
    const found = mixed.aside.subarray(240).reduce((sum, aside) => sum + aside, 0),
      mistaken = mixed.aside.subarray(0, 240).reduce((sum, aside) => sum + aside, 0);
    assert.ok(found > 80, `${found} of 90 found`);
    assert.ok(mistaken < 8, `${mistaken} of 240 set aside by mistake`);
    labels.forEach((label, i) => label >= 0 && assert.equal(mixed.aside[i], 0, 'a labelled image stays'));
    assert.ok(accuracy(mixed.probabilities, truth, 3) > 0.9);
    assert.ok(mixed.aside.every((aside, i) => aside === 0 || Math.abs(mixed.probabilities[3 * i]! - 1 / 3) < 1e-6));
  });
});

test('a class without labels among 140 unlabelled images is set aside, and none of the others', async () => {
  for (const seed of [4, 5]) {
    const { truth, ...seen } = draw([38, 38, 38, 38, 20], seed);
    const labels = few(truth, 8).map((label) => (label < 4 ? label : -1));
    const lists = [0, 1, 2, 3].map((fold) =>
      [0, 1, 2, 3].flatMap((label) => [0, 4].map((more) => label * 38 + fold + more)),
    );
    await withEngine(async (engine) => {
      const { aside } = await consensus(engine, { networks: [[seen]], labels, classes: 4 }, lists);
      const count = (rows: Uint8Array): number => rows.reduce((sum, one) => sum + one, 0);
      assert.ok(count(aside.subarray(152)) > 15, `seed ${seed}: ${count(aside.subarray(152))} of 20 found`);
      assert.ok(count(aside.subarray(0, 152)) < 4, `seed ${seed}: ${count(aside.subarray(0, 152))} of 120 by mistake`);
    });
  }
});

test('where all unlabelled images are of one class, those taken for others count no labels of these', () =>
  withEngine(async (engine) => {
    const { truth, ...seen } = draw([60, 10, 10, 10], 4, 0.3);
    const lists = [0, 1, 2, 3, 4].map((fold) => [0, 60, 70, 80].flatMap((at) => [at + fold, at + fold + 5]));
    const set = { networks: [[seen]], labels: few(truth, 10), classes: 4, isQuick: true };
    assert.ok(!(await consensus(engine, set, lists)).aside.includes(1));
  }));

/** Sets at the edge of what can be learned from: labels a class, images without labels of each class. */
const edges: readonly (readonly [what: string, labelled: number, free: readonly number[], folds: number])[] = [
  ['one label a class, which cannot be held out', 1, [20, 20, 20], 0],
  ['no images without labels', 6, [0, 0, 0], 3],
  ['all images without labels are of one class', 6, [60, 0, 0], 3],
  ['shares of the classes far from equal', 6, [80, 16, 40], 3],
  ['fewer images than components', 3, [2, 2, 2], 3],
  ['as many folds as labels a class', 2, [30, 30, 30], 2],
];
for (const [what, labelled, free, count] of edges) {
  test(`a consensus where ${what}`, async () => {
    const { truth, ...seen } = draw(
      free.map((more) => labelled + more),
      7,
    );
    const labels = few(truth, labelled);
    const starts = free.map((_, c) => truth.indexOf(c));
    const lists = Array.from({ length: count }, (_, fold) =>
      starts.flatMap((start) =>
        Array.from({ length: labelled }, (__, i) => start + i).filter((__, i) => i % count === fold),
      ),
    );
    await withEngine(async (engine) => {
      const { probabilities, aside } = await consensus(engine, { networks: [[seen]], labels, classes: 3 }, lists);
      assert.ok(probabilities.every((p) => p >= 0 && p <= 1));
      const kept = truth.flatMap((label, i) => (labels[i]! < 0 && aside[i] === 0 ? [{ label, i }] : []));
      const right = kept.filter(({ label, i }) => argmax(probabilities, i * 3, 3) === label).length;
      const all = truth.length - 3 * labelled;
      assert.ok(kept.length >= 0.9 * all, `${kept.length} of ${all} take part`);
      assert.ok(right >= 0.6 * kept.length, `${right} of ${kept.length} right`);
    });
  });
}

test('images that stand there twice, with a label and without, get that label', async () => {
  const { truth, ...seen } = draw([40, 40], 8);
  const labels = few(truth, 5),
    twice = labels.flatMap((label, i) => (label < 0 ? [] : [i]));
  const copies = {
    size: seen.size,
    features: Float32Array.from(twice.flatMap((i) => [...seen.features.subarray(i * seen.size, (i + 1) * seen.size)])),
  };
  await withEngine(async (engine) => {
    const { probabilities } = await consensus(
      engine,
      { networks: [[stacked(seen, copies)]], labels: [...labels, ...twice.map(() => -1)], classes: 2 },
      [],
    );
    twice.forEach((i, copy) => assert.ok(probabilities[(80 + copy) * 2 + labels[i]!]! > 0.5));
  });
});
