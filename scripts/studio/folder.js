// Folders of images without labels for scripts that play a person at the studio: photos of a set side by
// side, in an order that says nothing, and what each of them shows. Kept in .cache, with their features.
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Random } from '../../dist/random.js';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const shared = process.env.PUPIL_SHARED ?? join(root, '..', 'shared');

/** `{ folder, truth }`: `count` training images of a set (by a seed), and the class of each file. */
export function unlabelled(set, count, seed = 0) {
  const folder = join(root, '.cache', 'results', 'studio', `${set}-${count}-${seed}`);
  const list = join(folder, '.pupil', 'truth.json');
  if (!existsSync(list)) {
    const from = join(shared, 'data', set, 'train');
    const all = readdirSync(from).flatMap((name) => readdirSync(join(from, name)).map((file) => ({ name, file })));
    mkdirSync(join(folder, '.pupil'), { recursive: true });
    const chosen = new Random(seed, 'unlabelled').shuffle(all.sort((a, b) => (a.file < b.file ? -1 : 1)));
    const truth = {};
    chosen.slice(0, count).forEach(({ name, file }, i) => {
      const to = `${String(i).padStart(5, '0')}.jpg`;
      copyFileSync(join(from, name, file), join(folder, to));
      truth[to] = name;
    });
    writeFileSync(list, JSON.stringify(truth));
  }
  return { folder, truth: JSON.parse(readFileSync(list, 'utf8')) };
}

/** Forgets labels, not features. */
export function withoutLabels(folder) {
  for (const name of ['labels.csv', '.pupil/history.jsonl', '.pupil/classes.json', '.pupil/decisions.jsonl'])
    rmSync(join(folder, name), { force: true });
  for (const name of ['.pupil/runs', '.pupil/data']) rmSync(join(folder, name), { recursive: true, force: true });
}
