// Builds the studio's page: studio/ into dist/studio/page/, from where its server sends it. Does nothing
// where the last build was of the same files. Types are checked first.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
const output = join(root, 'dist/studio/page');
const record = join(root, 'dist/.page');

const sources = readdirSync(join(root, 'studio'), { recursive: true })
  .map((name) => join('studio', String(name)))
  .filter((name) => statSync(join(root, name)).isFile())
  .sort();
const hash = createHash('sha256');
for (const name of [...sources, 'src/studio/protocol.ts', 'package-lock.json', 'scripts/build-page.js'])
  if (existsSync(join(root, name))) hash.update(`${name}\0`).update(readFileSync(join(root, name)));
const now = hash.digest('hex');

const isBuilt = existsSync(join(output, 'index.html')) && existsSync(record) && readFileSync(record, 'utf8') === now;
if (!isBuilt) {
  // stdout is npm's own: it may be asked for JSON.
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const checked = spawnSync(process.execPath, [compiler, '-p', join(root, 'studio')], { stdio: ['ignore', 2, 2] });
  if (checked.status !== 0) process.exit(1);
  const { build } = await import('vite');
  await build({
    root: join(root, 'studio'),
    configFile: false,
    logLevel: 'error',
    base: './',
    build: { outDir: output, emptyOutDir: true, target: 'es2022', assetsInlineLimit: 0, modulePreload: false },
  });
  writeFileSync(record, now);
}
