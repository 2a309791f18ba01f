import assert from 'node:assert/strict';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { pupil } from '../testing/command-line.js';
import { temporaryFolder, writeTree } from '../testing/image-files.js';
import { flagsOf } from './messages.js';
import { leaves } from './program.js';

const written = ['out', 'csv', 'web', 'hub'] as const;
type Written = (typeof written)[number];

/** What a command that makes a run is told beside `--out`, and what its run.json calls it. */
const runs: Readonly<Record<string, { readonly told: readonly string[]; readonly command?: string }>> = {
  'demo': { told: [], command: 'learn' },
  'train': { told: ['photos', '--mode', 'probe', '--model', 'm.onnx'] },
  'learn': { told: ['photos', '--model', 'm.onnx'] },
  'distill': { told: ['photos', '--teacher', 'm.onnx', '--student', 'resnet8'] },
  'self-train': { told: ['photos', '--unlabelled', 'photos', '--model', 'm.onnx'] },
  'search': { told: ['photos', '--model', 'm.onnx'] },
  'gap': { told: ['photos', '--real', 'photos', '--model', 'm.onnx'] },
};

/** What such an option is told: a `file` (default kept.csv), one with a fixed `name` in its folder, or a new folder. */
interface Row {
  readonly option: Written;
  readonly told: readonly string[];
  readonly file?: string;
  readonly name?: string;
}

/** The same of commands that write files. */
const files: Readonly<Record<string, readonly Row[]>> = {
  'pseudo-label': [{ option: 'out', told: ['photos', '--model', 'm.onnx'] }],
  'features': [{ option: 'out', told: ['photos', '--model', 'm.onnx'], file: 'kept.parquet' }],
  'shards': [{ option: 'out', told: ['photos'], name: 'photos-000000.tar' }],
  'suggest': [{ option: 'out', told: ['photos', '--model', 'm.onnx', '--labels', '2'] }],
  'evaluate': [{ option: 'out', told: ['m.onnx', 'photos'], name: 'evaluation.json' }],
  'compare': [{ option: 'out', told: ['a', 'b'], name: 'comparison.json' }],
  'predict': [
    { option: 'out', told: ['m.onnx', 'photos'] },
    { option: 'csv', told: ['m.onnx', 'photos'] },
  ],
  'export': [
    { option: 'out', told: ['m.onnx'] },
    { option: 'web', told: ['m.onnx'] },
    { option: 'hub', told: ['m.onnx'] },
  ],
  'doctor': [{ option: 'out', told: ['photos'], name: 'doctor.json' }],
  'augment': [{ option: 'out', told: ['photos'] }],
  'inspect': [{ option: 'out', told: ['m.onnx'], name: 'inspection.json' }],
};

const isWritten = (options: object): Written[] => written.filter((name) => Object.hasOwn(options, name));

test('what exists is refused by every command that writes, naming options that the command has', async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  await writeTree(folder, { 'photos/a/1.png': 1, 'photos/b/1.png': 2, 'm.onnx': 'no model' });
  const told = (words: readonly string[]): string[] =>
    words.map((word) => (/^(photos|m\.onnx)$/.test(word) ? at(word) : word));
  for (const { name, options } of leaves) {
    const own = new Set([...flagsOf(options).values()]);
    const refused = async (option: Written, place: string, words: readonly string[]): Promise<string> => {
      const path = name === 'inspect' ? ['models', name] : [name];
      const { code, err, out } = await pupil(...path, ...told(words), `--${option}`, place);
      assert.equal(code, 2, `${name}: ${err}`);
      assert.equal(out, '', name);
      assert.match(err, /(^|\n)pupil: [^\n]* already exists; choose another --(out|csv|web|hub)[^\n]*\n$/, name);
      const foreign = (err.match(/--[a-z][\w-]*/g) ?? []).filter((flag) => !own.has(flag));
      assert.deepEqual(foreign, [], `${name}: ${err}`);
      assert.ok(err.includes(`choose another --${option}`), err);
      return err;
    };
    const rows = files[name] ?? (Object.hasOwn(runs, name) ? [{ option: 'out' as const }] : []);
    assert.deepEqual(rows.map(({ option }) => option).sort(), isWritten(options).sort(), `${name}: a row for each`);
    for (const { option, told: words, file = 'kept.csv', name: fixed } of files[name] ?? []) {
      const place = at(`${name}-${option}`),
        kept = join(place, fixed ?? file);
      await writeTree(place, { [fixed ?? file]: 'kept' });
      const isFolder = option === 'web' || option === 'hub' || fixed !== undefined;
      await refused(option, isFolder ? place : kept, words);
      assert.equal(await readFile(kept, 'utf8'), 'kept');
    }
    const run = runs[name];
    if (run === undefined) continue;
    const config = (command: string): string => JSON.stringify({ command, settings: {}, versions: {} });
    const places: Readonly<Record<string, Readonly<Record<string, string>>>> = {
      done: { 'run.json': config(run.command ?? name), 'result.json': '{}' },
      other: { 'run.json': config('another'), 'result.json': '{}' },
      notes: { 'notes.txt': 'kept' },
    };
    for (const [kind, content] of Object.entries(places)) {
      const place = at(`${name}-${kind}`);
      await mkdir(place);
      await writeTree(place, content);
      const line = await refused('out', place, run.told);
      // Only a run of the command goes on.
      assert.equal(line.includes(`continue it with --resume ${place}`), kind === 'done' && own.has('--resume'), line);
      assert.deepEqual((await readdir(place)).sort(), Object.keys(content).sort());
    }
  }
});
