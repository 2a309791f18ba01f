// Builds web-demo/, the page that trains in its visitor's browser, into build/web/: any web host can serve it.
// Takes a build of the project. `--out DIR` names another folder.
import { spawnSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'vite';
import { writeOffline } from './offline.js';

const root = fileURLToPath(new URL('../', import.meta.url));
const { values } = parseArgs({ options: { out: { type: 'string', default: join(root, 'build/web') } } });
const outDir = resolve(values.out),
  page = join(root, 'web-demo');

const compiler = join(root, 'node_modules/typescript/bin/tsc');
const checked = spawnSync(process.execPath, [compiler, '-p', page], { stdio: 'inherit' });
if (checked.status !== 0) process.exit(1);

/** onnxruntime-web stays as it is published, beside the scripts. */
const runtime = {
  external: ['onnxruntime-web/wasm'],
  output: { paths: { 'onnxruntime-web/wasm': './ort.wasm.min.mjs' } },
};
await build({
  root: page,
  configFile: false,
  logLevel: 'warn',
  base: './',
  worker: { format: 'es', rolldownOptions: runtime },
  build: {
    outDir,
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: false,
    rolldownOptions: runtime,
  },
});
for (const name of ['ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm'])
  copyFileSync(join(root, 'node_modules/onnxruntime-web/dist', name), join(outDir, 'assets', name));
writeOffline(outDir);
console.log(`${outDir}: put it on any web host; to look at it here: npx serve ${JSON.stringify(outDir)}`);
