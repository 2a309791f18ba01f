import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, sep } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { encodePng } from './image/decode.js';
import { imageOf } from './image/image.js';
import { skipWithoutChromium } from './testing/browser.js';
import { goTo, visit } from './testing/studio-page.js';
import { startProgram } from './testing/studio-program.js';

const root = fileURLToPath(new URL('../', import.meta.url));
const built = existsSync(join(root, 'dist/cli/main.js')) && existsSync(join(root, 'dist/index.js'));
const skip = built ? false : 'needs npm run build';

test('publint finds nothing wrong with the package', { skip }, async () => {
  const { messages, pkg } = await publint({ pkgDir: root, level: 'suggestion', pack: 'npm' });
  assert.deepEqual(
    messages.map((message) => formatMessage(message, pkg)),
    [],
  );
});

/** A clone of the repository with what is not committed yet: nothing that git ignores, so no dist. */
function clone(folder: string): void {
  if (!existsSync(join(root, '.git'))) {
    const left = new Set(['node_modules', 'dist', 'runs'].map((name) => join(root, name)));
    cpSync(root, folder, { recursive: true, filter: (file) => !left.has(file) });
    return;
  }
  const git = (...argv: string[]): string =>
    execFileSync('git', ['-c', 'safe.directory=*', ...argv], { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 });
  const list = (...argv: string[]): string[] =>
    git('ls-files', '-z', ...argv)
      .split('\0')
      .filter(Boolean);
  git('clone', '--quiet', root, folder);
  const deleted = new Set(list('--deleted'));
  for (const file of deleted) rmSync(join(folder, file), { force: true });
  for (const file of list('--modified', '--others', '--exclude-standard').filter((name) => !deleted.has(name))) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    cpSync(join(root, file), join(folder, file), { recursive: true });
  }
}

const onWindows = process.platform === 'win32';
/** Of a user who knows of no setting, where nothing outside can be reached by the script of onnxruntime-node. */
const environment = (): NodeJS.ProcessEnv => {
  // What `npm test` says of its own package would make scripts take the project for a clone.
  const ours = /onnxruntime_node_install|^npm_(package_|lifecycle_|config_local_prefix)/i;
  const kept = Object.entries(process.env).filter(([name]) => !ours.test(name));
  return {
    ...Object.fromEntries(kept),
    npm_config_loglevel: 'error',
    npm_config_ignore_scripts: 'false',
    GLOBAL_AGENT_HTTPS_PROXY: 'http://127.0.0.1:9',
  };
};
const run = (where: string, command: string, ...argv: string[]) =>
  spawnSync(command, argv, { cwd: where, encoding: 'utf8', shell: onWindows, env: environment() });
const npm = (where: string, ...argv: string[]): string => {
  const { status, stdout, stderr } = run(where, 'npm', ...argv);
  if (status !== 0) throw new Error(`npm ${argv[0]}: ${stderr}`);
  return stdout;
};

/** A program that uses every door of the package. */
const consumer = `
import { loadModel, train, type Classifier, type Picture, type TrainEvent, type TrainOptions } from 'pupil';
import { cutMix, randAugment } from 'pupil/augment';
import { openDataset, type Dataset } from 'pupil/data';
import { fixMatch } from 'pupil/techniques';
import { loadModel as loadWebModel, type Picture as WebPicture } from 'pupil/web';

export async function main(options: TrainOptions): Promise<string> {
  const data: Dataset = await openDataset('photos');
  const technique = fixMatch({ unlabelled: 'camera', threshold: 0.9 });
  const run = train(data, { ...options, technique, augment: [randAugment({ n: 2, m: 9 }), cutMix()] });
  const events: TrainEvent[] = [];
  for await (const event of run) events.push(event);
  const { val, model } = await run;
  await using classifier: Classifier<Picture> = await loadModel(model);
  const { label } = await classifier.predict('photo.jpg');
  const [first] = await classifier.predict(['photo.jpg'], { views: 10 });
  return first === undefined || (val?.top1 ?? 0) < 0.5 ? label : first.label;
}
export const inBrowser = async (picture: WebPicture): Promise<number> =>
  (await (await loadWebModel('/model.onnx')).predict(picture)).confidence;
`;

describe('a package of a clone, installed in an empty folder', { skip }, () => {
  let folder = '';
  let project = '';
  let unreachable: string | undefined;
  const pupil = (...argv: string[]) => run(project, 'npx', 'pupil', ...argv);
  const installed = (name: string): string => join(project, 'node_modules', name);
  /** A test that needs what npm downloads, which only a machine of CI must reach. */
  const tested = (name: string, body: (t: TestContext) => void | Promise<void>): void => {
    test(name, { timeout: 600_000 }, async (t: TestContext) => {
      if (unreachable === undefined) await body(t);
      else t.skip(`needs the network: ${unreachable}`);
    });
  };

  before(
    () => {
      folder = mkdtempSync(join(tmpdir(), 'pupil-package-'));
      clone(join(folder, 'clone'));
      // What is packed was built by the same script, which would make the same again in a minute.
      cpSync(join(root, 'dist'), join(folder, 'clone/dist'), { recursive: true });
      symlinkSync(join(root, 'node_modules'), join(folder, 'clone/node_modules'), 'junction');
      npm(join(folder, 'clone'), 'pack', '--pack-destination', folder);
      const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'))!;
      assert.ok(statSync(join(folder, tarball)).size < 11e6, 'the package is larger than 11 MB');
      project = join(folder, 'project');
      mkdirSync(project);
      writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
      try {
        npm(project, 'install', '--prefer-offline', '--no-audit', '--no-fund', join(folder, tarball));
      } catch (error) {
        unreachable = /npm error code (E[A-Z_]+)/.exec(String(error))?.[1];
        if (process.env.CI !== undefined || !/^E(NOTFOUND|AI_AGAIN|CONN|TIMEDOUT|NOTCACHED)/.test(unreachable ?? ''))
          throw error;
      }
    },
    { timeout: 600_000 },
  );
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('is what npm publish would send', { timeout: 600_000 }, () => {
    const sent = npm(join(folder, 'clone'), 'publish', '--dry-run', '--json');
    for (const file of ['dist/index.js', 'dist/cli/main.js', 'docs/installing.md'])
      assert.ok(sent.includes(`"${file}"`), `${file} is missing`);
  });

  tested('holds what it needs and no more', () => {
    const held = readdirSync(installed('pupil'), { recursive: true }).map((file) => String(file).split(sep).join('/'));
    for (const file of [
      'dist/index.js',
      'dist/index.d.ts',
      'dist/web.js',
      'dist/web.d.ts',
      'dist/studio/page/index.html',
      'dist/runtime/ort-wasm-simd-threaded.wasm.br',
      'dist/runtime/ort-wasm-simd-threaded.asyncify.wasm.br',
      'assets/digits/images.idx3-ubyte.gz',
      'docs/installing.md',
      'README.md',
      'LICENSE',
      'CHANGELOG.md',
    ]) {
      assert.ok(held.includes(file), `${file} is missing`);
    }
    assert.deepEqual(
      held.filter((file) => /\.test\.|tsbuildinfo|\.skipped|^src|\.png$/.test(file)),
      [],
    );
    for (const name of ['mnist', 'binaryen', 'pupil-without-cuda', 'typescript', 'vite', 'preact'])
      assert.equal(existsSync(installed(name)), false, name);
  });

  tested('has no link in its pages that leads nowhere', () => {
    const broken: string[] = [];
    const pages = readdirSync(installed('pupil'), { recursive: true })
      .map(String)
      .filter((file) => file.endsWith('.md'));
    for (const page of pages) {
      // Pictures are left out of the package; what they show is said in words.
      const text = readFileSync(join(installed('pupil'), page), 'utf8')
        .replace(/^```.*?^```$|`[^`]*`/gms, '')
        .replace(/!\[[^\]]+\]\([^)]*\)/g, '');
      for (const [, inline, reference] of text.matchAll(/\]\(\s*<?([^\s)>]+)|^\[[^\]]+\]:\s*<?([^\s>]+)/gm)) {
        const [file] = (inline ?? reference)!.split(/[?#]/);
        if (file === '' || /^[a-z][a-z+.-]*:/i.test(file!)) continue;
        if (!existsSync(join(installed('pupil'), dirname(page), decodeURIComponent(file!))))
          broken.push(`${page}: ${file!}`);
      }
    }
    assert.ok(pages.includes('README.md') && pages.includes(join('docs', 'architecture.md')), pages.join(' '));
    assert.deepEqual(broken, [], 'link to what is in the package ("files" in package.json) or give an URL');
  });

  tested('needs no download of CUDA', () => {
    const download = () => run(installed('pupil-onnxruntime'), process.execPath, 'script/install.js');
    const placed = run(installed('pupil'), process.execPath, 'scripts/without-cuda/preinstall.js');
    assert.deepEqual([placed.status, placed.stderr], [0, '']);
    assert.equal(download().status, 0);
    // As on a machine where no script ran at all; with the next tests nothing is left that a script wrote.
    const libraries = join(installed('pupil-onnxruntime'), 'bin/napi-v6', process.platform, process.arch);
    const placeholders = readdirSync(libraries).filter((file) => file.includes('_providers_'));
    for (const file of placeholders) rmSync(join(libraries, file));
    // Where there were any, it is they that did it.
    if (placeholders.length > 0) assert.notEqual(download().status, 0);
    else assert.notEqual(`${process.platform} ${process.arch}`, 'linux x64');
  });

  tested('runs the command line', () => {
    const help = pupil('--help');
    assert.equal(help.status, 0, help.stderr);
    assert.match(help.stdout, /Usage: pupil <command>/);
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    assert.equal(pupil('--version').stdout.trim(), version);
    assert.equal(pupil('nonsense').status, 2);
  });

  tested('trains, predicts and labels', async () => {
    // From labels alone: what else the demo tries takes minutes, and needs nothing further of a package.
    const demo = pupil('demo', '--rungs', 'supervised', '--epochs', '1', '--folds', '0', '--json', '--out', 'run');
    assert.equal(demo.status, 0, demo.stderr);
    const result = JSON.parse(demo.stdout) as { run: string; model: string };
    assert.ok(existsSync(result.model) && existsSync(join(result.run, 'report.html')), demo.stdout);
    mkdirSync(join(project, 'photos'));
    const digit = join(project, 'photos/digit.png');
    writeFileSync(digit, await encodePng(imageOf(28, 28, new Uint8Array(28 * 28 * 3).fill(99))));
    const predicted = pupil('predict', 'run', digit, '--json');
    assert.equal(predicted.status, 0, predicted.stderr);
    assert.match(predicted.stdout, /"label":"\d"/);
    const told = ['--threshold', '0', '--out', 'labels.parquet'];
    const labelled = pupil('pseudo-label', 'photos', '--model', 'run', ...told, '--json');
    assert.equal(labelled.status, 0, labelled.stderr);
    assert.ok(existsSync(join(project, 'labels.parquet')), labelled.stdout);
  });

  // Below the last test's run and its picture of a digit.
  tested('serves the studio with all that its page and models in the page need', async (t) => {
    const place = { program: join(installed('pupil'), 'dist/cli/main.js'), cwd: project, env: environment() };
    const studio = await startProgram(t, ['studio', 'photos'], place);
    const images = await studio.window.get<{ path: string }[]>('/api/images');
    assert.deepEqual(
      images.map(({ path }) => path),
      ['digit.png'],
    );
    const asked = new Set<string>();
    /** Fetches a file of the page, and those that it names. */
    const fetched = async (address: string): Promise<void> => {
      if (asked.has(address)) return;
      asked.add(address);
      const { status, bytes } = await studio.window.getBytes(address);
      assert.equal(status, 200, address);
      if (/\.(wasm|ttf)$/.test(address)) return assert.ok(bytes.length > 10_000, address);
      const named = Buffer.from(bytes)
        .toString()
        .matchAll(/(?:\/?(?:assets|ort|fonts)\/[\w.-]+|\bworker-[\w-]+)\.(?:js|mjs|css|ttf)\b/g);
      for (const [file] of named) await fetched(new URL(file, new URL(address, 'http://studio')).pathname);
    };
    await fetched('/');
    for (const build of ['', '.asyncify'])
      for (const file of ['mjs', 'wasm']) await fetched(`/ort/ort-wasm-simd-threaded${build}.${file}`);
    const built = readdirSync(join(installed('pupil'), 'dist/studio/page/assets')).map((name) => `/assets/${name}`);
    assert.ok(built.length > 3);
    for (const file of [...built, '/ort/ort.wasm.min.mjs', '/fonts/pt-sans-400.ttf'])
      assert.ok(asked.has(file), `${file}: ${[...asked].join(' ')}`);
    await studio.kill();

    if (skipWithoutChromium !== false) return t.diagnostic(`models in the page: ${skipWithoutChromium}`);
    const { address } = await startProgram(t, ['try', 'run'], place);
    const page = await visit(t, address);
    await goTo(page, 'Try');
    await page.getByLabel('Choose images').setInputFiles(join(project, 'photos/digit.png'));
    await page.getByRole('article', { name: 'digit.png' }).locator('.verdict').waitFor();
    await page.getByText('The model runs in this browser').waitFor();
  });

  for (const [module, resolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ] as const) {
    tested(`has types that a strict project accepts, found as ${resolution} finds them`, () => {
      writeFileSync(join(project, 'consumer.ts'), consumer);
      const switches = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess'];
      const values = {
        skipLibCheck: 'false',
        skipDefaultLibCheck: 'true',
        module,
        moduleResolution: resolution,
        target: 'es2022',
        types: 'node',
        typeRoots: join(root, 'node_modules/@types'),
      };
      const all = [...switches, ...Object.entries(values).flatMap(([name, value]) => [`--${name}`, value])];
      const tsc = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), ...all, 'consumer.ts'], {
        cwd: project,
        encoding: 'utf8',
      });
      assert.equal(tsc.status, 0, tsc.stdout);
    });
  }
});
