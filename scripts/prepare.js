// What npm runs as `prepack` and `prepare`: whatever is packed holds a fresh dist. `prepack` is for
// `npm pack` and `npm publish`; a clone that was not installed yet is installed first. A git
// repository that is somebody's dependency is packed by `prepare` alone, which npm also runs after
// `npm ci` in a clone: nothing is packed then, so nothing is built.
import { execFileSync, execSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
const { npm_lifecycle_event: event, npm_command: command, INIT_CWD: startedIn = root } = process.env;
const isBuilt = event === 'prepare' && (command === 'pack' || command === 'publish');
const isInstalled = event === 'prepare' && resolve(startedIn) === resolve(root);

if (!isBuilt && !isInstalled) {
  // stdout is npm's own: it may be asked for JSON.
  const options = { cwd: root, stdio: ['ignore', 2, 2] };
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  if (!existsSync(compiler)) {
    console.error('pupil: installing what the build needs');
    execSync('npm ci --no-audit --no-fund --include=dev --dry-run=false --global=false', options);
  }
  const output = join(root, 'dist');
  const filesOf = (folder) => readdirSync(folder, { recursive: true }).map(String);
  const stems = filesOf(join(root, 'src'))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(output, file.slice(0, -'.ts'.length)));
  // The compiler does not see that files of its last build are gone, nor that their sources are.
  const isWhole = stems.every((stem) => existsSync(`${stem}.js`) && existsSync(`${stem}.d.ts`));
  if (!isWhole) rmSync(join(output, '.tsbuildinfo'), { force: true });
  execFileSync(process.execPath, [join(root, 'scripts/build.js')], options);
  const pages = ['studio/page/', 'web-page/'].map((page) => join(output, page));
  for (const file of filesOf(output).map((name) => join(output, name)))
    if (
      /\.(d\.ts|js)$/.test(file) &&
      !pages.some((page) => file.startsWith(page)) &&
      !stems.includes(file.replace(/\.(d\.ts|js)$/, ''))
    )
      rmSync(file);
}
