import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { noisePng, temporaryFolder, writeTar, writeTree } from '../testing/image-files.js';
import { refused } from '../testing/kit.js';
import { Random } from '../random.js';
import { PupilError } from '../errors.js';
import { openDataset } from './dataset.js';
import { readManifest } from './manifest.js';

/** A folder with `img/0.png` to `img/3.png`. */
async function images(t: TestContext): Promise<string> {
  const root = await temporaryFolder(t);
  await writeTree(root, { 'img/0.png': 1, 'img/1.png': 2, 'img/2.png': 3, 'img/3.png': 4 });
  return root;
}

/** A manifest's content, what it says as `split class`, and its notes. */
async function read(root: string, name: string, content: string | Uint8Array): Promise<[string[], string]> {
  await writeFile(join(root, name), content);
  const { placed, notes } = await readManifest(join(root, name));
  const rows = placed.map(
    ({ split, className, entry }) =>
      `${split} ${className ?? '-'}${entry.problem === undefined ? '' : ` (${entry.problem})`}`,
  );
  return [rows, notes.map((note) => note.slice(note.indexOf(': ') + 2)).join('; ')];
}

const utf16 = (text: string, bigEndian = false): Uint8Array => {
  const bytes = Buffer.from(text, 'utf16le');
  return bigEndian ? bytes.swap16() : bytes;
};
const plain = 'path,label\nimg/0.png,n\u00e9\nimg/1.png,x\n';
const expected = ['train n\u00e9', 'train x'];

test('of images drawn at random those count that have labels before the first that waits for one', async (t) => {
  const root = await images(t);
  const drawnOf = async (...rows: readonly string[]): Promise<number[]> => {
    await writeFile(join(root, 'labels.csv'), ['path,label,source,random', ...rows].join('\n'));
    const { placed } = await readManifest(join(root, 'labels.csv'));
    return placed.flatMap(({ drawn }, i) => (drawn ? [i] : []));
  };
  const rows = ['img/0.png,x,person,3', 'img/1.png,y,accepted,1', 'img/2.png,x,person,'];
  assert.deepEqual(await drawnOf(...rows, 'img/3.png,,,4'), [0, 1]);
  assert.deepEqual(await drawnOf(...rows, 'img/3.png,,,2'), [1]);
  assert.deepEqual(await drawnOf(...rows, 'img/3.png,,skipped,2'), [0, 1], 'a person has looked at it');
  const unordered = ['img/0.png,x,person,1', 'img/1.png,,,1', 'img/2.png,x,person,no'];
  assert.deepEqual(await drawnOf(...unordered), [0]);
});

test('texts in other encodings are read, or refused by name', async (t) => {
  const root = await images(t);
  const texts = {
    'utf-8': plain,
    'with a mark': `\ufeff${plain}`,
    'utf-16': utf16(`\ufeff${plain}`),
    'utf-16, big endian': utf16(`\ufeff${plain}`, true),
    'utf-16 without a mark': utf16(plain),
    'lines of old Macs': plain.replaceAll('\n', '\r'),
    'lines of Windows': plain.replaceAll('\n', '\r\n'),
    'a row that was emptied': `${plain},\n , \n`,
  };
  for (const [name, content] of Object.entries(texts))
    assert.deepEqual(await read(root, 'a.csv', content), [expected, ''], name);
  const [rows, note] = await read(root, 'a.csv', Buffer.from(plain, 'latin1'));
  assert.deepEqual(rows, expected);
  assert.match(note, /not UTF-8, so it was read as Windows-1252 \(n\u00e9\)/);
  const refuses = (name: string, content: Uint8Array, message: RegExp): Promise<void> =>
    assert.rejects(read(root, name, content), refused('bad-data', message));
  await refuses('a.csv', Buffer.from(`${plain}\x81`, 'latin1'), /in another encoding, not UTF-8/);
  await refuses('a.jsonl', Buffer.from('{"path":"n\u00e9"}', 'latin1'), /in another encoding, not UTF-8/);
  await refuses('a.csv', Buffer.from([0xff, 0xfe, 0, 0, 65, 0, 0, 0]), /UTF-32/);
  await refuses('a.csv', await noisePng(1), /not a text|another encoding/);
});

test('columns by their usual names; what is not read is named', async (t) => {
  const root = await images(t);
  const two = ['train a', 'train b'];
  const rows: [content: string, expected: string[], notes: RegExp, name?: string][] = [
    ['path,class\nimg/0.png,a\nimg/1.png,b', two, /^$/],
    ['File Name,Category\nimg/0.png,a\nimg/1.png,b', two, /^$/],
    ['image,label\nimg/0.png,a\nimg/1.png,b', two, /^$/],
    ['path, label\nimg/0.png , a \n img/1.png,"b "', two, /^$/],
    ['path\tlabel\nimg/0.png\ta\nimg/1.png\tb', two, /^$/, 'a.tsv'],
    ['path;label\nimg/0.png;a\nimg/1.png;b', two, /^$/],
    ['path,label,is_valid\nimg/0.png,a,False\nimg/1.png,b,True', ['train a', 'val b'], /^$/],
    ['path,label,is_test\nimg/0.png,a,0\nimg/1.png,b,1', ['train a', 'test b'], /^$/],
    ['path,label,fold\nimg/0.png,a,train\nimg/1.png,b,Test Set', ['train a', 'test b'], /^$/],
    ['path,label,fold\nimg/0.png,a,0\nimg/1.png,b,1', two, /^columns not read: fold$/],
    ['path,label,test,note\nimg/0.png,a,, \nimg/1.png,b,,', two, /^$/],
    ['path,label,split,is_valid\nimg/0.png,a,val,0\nimg/1.png,b,,1', ['val a', 'train b'], /not read: is_valid$/],
    ['path,label,order,confidence\nimg/0.png,a,1,0.5\nimg/1.png,b,2,0.5', two, /^$/],
    [
      'path,cat,dog\nimg/0.png,1,0\nimg/1.png,0,1',
      ['unlabelled -', 'unlabelled -'],
      /not read: cat, dog; .*no column 'label'/,
    ],
    [
      '{"file_name":"img/0.png","label":"a"}\r\n{"file_name":"img/1.png","label":"b","text":"?"}',
      two,
      /not read: text$/,
      'metadata.jsonl',
    ],
  ];
  for (const [content, wanted, notes, name = 'a.csv'] of rows) {
    const [found, told] = await read(root, name, content);
    assert.deepEqual(found, wanted, content);
    assert.match(told, notes);
  }
});

test('a path is found however it is written, or the reason is given', async (t) => {
  const root = await images(t);
  await writeTree(root, { 'cafe\u0301/u\u0308.png': 5, ' odd name .png': 6 });
  await writeTar(join(root, 'more.tar'), { 'in/e\u0301.png': 7 });
  const found = [
    'img\\0.png',
    './img/1.png',
    ' img/2.png ',
    'caf\u00e9/\u00fc.png',
    'more.tar/in/\u00e9.png',
    'more.tar\\in\\e\u0301.png',
  ];
  found.push(' odd name .png', `file://${join(root, 'img/3.png')}`, join(root, 'img', '0.png'));
  const missing = {
    'img/4.png': /no such file in .*img\)/,
    'img/0.PNG': /no such file, but 0\.png, in .*img\)/,
    'pictures/0.png': /there is no folder .*pictures\)/,
    'https://example.org/0.png': /an address, not a file; download it first/,
    'more.tar/in/f.png': /no such entry in the archive/,
    'C:\\photos\\0.png': /a path of another computer, one with Windows/,
    'img': /it is a folder/,
    '/dev/null': /a pipe, socket or device, not a file/,
    ['x'.repeat(100_000)]: /a path of 100000 characters/,
  };
  const paths = [...found, ...Object.keys(missing)];
  await writeFile(join(root, 'a.jsonl'), paths.map((path) => JSON.stringify({ path, label: 'a' })).join('\n'));
  const { placed } = await readManifest(join(root, 'a.jsonl'));
  for (const [i, path] of found.entries()) assert.equal(placed[i]!.entry.problem, undefined, path);
  for (const [i, [path, reason]] of Object.entries(missing).entries())
    assert.match(placed[found.length + i]!.entry.problem ?? '', reason, path.slice(0, 50));
});

test('lists as Hugging Face has them, in a folder and in its splits', async (t) => {
  const root = await temporaryFolder(t);
  const line = (file: string, label: string): string => `${JSON.stringify({ file_name: file, label })}\n`;
  await writeTree(root, {
    'splits/train/0.png': 1,
    'splits/train/1.png': 2,
    'splits/train/metadata.jsonl': line('0.png', 'a') + line('1.png', 'b'),
    'splits/test/0.png': 3,
    'splits/test/metadata.csv': 'file_name,label\n0.png,a\n',
    'flat/images/0.png': 1,
    'flat/images/1.png': 2,
    'flat/metadata.csv': 'file_name,label\nimages/0.png,a\nimages/1.png,b\n',
    'classes/a/0.png': 1,
    'classes/b/0.png': 2,
    'classes/metadata.csv': 'file_name,label\nnothing.png,a\n',
  });
  const opened = async (name: string): Promise<string[]> => {
    const { samples, classes } = await openDataset(join(root, name));
    return samples.map(({ split, label, path }) => `${split} ${classes[label]!} ${path.replace(`${root}/`, '')}`);
  };
  assert.deepEqual(await opened('splits'), ['test a test/0.png', 'train a train/0.png', 'train b train/1.png']);
  assert.deepEqual(await opened('flat'), ['train a images/0.png', 'train b images/1.png']);
  assert.deepEqual(await opened('classes'), ['train a classes/a/0.png', 'train b classes/b/0.png']);
});

test('changed manifests are read or refused, and never more than that', async (t) => {
  const root = await images(t);
  await mkdir(join(root, 'folder.png'));
  const sources = [
    plain,
    'path,label,split\n"img/0.png","a, b",train\nimg/1.png,c,val\n',
    '{"path":"img/0.png","label":"a"}\n{"path":"img/1.png","label":2,"split":"test"}\n',
  ];
  const pieces = [
    '"',
    ',',
    ';',
    '\t',
    '\n',
    '\r',
    '\0',
    '\ufeff',
    'path',
    '\\',
    '../',
    'true',
    '{',
    '[]',
    '\ud800',
    ' '.repeat(1000),
  ];
  const random = new Random(20, 'manifests');
  const outcomes = { read: 0, refused: 0 };
  for (let i = 0; i < 120; i++) {
    const json = i % 3 === 2;
    let bytes = Buffer.from(sources[i % 3]!);
    for (let changes = 1 + random.integer(3); changes > 0; changes--) {
      const at = random.integer(bytes.length + 1);
      const piece =
        random.integer(3) === 0 ? Buffer.of(random.integer(256)) : Buffer.from(pieces[random.integer(pieces.length)]!);
      bytes = Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at + random.integer(4))]);
    }
    const outcome = await read(root, json ? 'a.jsonl' : 'a.csv', bytes).then(
      () => 'read' as const,
      (error: unknown) => {
        assert.ok(error instanceof PupilError, `${String(error)}: ${JSON.stringify(bytes.toString('latin1'))}`);
        assert.ok(!error.message.includes('\n') && error.message.length < 1500);
        return 'refused' as const;
      },
    );
    outcomes[outcome]++;
  }
  t.diagnostic(`120 changed manifests: ${outcomes.read} read, ${outcomes.refused} refused`);
  assert.ok(outcomes.read > 20 && outcomes.refused > 20, JSON.stringify(outcomes));
});
