// Makes dist/, where files have changed since: of src/; of studio/, whose types are checked first, in
// dist/studio/page/, from where its server sends it; of web-page/ with `pupil/web` and onnxruntime-web in
// dist/web-page/, from where `pupil export --web` copies it; and what they run models on, two builds of
// onnxruntime-web, in dist/runtime/.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';
import { writeOffline } from './offline.js';

const root = fileURLToPath(new URL('../', import.meta.url));
const files = (folder) =>
  readdirSync(join(root, folder), { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((name) => statSync(join(root, name)).isFile())
    .sort();
const withoutTests = (names) => names.filter((name) => !name.endsWith('.test.ts'));

/** A digest of the names and contents of those files that exist. */
function digestOf(names) {
  const hash = createHash('sha256');
  for (const name of names)
    if (existsSync(join(root, name))) hash.update(`${name}\0`).update(readFileSync(join(root, name)));
  return hash.digest('hex');
}

/** Compiles a project, or ends this process. */
function compile(project) {
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  // stdout is npm's own: it may be asked for JSON.
  const { status } = spawnSync(process.execPath, [compiler, '-p', join(root, project)], { stdio: ['ignore', 2, 2] });
  if (status !== 0) process.exit(1);
}

// The compiler's own record is among them: it may have run without this script. It takes seconds to find that nothing
// has changed, and checks everything again in a copy of the folder whose node_modules is a link.
const compiled = [...files('src'), 'tsconfig.json', 'package-lock.json', 'dist/.tsbuildinfo'];
const compiledRecord = join(root, 'dist/.src');
if (!existsSync(compiledRecord) || readFileSync(compiledRecord, 'utf8') !== digestOf(compiled)) {
  compile('tsconfig.json');
  writeFileSync(compiledRecord, digestOf(compiled));
}

/** Runs `make` unless the last one was of the same files. */
async function whereChanged(output, sources, make) {
  const record = join(root, 'dist', `.${output.replaceAll('/', '-')}`);
  const common = ['assets/colours.css', 'package-lock.json', 'scripts/build.js', 'scripts/offline.js'];
  const now = digestOf([...sources, ...common]),
    folder = join(root, 'dist', output);
  const isBuilt = existsSync(folder) && existsSync(record) && readFileSync(record, 'utf8') === now;
  if (isBuilt) return;
  await make(folder);
  writeFileSync(record, now);
}

const wasmBuild = ['ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm'],
  gpuBuild = ['ort.webgpu.min.mjs', 'ort-wasm-simd-threaded.asyncify.mjs', 'ort-wasm-simd-threaded.asyncify.wasm'];

await whereChanged('runtime', [], (outDir) => {
  rmSync(outDir, { recursive: true, force: true });
  mkdirSync(outDir, { recursive: true });
  for (const name of [...wasmBuild, ...gpuBuild]) {
    const bytes = readFileSync(join(root, 'node_modules/onnxruntime-web/dist', name));
    const isLarge = name.endsWith('.wasm');
    writeFileSync(join(outDir, isLarge ? `${name}.br` : name), isLarge ? compress(bytes) : bytes);
  }
});

/** Better than what npm does to packages: a quarter smaller. */
function compress(bytes) {
  const { BROTLI_PARAM_QUALITY: quality, BROTLI_PARAM_LGWIN: window, BROTLI_PARAM_SIZE_HINT: hint } = constants;
  return brotliCompressSync(bytes, { params: { [quality]: 9, [window]: 24, [hint]: bytes.length } });
}

await whereChanged('studio/page', withoutTests([...files('studio'), ...files('src')]), async (outDir) => {
  compile('studio');
  const { build } = await import('vite');
  await build({
    root: join(root, 'studio'),
    configFile: false,
    logLevel: 'error',
    base: './',
    worker: {
      format: 'es',
      rolldownOptions: {
        external: ['onnxruntime-web/wasm'],
        output: { paths: { 'onnxruntime-web/wasm': '/ort/ort.wasm.min.mjs' } },
      },
    },
    build: { outDir, emptyOutDir: true, target: 'es2022', assetsInlineLimit: 0, modulePreload: false },
  });
});

await whereChanged('web-page', withoutTests([...files('web-page'), ...files('src')]), async (outDir) => {
  rmSync(outDir, { recursive: true, force: true });
  const { build } = await import('vite');
  await build({
    root: join(root, 'web-page'),
    configFile: false,
    logLevel: 'error',
    build: {
      outDir,
      lib: { entry: 'pupil.js', formats: ['es'], fileName: 'pupil' },
      rolldownOptions: {
        external: ['onnxruntime-web/wasm'],
        output: { paths: { 'onnxruntime-web/wasm': './ort.wasm.min.mjs' } },
      },
    },
  });
  cpSync(join(root, 'web-page'), outDir, { recursive: true, filter: (path) => !path.endsWith('pupil.js') });
  const styles = ['assets/colours.css', 'web-page/style.css'].map((name) => readFileSync(join(root, name), 'utf8'));
  writeFileSync(join(outDir, 'style.css'), styles.join('\n'));
  writeOffline(outDir, ['about.json', 'model.onnx', ...wasmBuild]);
});
