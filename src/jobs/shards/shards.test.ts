import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { selectPseudoLabels, type PseudoLabel } from '../../data/pseudo-labels.js';
import { Random } from '../../random.js';
import { temporaryFolder } from '../../testing/image-files.js';
import { refused } from '../../testing/kit.js';
import { findRepeated } from './repeated.js';
import { chooseLabels } from './select.js';
import { doShard } from './shard.js';
import { chooseShard, partOf } from './which.js';

/** The variables of a task in a Slurm array. */
const slurm = (id: number, min: number, max: number, step = 1, count = Math.floor((max - min) / step) + 1): object => ({
  SLURM_ARRAY_TASK_ID: String(id),
  SLURM_ARRAY_TASK_MIN: String(min),
  SLURM_ARRAY_TASK_MAX: String(max),
  SLURM_ARRAY_TASK_STEP: String(step),
  SLURM_ARRAY_TASK_COUNT: String(count),
});

const launched: readonly (readonly [says: string, environment: object, count: number | undefined, shard: string])[] = [
  ['--array=1-8', slurm(3, 1, 8), undefined, '3/8'],
  ['--array=0-7', slurm(3, 0, 7), undefined, '4/8'],
  ['--array=0-30:10', slurm(20, 0, 30, 10), undefined, '3/4'],
  ['--array=5-6', slurm(5, 5, 6), 2, '1/2'],
  ['--array=3,7 of eight', slurm(7, 3, 7, 1, 2), 8, '7/8'],
  ['an Indexed Job', { JOB_COMPLETION_INDEX: '0' }, 5, '1/5'],
];
for (const [says, environment, count, expected] of launched) {
  test(`shard auto in ${says}`, () => {
    const { index, count: all } = chooseShard({ auto: true, count }, environment as Record<string, string>);
    assert.equal(`${index}/${all}`, expected);
  });
}

test('shard auto is refused where the launcher says too little, or what does not fit', () => {
  const of = (environment: object, count?: number) => () =>
    chooseShard({ auto: true, count }, environment as Record<string, string>);
  assert.throws(of({}), refused('usage', /neither SLURM_ARRAY_TASK_ID .* nor JOB_COMPLETION_INDEX .* is set/));
  assert.throws(of({ JOB_COMPLETION_INDEX: '1' }), refused('usage', /Kubernetes does not say how many/));
  assert.throws(
    of({ JOB_COMPLETION_INDEX: '5' }, 5),
    refused('usage', /^`shard: auto`: JOB_COMPLETION_INDEX is 5, and there is no shard 6 of 5$/),
  );
  assert.throws(of({ JOB_COMPLETION_INDEX: 'x' }, 5), refused('usage', /JOB_COMPLETION_INDEX is "x"/));
  assert.throws(of(slurm(7, 3, 7, 1, 2)), refused('usage', /it is part of another/));
  assert.throws(of(slurm(0, 0, 4, 1, 2), 8), refused('usage', /number the tasks from 1/));
  assert.throws(
    of(slurm(9, 9, 9), 8),
    refused('usage', /^`shard: auto`: the task is 9, and there is no shard 9 of 8$/),
  );
});

test('shards divide all items among themselves', () => {
  for (const count of [0, 1, 7, 100, 101])
    for (const shards of [1, 3, 7, 200]) {
      const parts = Array.from({ length: shards }, (_, i) => partOf(count, { index: i + 1, count: shards }));
      assert.equal(parts[0]![0], 0);
      assert.equal(parts.at(-1)![1], count);
      parts.forEach(([from, to], i) => {
        assert.ok(to - from === Math.floor(count / shards) || to - from === Math.ceil(count / shards));
        if (i > 0) assert.equal(from, parts[i - 1]![1]);
      });
    }
  assert.deepEqual(
    [1, 2].map((index) => partOf(31, { index, count: 2 }, 32)),
    [
      [0, 31],
      [31, 31],
    ],
  );
});

test('choosing labels in passes is choosing them in memory', async () => {
  const names = ['a', 'b', 'c', 'none'];
  for (let round = 0; round < 40; round++) {
    const random = new Random(round, 'choose');
    const rows = Array.from({ length: 1 + random.integer(60) }, (_, i): PseudoLabel => {
      // Equal confidences, certainty, and neighbours that differ in the last bit.
      const [rough, fine] = [random.integer(5) / 4, random.uniform()];
      const confidence = Math.fround(random.integer(2) === 0 ? rough : random.integer(3) === 0 ? 0.5 + 2 ** -24 : fine);
      const label = random.integer(3);
      return {
        path: `${i}`,
        hash: '',
        label,
        confidence,
        probabilities: new Float32Array(4),
        accepted: true,
        copies: 1,
      };
    });
    const rejected = new Set(rows.filter(() => random.integer(5) === 0).map(({ path }) => path));
    const options = {
      threshold: random.integer(3) / 3,
      perClass: random.integer(2) === 0 ? undefined : 1 + random.integer(20),
      balance: [undefined, true, false][random.integer(3)],
    };
    const candidates = rows.map(({ path, label, confidence }) => ({
      label,
      confidence,
      isRejected: rejected.has(path),
    }));
    const expected = selectPseudoLabels({ classes: names, rows }, { ...options, rejected });
    const choose = await chooseLabels(async (visit) => candidates.forEach(visit), names.length, options);
    assert.deepEqual(
      candidates.map(choose),
      expected.rows.map(({ copies }) => copies),
      `round ${round}: ${JSON.stringify(options)}`,
    );
  }
});

test('equal contents are found in one pass and in several', async () => {
  const random = new Random(1, 'hashes');
  const kinds = Array.from({ length: 300 }, () =>
    Array.from({ length: 4 }, () =>
      random
        .integer(2 ** 32)
        .toString(16)
        .padStart(8, '0'),
    ).join(''),
  );
  const hashes = Array.from({ length: 1000 }, () => (random.integer(9) === 0 ? '' : kinds[random.integer(300)]!));
  const seen = new Set<string>();
  const expected = hashes.map((hash) => hash !== '' && (seen.has(hash) || !seen.add(hash)));
  for (const atOnce of [4000, 100, 7]) {
    const found = await findRepeated(hashes.length, async (visit) => hashes.forEach(visit), atOnce);
    assert.deepEqual(
      hashes.map((_, i) => found.has(i)),
      expected,
    );
    assert.equal(found.count, expected.filter(Boolean).length);
  }
});

test('a share that is lost while images are read ends the shard without a part; a damaged one does not', async (t) => {
  const folder = await temporaryFolder(t);
  const place = { command: 'features', shard: { index: 1, count: 2 }, folder };
  const shardWith = (problem: string): Promise<unknown> =>
    doShard(place, {
      from: {
        inputs: { version: '0', teacher: '', data: '', images: 1, options: {} },
        stamps: { own: undefined, shared: undefined },
      },
      engine: 'ort',
      columns: [
        { name: 'path', type: 'STRING' },
        { name: 'problem', type: 'STRING', nullable: true },
      ],
      async work(writer) {
        await writer.add([{ path: 'camera/1.jpg', problem }]);
        return { images: 0 };
      },
    });
  for (const system of ['ESTALE: stale file handle, read', 'EIO: i/o error, read'])
    await assert.rejects(
      shardWith(`cannot be read (${system})`),
      refused('io', /^camera\/1\.jpg: cannot be read .*: the disk or the share is gone; run again when it is back/),
    );
  assert.deepEqual(readdirSync(folder), []);
  await shardWith('cut off: the file ends early');
  assert.deepEqual(readdirSync(folder), ['part-00001-of-00002.parquet']);
});
