import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { parquetMetadata } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { selectPseudoLabels, type PseudoLabels } from '../data/pseudo-labels.js';
import { readManifest } from '../data/manifest.js';
import { PupilError } from '../errors.js';
import { Random } from '../random.js';
import { temporaryFolder } from '../testing/image-files.js';
import { readPseudoLabels, shortest, writePseudoLabels } from './pseudo-labels.js';

const classes = ['it\'s "one", or 1', 'zwei\nünï', 'c.d'];

/** Random answers about images in `folder` and elsewhere, under odd names. */
function randomLabels(folder: string, count: number): PseudoLabels {
  const random = new Random(1, 'pseudo-labels');
  const names = ['a,b.jpg', 'ä "q".png', 'line\nbreak.jpg', '=1+1.jpg', ' space .jpg'];
  const rows = Array.from({ length: count }, (_, i) => {
    const weights = classes.map(() => random.uniform() ** 4),
      sum = weights.reduce((a, b) => a + b, 0);
    const probabilities = Float32Array.from(weights, (weight) => weight / sum);
    const label = probabilities.indexOf(Math.max(...probabilities));
    return {
      path: i % 3 === 0 ? join('/elsewhere', String(i), names[i % 5]!) : join(folder, String(i), names[i % 5]!),
      hash: `${i}`.padStart(32, '0'),
      label,
      confidence: shortest(probabilities[label]!),
      probabilities,
      accepted: true,
      copies: 1,
    };
  });
  return { classes, rows };
}

for (const extension of ['parquet', 'csv']) {
  test(`what is written to .${extension} is read back, to the last bit`, async (t) => {
    const folder = await temporaryFolder(t);
    const file = join(folder, 'new', `labels.${extension}`);
    const labels = selectPseudoLabels(randomLabels(join(folder, 'new'), 2500), { threshold: 0.6, perClass: 900 });
    const { threshold: _, ...saved } = { ...labels, soft: true, teachers: [{ name: 'a/b', licence: 'mit' }] };
    await writePseudoLabels(file, saved);
    assert.deepEqual(await readPseudoLabels(file, classes), saved);
    assert.deepEqual(await readdir(join(folder, 'new')), [`labels.${extension}`], 'nothing is left beside it');
    // Classes by name: another order of the same classes, and more of them, are no trouble.
    const other = ['new', classes[2]!, classes[0]!, classes[1]!];
    const read = await readPseudoLabels(file, other);
    read.rows.forEach((row, i) => {
      assert.equal(other[row.label], classes[saved.rows[i]!.label]);
      assert.deepEqual(
        [...row.probabilities],
        [0, saved.rows[i]!.probabilities[2]!, saved.rows[i]!.probabilities[0]!, saved.rows[i]!.probabilities[1]!],
      );
    });
  });
}

test('a CSV file of pseudo-labels is a manifest too, and moves with its images', async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, 'sub'));
  await writeFile(join(folder, 'sub', 'a.png'), '');
  const file = join(folder, 'labels.csv');
  const row = {
    hash: 'x',
    label: 0,
    confidence: 0.5,
    probabilities: Float32Array.of(0.5, 0.25, 0.25),
    accepted: true,
    copies: 1,
  };
  await writePseudoLabels(file, {
    classes,
    rows: [
      { ...row, path: join(folder, 'sub', 'a.png') },
      { ...row, path: join(folder, '..', 'b.png') },
    ],
  });
  const text = await readFile(file, 'utf8');
  assert.match(text, /^sub\/a\.png,/m);
  assert.ok(text.includes(`\n${join(folder, '..', 'b.png')},`));
  const { placed: manifest } = await readManifest(file);
  assert.deepEqual(
    manifest.map(({ className }) => className),
    [classes[0], classes[0]],
  );
  assert.equal(manifest[0]!.entry.problem, 'the file is empty');
});

const abc = ['a', 'b', 'c'];
/** One row: header and values of a CSV, and what it means. */
const corrected: [
  what: string,
  csv: string,
  expected: {
    label: number;
    confidence: number;
    probabilities: number[];
    accepted: boolean;
    copies: number;
    hash?: string;
  },
][] = [
  [
    'path and label alone',
    'path,label\nx.jpg,b',
    { label: 1, confidence: 1, probabilities: [0, 1, 0], accepted: true, copies: 1 },
  ],
  [
    'columns in any order and case',
    '\uFEFFLabel, PATH\nb,x.jpg',
    { label: 1, confidence: 1, probabilities: [0, 1, 0], accepted: true, copies: 1 },
  ],
  [
    'with confidence',
    'path,label,confidence\nx.jpg,b,0.7',
    { label: 1, confidence: 0.7, probabilities: [0, 1, 0], accepted: true, copies: 1 },
  ],
  [
    'as it was',
    'path,label,probabilities,accepted,copies,hash\nx.jpg,a,"{""a"":0.5,""b"":0.25,""c"":0.25}",true,3,ff',
    { label: 0, confidence: 0.5, probabilities: [0.5, 0.25, 0.25], accepted: true, copies: 3, hash: 'ff' },
  ],
  [
    'another label: corrected by hand',
    'path,label,confidence,probabilities,accepted,copies\nx.jpg,c,0.5,"{""a"":0.5,""b"":0.25,""c"":0.25}",true,3',
    { label: 2, confidence: 1, probabilities: [0, 0, 1], accepted: true, copies: 3 },
  ],
  [
    'corrected, accepted emptied',
    'path,label,confidence,probabilities,accepted,copies\nx.jpg,c,0.5,"{""a"":0.5,""b"":0.25,""c"":0.25}",,0',
    { label: 2, confidence: 1, probabilities: [0, 0, 1], accepted: true, copies: 1 },
  ],
  [
    'corrected, but not accepted',
    'path,label,confidence,probabilities,accepted,copies\nx.jpg,c,0.5,"{""a"":0.5,""b"":0.25,""c"":0.25}",false,0',
    { label: 2, confidence: 1, probabilities: [0, 0, 1], accepted: false, copies: 0 },
  ],
  [
    'accepted by hand',
    'path,label,confidence,probabilities,accepted,copies\nx.jpg,a,0.4,"{""a"":0.4,""b"":0.3,""c"":0.3}",TRUE,0',
    { label: 0, confidence: 0.4, probabilities: [0.4, 0.3, 0.3], accepted: true, copies: 1 },
  ],
  [
    'refused by hand',
    'path,label,accepted,copies\nx.jpg,a,no,4',
    { label: 0, confidence: 1, probabilities: [1, 0, 0], accepted: false, copies: 0 },
  ],
  [
    'one of two equal ones is no correction',
    'path,label,probabilities\nx.jpg,b,"{""a"":0.5,""b"":0.5}"',
    { label: 1, confidence: 0.5, probabilities: [0.5, 0.5, 0], accepted: true, copies: 1 },
  ],
  [
    'a list in the order of the classes',
    'path,label,probabilities\nx.jpg,b,"[0.25,0.5,0.25]"',
    { label: 1, confidence: 0.5, probabilities: [0.25, 0.5, 0.25], accepted: true, copies: 1 },
  ],
];

test('rows of a large file are written some together, not all', async (t) => {
  const file = join(await temporaryFolder(t), 'labels.parquet');
  const row = { hash: 'a', label: 0, confidence: 1, probabilities: Float32Array.of(1, 0), accepted: true, copies: 1 };
  const rows = Array.from({ length: 20_001 }, (_, i) => ({ ...row, path: `/${i}.png` }));
  await writePseudoLabels(file, { classes: ['a', 'b'], soft: false, rows });
  const { row_groups: groups } = parquetMetadata(new Uint8Array(await readFile(file)).buffer);
  assert.deepEqual(
    groups.map(({ num_rows: count }) => Number(count)),
    [10_000, 10_000, 1],
  );
  assert.equal((await readPseudoLabels(file)).rows.at(-1)!.path, '/20000.png');
});

test('what people write into the file is understood', async (t) => {
  const folder = await temporaryFolder(t),
    file = join(folder, 'labels.csv');
  for (const [what, csv, expected] of corrected) {
    await writeFile(file, csv);
    const {
      rows: [row],
      soft,
    } = await readPseudoLabels(file, abc);
    assert.deepEqual(
      { ...row!, probabilities: [...row!.probabilities].map(shortest) },
      { path: join(folder, 'x.jpg'), hash: '', ...expected },
      what,
    );
    assert.equal(soft, undefined, what);
  }
});

test('without classes those that the file names', async (t) => {
  const file = join(await temporaryFolder(t), 'labels.csv');
  await writeFile(file, 'path,label,probabilities\nx.jpg,c10,\ny.jpg,c9,"{""c9"":0.6,""c11"":0.4}"\n');
  const { classes: found, rows } = await readPseudoLabels(file);
  assert.deepEqual(found, ['c9', 'c10', 'c11']);
  assert.deepEqual(
    rows.map(({ label, probabilities }) => [label, ...probabilities].map(shortest)),
    [
      [1, 0, 1, 0],
      [0, 0.6, 0, 0.4],
    ],
  );
});

test('Parquet of other tools: nested probabilities, 64-bit integers, gaps', async (t) => {
  const file = join(await temporaryFolder(t), 'labels.parquet');
  await writeFile(
    file,
    new Uint8Array(
      parquetWriteBuffer({
        columnData: [
          { name: 'copies', data: [2n, null], type: 'INT64' },
          { name: 'path', data: ['x.jpg', 'y.jpg'], type: 'STRING' },
          { name: 'label', data: ['a', 'c'], type: 'STRING' },
          { name: 'probabilities', data: [{ a: 0.75, b: 0.25 }, null], type: 'JSON' },
          { name: 'note', data: [1.5, NaN], type: 'DOUBLE' },
        ],
      }),
    ),
  );
  const { rows } = await readPseudoLabels(file, abc);
  assert.deepEqual(
    rows.map(({ label, copies, probabilities }) => [label, copies, ...probabilities]),
    [
      [0, 2, 0.75, 0.25, 0],
      [2, 1, 0, 0, 1],
    ],
  );
});

const p = '"{""a"":0.5,""b"":0.5}"';
const refused: [what: string, name: string, content: string | Uint8Array | undefined, says: RegExp][] = [
  ['no file', 'a.csv', undefined, /a\.csv: the pseudo-labels cannot be read \(no such file\)/],
  ['another kind of file', 'a.json', '{}', /a\.json: .*\.parquet or a \.csv/],
  ['an empty file', 'a.csv', '', /a\.csv: the file is empty/],
  ['an empty Parquet file', 'a.parquet', '', /the file is empty/],
  ['only a header', 'a.csv', 'path,label\n', /it lists no image/],
  ['a header that lacks columns', 'a.csv', 'path,confidence\nx,1', /no column 'label' \(found: path, confidence\)/],
  ['nothing that is a header', 'a.csv', 'hello', /no column 'path' and 'label'/],
  ['not Parquet', 'a.parquet', 'path,label\nx,a\n', /a\.parquet: not a readable Parquet file/],
  ['bytes that are no text', 'a.csv', Uint8Array.of(112, 255, 254, 10), /not UTF-8/],
  ['a broken quote', 'a.csv', 'path,label\nx.jpg,"a\n', /a\.csv: not a readable CSV file/],
  ['a missing cell', 'a.csv', 'path,label\nx.jpg,a\ny.jpg\n', /line 3/],
  ['no path', 'a.csv', 'path,label\n,a', /a\.csv, line 2: no path/],
  ['no label', 'a.csv', 'path,label\nx.jpg,a\ny.jpg,', /a\.csv, line 3: no label; write one of a, b, c/],
  [
    'an unknown class',
    'a.csv',
    'path,label\nx.jpg,a\n\ny.jpg,d\n',
    /a\.csv, line 4: unknown class 'd'; the classes are a, b, c/,
  ],
  ['a path twice', 'a.csv', 'path,label\nx.jpg,a\nx.jpg,a\n', /line 3: .*x\.jpg is listed twice \(also line 2\)/],
  [
    'a word for accepted',
    'a.csv',
    'path,label,accepted\nx.jpg,a,perhaps',
    /line 2: accepted 'perhaps' is neither true nor false/,
  ],
  ['copies below 0', 'a.csv', 'path,label,copies\nx.jpg,a,-1', /line 2: copies -1/],
  ['half a copy', 'a.csv', 'path,label,copies\nx.jpg,a,1.5', /line 2: copies 1\.5/],
  ['a confidence in percent', 'a.csv', 'path,label,confidence\nx.jpg,a,93', /line 2: confidence 93 is not from 0 to 1/],
  [
    'a confidence in words',
    'a.csv',
    'path,label,confidence\nx.jpg,a,high',
    /line 2: confidence "high" is not a number/,
  ],
  [
    'probabilities that are no JSON',
    'a.csv',
    'path,label,probabilities\nx.jpg,a,"{\'a\': 1.0}"',
    /line 2: probabilities are not JSON such as \{"name of a class": 0\.9, \.\.\.\} \(/,
  ],
  [
    'probabilities that are a number',
    'a.csv',
    'path,label,probabilities\nx.jpg,a,0.5',
    /line 2: probabilities are not JSON/,
  ],
  [
    'too few probabilities',
    'a.csv',
    'path,label,probabilities\nx.jpg,a,"[0.5,0.5]"',
    /line 2: 2 probabilities for 3 classes/,
  ],
  [
    'an unknown class among them',
    'a.csv',
    'path,label,probabilities\nx.jpg,a,"{""d"":1}"',
    /line 2: unknown class 'd' among the probabilities/,
  ],
  [
    'a probability below 0',
    'a.csv',
    'path,label,probabilities\nx.jpg,a,"{""a"":1.5,""b"":-0.5}"',
    /line 2: the probability of 'a' is 1\.5/,
  ],
  [
    'a sum that is not 1',
    'a.csv',
    'path,label,probabilities\nx.jpg,a,"{""a"":0.5,""b"":0.2}"',
    /line 2: the probabilities add up to 0\.7, not to 1/,
  ],
  [
    'soft and hard',
    'a.csv',
    `path,label,probabilities,soft\nx.jpg,a,${p},true\ny.jpg,a,${p},false`,
    /line 3: soft is false, other rows say true/,
  ],
  [
    'a row of Parquet',
    'a.parquet',
    new Uint8Array(
      parquetWriteBuffer({
        columnData: [
          { name: 'path', data: ['x', 'y'] },
          { name: 'label', data: ['a', 'z'] },
        ],
      }),
    ),
    /a\.parquet, row 2: unknown class 'z'/,
  ],
  [
    'Parquet without labels',
    'a.parquet',
    new Uint8Array(parquetWriteBuffer({ columnData: [{ name: 'path', data: ['x'] }] })),
    /no column 'label'/,
  ],
];

test('each mistake in the file is one clear line', async (t) => {
  for (const [what, name, content, says] of refused) {
    const file = join(await temporaryFolder(t), name);
    if (content !== undefined) await writeFile(file, content);
    await assert.rejects(readPseudoLabels(file, abc), (error) => {
      assert.ok(error instanceof PupilError, `${what}: ${String(error)}`);
      assert.match(error.message, says, what);
      assert.doesNotMatch(error.message, /\n/, what);
      return true;
    });
  }
});

test('a Parquet file that is cut anywhere is refused', async (t) => {
  const file = join(await temporaryFolder(t), 'cut.parquet');
  await writePseudoLabels(file, randomLabels('/x', 20));
  const whole = await readFile(file);
  for (const length of [1, 4, 20, whole.length >> 1, whole.length - 8, whole.length - 1]) {
    await writeFile(file, whole.subarray(0, length));
    await assert.rejects(
      readPseudoLabels(file, classes),
      (error) => error instanceof PupilError && error.code === 'bad-data',
      `cut to ${length} of ${whole.length}`,
    );
  }
});
