// Writes offline.js of a page that was built: the service worker web-page/offline.js with the page's files in front.
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const worker = fileURLToPath(new URL('../web-page/offline.js', import.meta.url));

/** `later`: files that will stand beside those that are there. */
export function writeOffline(folder, later = []) {
  const found = readdirSync(folder, { recursive: true })
    .map(String)
    .filter((name) => statSync(join(folder, name)).isFile() && name !== 'offline.js')
    .map((name) => name.replaceAll('\\', '/'))
    .sort();
  const files = JSON.stringify(['./', ...found, ...later]);
  writeFileSync(join(folder, 'offline.js'), `globalThis.files = ${files};\n${readFileSync(worker, 'utf8')}`);
}
