import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { RunConfig } from './artifact/formats.js';
import type { Dataset } from './data/sample.js';
import { noisePng, writeTree } from './testing/image-files.js';
import { collect, hashOf } from './testing/kit.js';

/** The recipes of CONTRIBUTING.md, all applied to one copy of the tree, which is built and used. */

const root = fileURLToPath(new URL('../', import.meta.url));

/** A block of code of a recipe. */
interface Change {
  readonly recipe: string;
  readonly file: string;
  /** A whole file, or hunks of a diff without line numbers. */
  readonly content: string | readonly Hunk[];
}

interface Hunk {
  /** Lines that the file has, one after another, and those to be put below them. */
  readonly below: readonly string[];
  readonly added: readonly string[];
}

function changesOf(page: string): Change[] {
  return page
    .slice(page.indexOf('\n## How to add'))
    .split(/^### /m)
    .slice(1)
    .flatMap((section) => {
      const recipe = section.slice(0, section.indexOf('\n'));
      return [...section.matchAll(/^```(ts|diff)\n(?:\/\/|\+\+\+) (\S+)\n(.*?)^```$/gms)].map(
        ([, language, file, code]): Change => ({
          recipe,
          file: file!,
          content: language === 'ts' ? code! : code!.split('@@\n').map(hunkOf),
        }),
      );
    });
}

function hunkOf(text: string): Hunk {
  const lines = text.trimEnd().split('\n');
  const marked = (mark: string): string[] => lines.filter((line) => line.startsWith(mark)).map((line) => line.slice(1));
  return { below: marked(' '), added: marked('+') };
}

/** Does what a block says. */
function apply({ recipe, file, content }: Change, folder: string): void {
  const path = join(folder, file);
  if (typeof content === 'string') {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content, { flag: 'wx' });
    return;
  }
  const lines = readFileSync(path, 'utf8').split('\n');
  for (const { below, added } of content) {
    const places = lines.flatMap((_, at) => (below.every((line, i) => lines[at + i] === line) ? [at] : []));
    assert.equal(places.length, 1, `"${recipe}": ${file} has ${places.length} places with ${below.join('\n')}`);
    lines.splice(places[0]! + below.length, 0, ...added);
  }
  writeFileSync(path, lines.join('\n'));
}

/** Tests that new rows have to pass. */
const kept = ['architecture', 'augment/ops', 'techniques/index', 'techniques/values'];

/** A copy of what the build needs, without its other tests. */
function copyTree(folder: string): void {
  const tests = new Set(kept.map((name) => join(root, 'src', `${name}.test.ts`)));
  cpSync(join(root, 'src'), join(folder, 'src'), {
    recursive: true,
    filter: (path) => !path.endsWith('.test.ts') || tests.has(path),
  });
  for (const name of ['docs', 'scripts', 'package.json', 'prettier.config.js', 'tsconfig.json'])
    cpSync(join(root, name), join(folder, name), { recursive: true });
  for (const name of ['assets', 'fixtures', 'node_modules'])
    symlinkSync(join(root, name), join(folder, name), 'junction');
}

const changes = changesOf(readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8'));
const linesOf = ({ content }: Change): number =>
  typeof content === 'string'
    ? content.split('\n').length - 1
    : content.reduce((sum, { added }) => sum + added.length, 0);

test('every recipe is short: at most five files and 45 lines', () => {
  const recipes = [...new Set(changes.map(({ recipe }) => recipe))];
  assert.deepEqual(recipes, [
    'An option',
    'A technique',
    'An augmentation op',
    'A network',
    'An engine',
    'A section of the report',
    'A command',
  ]);
  for (const recipe of recipes) {
    const own = changes.filter((change) => change.recipe === recipe);
    const lines = own.reduce((sum, change) => sum + linesOf(change), 0);
    assert.ok(own.length <= 5 && lines <= 45, `${recipe}: ${own.length} files, ${lines} lines`);
  }
});

describe('a copy of the tree with every recipe applied', { timeout: 600_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'pupil-contributing-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** What a program prints that ends well. */
  function node(...words: readonly string[]): string {
    // As a child of this test it would report to it instead of running tests.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const { status, stdout, stderr } = spawnSync(process.execPath, words, { cwd: folder, encoding: 'utf8', env });
    assert.equal(status, 0, stdout + stderr);
    return stdout;
  }
  const load = <Module>(file: string): Promise<Module> =>
    import(pathToFileURL(join(folder, 'dist', file)).href) as Promise<Module>;

  const photo = join(folder, 'photo.png');
  let library: typeof import('./index.js');
  let runCommandLine: (typeof import('./cli/run.js'))['runCommandLine'];
  /** Of each digit three images to learn from, two without a label, and one to select on. */
  let digits: Dataset;

  /** What a command prints. */
  async function pupil(...words: readonly string[]): Promise<string> {
    let out = '',
      err = '';
    const terminal = {
      out: (text: string) => void (out += text),
      err: (text: string) => void (err += text),
      interactive: false,
      width: 100,
    };
    assert.equal(await runCommandLine(words, terminal), 0, err);
    return out;
  }

  /** A short training of the new network, on the new engine unless it is another. */
  const train = (name: string, options: object = {}): ReturnType<typeof library.train> =>
    library.train(digits, {
      mode: 'scratch',
      model: 'lenet5',
      epochs: 1,
      batchSize: 10,
      flip: false,
      preview: false,
      threads: 1,
      workers: 0,
      out: join(folder, 'runs', name),
      ...options,
    });

  before(async () => {
    copyTree(folder);
    for (const change of changes) apply(change, folder);
    node('node_modules/typescript/bin/tsc', '-p', '.', '--declaration', 'false', '--incremental', 'false');
    library = await load('index.js');
    ({ runCommandLine } = await load<typeof import('./cli/run.js')>('cli/run.js'));
    const { openDigits } = await load<typeof import('./data/digits.js')>('data/digits.js');
    const { withSamples } = await load<typeof import('./data/dataset.js')>('data/dataset.js');
    writeFileSync(photo, await noisePng(1));
    const all = await openDigits();
    const some = all.classes.flatMap((_, digit) => all.samples.filter(({ label }) => label === digit).slice(0, 6));
    digits = withSamples(
      all,
      some.map((sample, i) => ({ ...sample, split: i % 6 === 5 ? 'val' : 'train' })),
    );
  });

  test('the tests of the architecture and of the tables pass', () =>
    assert.match(node('scripts/test.js'), /imports go one direction[^]*op swapRedAndBlue[^]*fail 0/));

  test('the option is in help and in docs/options.md, and training follows it', async () => {
    assert.match(await pupil('train', '--help', '--all'), /--evaluate-every <epochs> +epochs from one measurement/);
    node('scripts/options.js');
    assert.match(
      readFileSync(join(folder, 'docs/options.md'), 'utf8'),
      /`evaluateEvery` .*epochs from one measurement/,
    );
    const { events } = await collect(train('option', { epochs: 3, evaluateEvery: 2 }));
    assert.deepEqual(
      events.flatMap((event) => (event.type === 'evaluation' ? [event.epoch] : [])),
      [2, 3],
    );
    await assert.rejects(async () => train('never', { evaluateEvery: 0 }), { code: 'usage', option: 'evaluateEvery' });
  });

  test('the technique trains, and an interrupted training goes on to the same bytes', async () => {
    const { entropyMinimisation } = await load<{ entropyMinimisation(options: object): object }>('techniques.js');
    const options = { technique: entropyMinimisation({ unlabelledWeight: 0.5 }), labelsPerClass: 3, batchSize: 5 };
    const { events, result: whole } = await collect(train('whole', options));
    assert.ok(events.filter(({ type }) => type === 'step').length > 2);
    const stopped = train('stopped', options);
    for await (const { type } of stopped) if (type === 'step') break;
    await assert.rejects(async () => stopped, { code: 'interrupted' });
    const resumed = await library.train(digits, { resume: join(folder, 'runs/stopped'), threads: 1, workers: 0 });
    assert.equal(await hashOf(resumed.model), await hashOf(whole.model));
  });

  test('the op is drawn by pupil augment', async () => {
    const sheet = join(folder, 'sheet.png');
    assert.match(await pupil('augment', photo, '--op', 'swap-red-and-blue', '--out', sheet), /sheet\.png/);
    assert.ok(existsSync(sheet));
  });

  test('the network is listed, with its size', async () => {
    const { models } = JSON.parse(await pupil('models', 'list', '--json')) as { models: readonly { name: string }[] };
    assert.ok(models.some(({ name }) => name === 'lenet5'));
  });

  test('the engine is offered, and computes what onnxruntime does', async () => {
    assert.match(await pupil('train', '--help', '--all'), /what computes: auto, .*plain/);
    const lossOn = async (engine: string): Promise<number> => {
      const { result, events } = await collect(train(engine, { engine }));
      const { ranOn } = JSON.parse(readFileSync(join(result.run, 'run.json'), 'utf8')) as RunConfig;
      assert.equal(ranOn?.name, engine);
      return Math.max(...events.flatMap((event) => (event.type === 'epoch' ? [event.loss] : [])));
    };
    const difference = Math.abs((await lossOn('plain')) - (await lossOn('ort')));
    assert.ok(difference < 1e-4, `losses differ by ${difference}`);
    assert.match(await pupil('predict', join(folder, 'runs/ort'), photo, '--engine', 'plain'), /photo\.png: \d/);
  });

  test('the report has the section', async () => {
    const text = readFileSync(join(folder, 'runs/whole/report.html'), 'utf8')
      .replace(/<[^>]*>/g, ' ')
      .replace(/\s+/g, ' ');
    assert.match(text, / Labels 0 3 1 3 2 3 /);
  });

  test('the command runs, and is in help', async () => {
    assert.match(await pupil('--help'), /count +Count the images of each class/);
    const photos = join(folder, 'photos');
    await writeTree(photos, { 'cat/1.png': 1, 'cat/2.png': 2, 'dog/3.png': 3 });
    assert.equal(await pupil('count', photos), 'cat  2\ndog  1\n');
  });
});
