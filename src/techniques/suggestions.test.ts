import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readDigits } from '../data/digits.js';
import { createEngine } from '../engine/index.js';
import type { Engine } from '../engine/engine.js';
import { Random } from '../random.js';
import { principalComponents } from './closed-form/components.js';
import { coverage } from './closed-form/coverage.js';
import type { Features } from './features.js';
import { suggestImages } from './suggestions.js';

async function withEngine(work: (engine: Engine) => Promise<void>): Promise<void> {
  const engine = await createEngine('ort', { threads: 1 });
  try {
    await work(engine);
  } finally {
    await engine.close();
  }
}

const size = 8;

/** Rows around some centres, far apart or near one another, [count, 8] with mean zero; a noise of one. */
function clusters(counts: readonly number[], distance: number, seed = 0): { rows: Features; of: number[] } {
  const random = new Random(seed, 'clusters');
  const of = counts.flatMap((count, cluster) => new Array<number>(count).fill(cluster));
  const features = Float32Array.from(
    of.flatMap((cluster) =>
      Array.from({ length: size }, (_, i) => (i === cluster ? distance : 0) + 0.3 * random.normal()),
    ),
  );
  const mean = Float64Array.from({ length: size }, (_, i) =>
    features.reduce((sum, x, j) => (j % size === i ? sum + x / of.length : sum), 0),
  );
  return { rows: { features: features.map((x, i) => x - mean[i % size]!), size }, of };
}

test('each choice is the one that covers most of what those before it do not', async () => {
  const { rows } = clusters([60, 50, 40], 2);
  const count = 150,
    random = new Random(1, 'weights');
  const weights = Float32Array.from({ length: count }, () => 0.5 + random.uniform());
  const chosen = [3, 70],
    candidates = Array.from({ length: count }, (_, i) => i).filter((i) => i % 7 !== 3);
  await withEngine(async (engine) => {
    const components = await principalComponents(engine, rows, 6);
    const result = await coverage(engine, { components, weights, chosen, candidates }, 9);
    const width = components.variances.reduce((sum, x) => sum + x);
    const similar = (i: number, j: number): number => {
      let distance = 0;
      for (let f = 0; f < components.size; f++)
        distance += (components.scores[i * components.size + f]! - components.scores[j * components.size + f]!) ** 2;
      return Math.exp(-distance / width);
    };
    const covered = (with_: readonly number[]): number =>
      weights.reduce((sum, weight, i) => sum + weight * Math.max(...with_.map((j) => similar(i, j))), 0);
    const taken = [...chosen];
    for (const index of result) {
      const left = candidates.filter((i) => !taken.includes(i));
      const best = Math.max(...left.map((i) => covered([...taken, i])));
      assert.ok(left.includes(index));
      assert.ok(covered([...taken, index]) > best - 1e-3 * best);
      taken.push(index);
    }
  });
});

/** The engine, and how many numbers its programs have given out. */
function counted(engine: Engine): { readonly engine: Engine; readonly given: () => number } {
  let given = 0;
  const compile: Engine['compile'] = async (...asked) => {
    const program = await engine.compile(...asked);
    return {
      run: async (...inputs) => {
        const outputs = await program.run(...inputs);
        for (const { data } of Object.values(outputs)) given += data.length;
        return outputs;
      },
      close: () => program.close(),
    };
  };
  const rest: ProxyHandler<Engine> = {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      return name === 'compile' ? compile : typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  };
  return { engine: new Proxy(engine, rest), given: () => given };
}

test('similarities of images that cannot add most are not brought from the engine', async () => {
  const { rows, of } = clusters([1200, 900, 600, 300], 3);
  const count = of.length;
  await withEngine(async (own) => {
    const components = await principalComponents(own, rows, 8);
    const { engine, given } = counted(own);
    const weights = Float32Array.from({ length: count }, (_, i) => 1 + (i % 3) / 4);
    const candidates = [...of.keys()];
    const result = await coverage(engine, { components, weights, chosen: [], candidates }, 6);
    assert.equal(new Set(result.map((row) => of[row])).size, 4);
    assert.ok(given() > 64 * count, 'those chosen are compared exactly');
    assert.ok(given() < (count * count) / 5, `${given()} numbers of ${count * count}`);
  });
});

test('all candidates can be asked for, each comes once', async () => {
  const { rows } = clusters([30, 40], 2);
  await withEngine(async (engine) => {
    const components = await principalComponents(engine, rows, 6);
    const candidates = Array.from({ length: 69 }, (_, i) => i + 1);
    const problem = { components, weights: new Float32Array(70).fill(1), chosen: [0], candidates };
    const result = await coverage(engine, problem, 69);
    assert.deepEqual(
      [...result].sort((a, b) => a - b),
      candidates,
    );
  });
});

test('the first suggestions come from every group, the largest first, and the same each time', async () => {
  const { rows, of } = clusters([100, 60, 30, 15], 3);
  await withEngine(async (engine) => {
    const set = { layers: [rows], labels: of.map(() => -1), classes: 0, folds: [] };
    const first = await suggestImages(engine, set, 4);
    assert.deepEqual(
      first.map(({ index, why, predicted }) => [of[index], why, predicted]),
      [0, 1, 2, 3].map((group) => [group, 'typical', undefined]),
    );
    assert.deepEqual(await suggestImages(engine, set, 4), first);
  });
});

test('of one image alone, and of copies, all are suggested', () =>
  withEngine(async (engine) => {
    for (const count of [1, 2, 5]) {
      const features = new Float32Array(count * 4).fill(0.5);
      const labels = new Int32Array(count).fill(-1);
      const set = { layers: [{ features, size: 4 }], labels, classes: 0, folds: [] };
      const chosen = await suggestImages(engine, set, count);
      assert.deepEqual(
        chosen.map(({ index }) => index).sort((a, b) => a - b),
        [...labels.keys()],
        `${count} images`,
      );
      const labelled = { ...set, labels: labels.fill(0), classes: 1 };
      assert.deepEqual(await suggestImages(engine, labelled, count), []);
    }
  }));

test('what is labelled is not suggested again, nor what resembles it', async () => {
  const { rows, of } = clusters([80, 80, 40], 3);
  await withEngine(async (engine) => {
    // One class has labels: there is nothing to be unsure of yet.
    const labels = of.map((group, i) => (group < 2 && i % 80 < 2 ? 0 : -1));
    const [next] = await suggestImages(engine, { layers: [rows], labels, classes: 1, folds: [] }, 1);
    assert.deepEqual([of[next!.index], next!.why, next!.predicted], [2, 'typical', undefined]);
  });
});

test('with labels, images between the classes come before images that are as many and certain', async () => {
  const random = new Random(5, 'between');
  // Two classes, a group between them and one of the same size beyond the first class.
  const places = [
    ...new Array<readonly number[]>(60).fill([3, 0]),
    ...new Array<readonly number[]>(60).fill([-3, 0]),
    ...new Array<readonly number[]>(40).fill([0, 2]),
    ...new Array<readonly number[]>(40).fill([3.5, 2]),
  ];
  const features = Float32Array.from(
    places.flatMap((place) => Array.from({ length: size }, (_, i) => (place[i] ?? 0) + 0.2 * random.normal())),
  );
  const labels = places.map((_, i) => (i < 4 ? 0 : i >= 60 && i < 64 ? 1 : -1));
  await withEngine(async (engine) => {
    const folds = [
      [0, 1, 60, 61],
      [2, 3, 62, 63],
    ];
    const chosen = await suggestImages(engine, { layers: [{ features, size }], labels, classes: 2, folds }, 3);
    const [first] = chosen;
    assert.ok(first!.index >= 120 && first!.index < 160, `${first!.index}`);
    assert.equal(first!.why, 'unsure');
    for (const { index, predicted } of chosen) {
      assert.ok(labels[index]! < 0);
      assert.ok(predicted!.confidence >= 0.5 && predicted!.confidence <= 1);
    }
  });
});

test('classes with few labels get the next ones, although they have few images', async () => {
  const { rows, of } = clusters([100, 100, 40], 1);
  const first = [0, 100, 200],
    given = [8, 8, 2];
  const labels = of.map((group, i) => (i - first[group]! < given[group]! ? group : -1));
  const folds = [0, 1].map((half) => [...labels.keys()].filter((i) => labels[i]! >= 0 && i % 2 === half));
  await withEngine(async (engine) => {
    const chosen = await suggestImages(engine, { layers: [rows], labels, classes: 3, folds }, 8);
    const rare = chosen.filter(({ index }) => of[index] === 2).length;
    // Of all images one in six is of it.
    assert.ok(rare >= 3, `${rare} of 8`);
  });
});

test('a class that has no labels yet is asked for, whether or not its images are taken for strangers', async () => {
  const { rows, of } = clusters([80, 80, 40], 3);
  const labels = of.map((group, i) => (group < 2 && i % 80 < 10 ? group : -1));
  const folds = [0, 1].map((half) => [...labels.keys()].filter((i) => labels[i]! >= 0 && i % 2 === half));
  await withEngine(async (engine) => {
    const [next] = await suggestImages(engine, { layers: [rows], labels, classes: 2, folds }, 1);
    assert.equal(of[next!.index], 2);
  });
});

test('digits that are suggested tell more of the others than as many drawn by chance', async () => {
  const { train } = await readDigits();
  const count = 1000,
    pixels = train.size ** 2;
  const layer: Features = { features: Float32Array.from(train.pixels.subarray(0, count * pixels)), size: pixels };
  const truth = train.labels.subarray(0, count);
  /** How often the nearest of the labelled digits has the same label. */
  const rightBy = (labelled: readonly number[]): number => {
    let right = 0;
    for (let i = 0; i < count; i++) {
      const distances = labelled.map((j) => {
        let sum = 0;
        for (let p = 0; p < pixels; p++)
          sum += (layer.features[i * pixels + p]! - layer.features[j * pixels + p]!) ** 2;
        return sum;
      });
      if (truth[labelled[distances.indexOf(Math.min(...distances))]!] === truth[i]) right++;
    }
    return right / count;
  };
  const set = { layers: [layer], labels: new Array<number>(count).fill(-1), classes: 10, folds: [] };
  await withEngine(async (engine) => {
    const chosen = (await suggestImages(engine, set, 20)).map(({ index }) => index);
    const random = new Random(0, 'chance');
    const chance = Array.from({ length: 5 }, () => rightBy(random.shuffle([...truth.keys()]).slice(0, 20)));
    const mean = chance.reduce((a, b) => a + b) / chance.length;
    assert.ok(rightBy(chosen) > mean + 0.05, `${rightBy(chosen)}, by chance ${mean}`);
  });
});
