import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { readTable } from '../data/manifest.js';
import { temporaryFolder } from '../testing/image-files.js';
import { csvField, spreadsheet } from './csv.js';

/** Names that a spreadsheet would compute, run or take apart, and names that only look like it. */
const names = [
  "=cmd|' /C calc'!A0.jpg",
  '=HYPERLINK("http://a.example","x").png',
  '+1+1.jpg',
  '-2+3',
  '@SUM(A1)',
  '\t=1+1',
  '\u0001=1',
  '\uff1d1+1',
  "'=1+1",
  "''@x",
  "'plain",
  "it's",
  '-5',
  '+1.5e3',
  'a, "b"\nc',
  'cat',
];

test('no cell of a CSV file is a formula, and all come back as they were', async (t) => {
  const file = join(await temporaryFolder(t), 'labels.csv');
  await writeFile(file, spreadsheet([['path', '=label'], ...names.map((name) => [name, name])]));
  const { columns, rows } = await readTable(file, []);
  assert.deepEqual(columns, ['path', '=label']);
  assert.deepEqual(
    rows.map(({ cells }) => cells),
    names.map((name) => [name, name]),
  );
  for (const name of names) {
    const cell = csvField(name).replace(/^"/, '');
    // A number is what it says.
    assert.ok(/^[+-]?[\d.e]+$/.test(cell) || !/^[=+\-@\uff1d\u0000-\u001f]/.test(cell), cell);
  }
  assert.deepEqual(['cat', '-5', "it's", "'plain"].map(csvField), ['cat', '-5', "it's", "'plain"]);
  assert.equal(csvField('=1+1'), "'=1+1");
});
