import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { createProgram } from './cli/program.js';
import { meanInterval } from './evaluate/metrics.js';

/** The project's pages: their links resolve, their commands are understood, their numbers are measured. */

const root = fileURLToPath(new URL('../', import.meta.url));
const passedOver = new Set(['node_modules', 'dist', 'runs', 'coverage', 'api']);

function pagesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name.startsWith('.') || passedOver.has(entry.name)) return [];
    const path = join(folder, entry.name);
    return entry.isDirectory() ? pagesBelow(path) : entry.name.endsWith('.md') ? [path] : [];
  });
}

const pages = pagesBelow(root).map((path) => ({
  path,
  name: relative(root, path).split(sep).join('/'),
  text: readFileSync(path, 'utf8'),
}));
const fences = /^```(\w*)\n(.*?)^```$/gms;
const withoutCode = (text: string): string => text.replace(fences, '').replace(/`[^`]*`/g, '');

/** The anchors that GitHub makes: of headings, and of elements with an id. */
function anchorsOf(text: string): ReadonlySet<string> {
  const anchors = new Set([...text.matchAll(/<a (?:id|name)="([^"]+)"/g)].map((match) => match[1]!));
  for (const [, heading] of text.replace(fences, '').matchAll(/^#{1,6} (.+)$/gm)) {
    const slug = heading!
      .replace(/<[^>]*>/g, '')
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .trim()
      .replaceAll(' ', '-');
    let unique = slug;
    for (let i = 1; anchors.has(unique); i++) unique = `${slug}-${i}`;
    anchors.add(unique);
  }
  return anchors;
}

test('relative links and pictures of all pages are there, with their anchors', () => {
  const broken: string[] = [];
  for (const page of pages) {
    for (const [, link, picture] of withoutCode(page.text).matchAll(/\]\(([^()\s]+)\)|<img src="([^"]+)"/g)) {
      const target = link ?? picture;
      if (/^[a-z]+:/i.test(target!)) continue;
      const [file, anchor] = target!.split('#');
      const path = file === '' ? page.path : resolve(dirname(page.path), decodeURIComponent(file!));
      if (!existsSync(path)) broken.push(`${page.name}: no ${target}`);
      else if (anchor !== undefined && !anchorsOf(readFileSync(path, 'utf8')).has(anchor))
        broken.push(`${page.name}: no heading #${anchor} in ${relative(root, path)}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('the pictures of the documentation are small', () => {
  const large = ['docs/images', 'docs/studio'].flatMap((folder) =>
    readdirSync(join(root, folder)).filter((name) => statSync(join(root, folder, name)).size > 200_000),
  );
  assert.deepEqual(large, []);
});

test('docs/README.md names every page of docs/', () => {
  const index = readFileSync(join(root, 'docs/README.md'), 'utf8');
  const missing = pages
    .map(({ name }) => name)
    .filter((name) => /^docs\/[^/]+\.md$/.test(name) && name !== 'docs/README.md')
    .filter((name) => !index.includes(`](${name.slice('docs/'.length)})`));
  assert.deepEqual(missing, []);
});

test('the files that docs/architecture.md names are there', () => {
  const text = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
  const named = [...text.matchAll(/`((?:[a-z-]+\/)+[a-z-]*(?:\.ts)?)`/g)].map((match) => match[1]!);
  assert.ok(named.length > 20);
  // Some are named below a folder that stands before them.
  const known = (path: string): boolean =>
    ['', 'src', 'src/engine', 'src/graph', 'src/models', 'src/engine/ort'].some((folder) =>
      existsSync(join(root, folder, path)),
    );
  assert.deepEqual(
    named.filter((path) => !path.startsWith('pupil/') && !known(path)),
    [],
  );
});

test("the README's accuracies are those of results/measurements.json", () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const measured = JSON.parse(readFileSync(join(root, 'results/measurements.json'), 'utf8')) as Readonly<
    Record<string, { readonly seeds: Readonly<Record<string, { readonly top1: number }>> }>
  >;
  const shown = [...readme.matchAll(/\[([\d.]+)% ± ([\d.]+)\]\(results\/README\.md#([\w-]+)\)/g)];
  assert.ok(shown.length >= 5);
  for (const [, accuracy, interval, row] of shown) {
    const { mean, interval: width } = meanInterval(Object.values(measured[row!]!.seeds).map(({ top1 }) => top1));
    assert.ok(Math.abs(100 * mean - Number(accuracy)) <= 0.0501, `${row}: ${mean}`);
    assert.ok(Math.abs(100 * width - Number(interval)) <= 0.0501, `${row}: ± ${width}`);
  }
});

test('what the pages import from pupil is exported', async () => {
  const doors: Readonly<Record<string, object>> = {
    'pupil': await import('./index.js'),
    'pupil/augment': await import('./augment.js'),
    'pupil/data': await import('./data.js'),
    'pupil/techniques': await import('./techniques.js'),
    'pupil/web': { loadModel: true, serveTraining: true, train: true }, // needs a browser
  };
  const missing: string[] = [];
  let count = 0;
  for (const { name, text } of pages) {
    for (const [, names, door] of text.matchAll(/^import \{([^}]*)\} from '(pupil[^']*)';$/gm)) {
      const exported = new Set(Object.keys(doors[door!] ?? {}));
      for (const item of names!.split(',').map((part) => part.trim())) {
        count++;
        if (item !== '' && !exported.has(item)) missing.push(`${name}: ${item}`);
      }
    }
  }
  assert.deepEqual(missing, []);
  assert.ok(count > 5);
});

/** The words of a line of a shell; comments and quotation marks are taken off. */
const wordsOf = (line: string): string[] =>
  [...line.replace(/(^|\s)#.*$/, '').matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, plain]) => double ?? single ?? plain!,
  );

/** `pupil ...` lines of blocks of code, and what stands as `pupil ... --option` in the text. */
function commandsOf(text: string): string[] {
  const lines = [...text.matchAll(fences)]
    .filter(([, language]) => language === 'sh')
    .flatMap(([, , code]) => code!.replaceAll('\\\n', ' ').split('\n'));
  const inline = [...text.replace(fences, '').matchAll(/`(pupil [^`]*--[^`]*)`/g)].map((match) =>
    match[1]!.replace(/\s+/g, ' '),
  );
  return [...lines, ...inline]
    .map((line) => line.trim().replace(/^npx /, ''))
    .filter((line) => line.startsWith('pupil ') && !line.includes('...'));
}

/** Parses without running anything. */
async function parse(words: readonly string[]): Promise<void> {
  const silent = { out: () => undefined, err: () => undefined, width: 100 };
  const { commander: program } = createProgram(silent as unknown as Parameters<typeof createProgram>[0], '0.0.0');
  const still = (command: Command): void => {
    command.action(() => undefined);
    command.commands.forEach(still);
  };
  program.commands.forEach(still);
  await program.parseAsync([...words], { from: 'user' });
}

test('the command line understands every command that the pages show', async () => {
  const wrong: string[] = [];
  let count = 0;
  for (const { name, text } of pages) {
    for (const line of commandsOf(text)) {
      count++;
      const words = wordsOf(line).slice(1);
      if (words.includes('--help') || words.includes('--version')) continue;
      try {
        await parse(words);
      } catch (error) {
        wrong.push(`${name}: ${line}\n  ${(error as Error).message}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(count > 50, `${count} commands`);
});
