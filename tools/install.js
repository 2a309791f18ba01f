// Compilers and data that only `npm run generate` and pack-digits.js take, hundreds of megabytes:
// they are installed in this folder when one of those is run, not with the project.
import { execSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const changed = (name) => statSync(new URL(name, import.meta.url), { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Makes this folder's node_modules what package-lock.json says. */
export function install() {
  if (changed('node_modules/.package-lock.json') > changed('package-lock.json')) return;
  execSync('npm ci --no-audit --no-fund', { cwd: fileURLToPath(new URL('.', import.meta.url)), stdio: 'inherit' });
}
