import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** A file imports only from its own row and those above. */
const order = [
  [
    'arguments',
    'dispose',
    'drafts',
    'folders',
    'errors',
    'job',
    'nearest',
    'random',
    'safetensors',
    'safetensors-format',
    'tensor',
    'version',
  ],
  ['threads'],
  ['http'],
  ['graph'],
  ['onnx'],
  ['engine'],
  ['parallel'],
  ['image'],
  ['augment'],
  ['data'],
  ['models'],
  ['train'],
  ['options'],
  ['artifact'],
  ['evaluate'],
  ['report'],
  ['techniques'],
  ['web'],
  ['runs'],
  ['jobs'],
  ['studio'],
  ['serve'],
  ['cli'],
];
/**
 * Entry points of the package and files of the project's own tests: they may import anything,
 * nothing imports them.
 */
const entries = new Set(['augment.ts', 'data.ts', 'index.ts', 'techniques.ts', 'web.ts']);
const testing = new Set(['testing', 'architecture.test', 'library.test', 'package.test', 'readme.test']);
/** The only places that may import a package that we want to be able to replace. */
const singleImporters: Readonly<Record<string, (file: string) => boolean>> = {
  'pupil-onnxruntime': (file) => file.startsWith('engine/ort/'),
  'onnxruntime-web': (file) => file === 'web/runtime.ts',
  'koffi': (file) =>
    /^(engine\/onednn|parallel\/mpi)\//.test(file) ||
    ['engine/ort/telemetry.ts', 'threads/keep-loaded.ts'].includes(file),
  'sharp': (file) => file.startsWith('image/'),
  'libheif-js': (file) => file === 'image/heic.ts',
  '@resvg/resvg-js': (file) => file === 'report/raster.ts',
  '@observablehq/plot': (file) => file.startsWith('report/'),
  'hyparquet': (file) => /^(artifact|data\/parquet)\//.test(file),
  'hyparquet-writer': (file) => file.startsWith('artifact/'),
  'fflate': (file) => file === 'jobs/deploy/zip.ts',
  'commander': (file) => file.startsWith('cli/'),
  'hono': (file) => /^(studio|serve)\/|^http\/body-limit/.test(file),
  '@hono/node-server': (file) => /^(studio|serve)\//.test(file),
  'open': (file) => file.startsWith('studio/'),
};

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
  /** Loaded when a function runs. */
  readonly dynamic: boolean;
  readonly line: number;
}

const source = fileURLToPath(new URL('../src/', import.meta.url));
const files = readdirSync(source, { recursive: true })
  .map(String)
  .map((file) => file.split(sep).join('/'))
  .filter((file) => file.endsWith('.ts'));

function importsOf(file: string): Import[] {
  const text = readFileSync(join(source, file), 'utf8');
  const tree = ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
  const found: Import[] = [];
  const add = (node: ts.Node, specifier: ts.Node | undefined, typeOnly: boolean, dynamic = false): void => {
    if (specifier === undefined || !ts.isStringLiteral(specifier)) return;
    const to = specifier.text.startsWith('.')
      ? relative(source, join(source, dirname(file), specifier.text))
          .split(sep)
          .join('/')
          .replace(/\.js$/, '.ts')
      : specifier.text;
    const line = tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1;
    found.push({ from: file, to, typeOnly, dynamic, line });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      const clause = node.importClause;
      const named = clause?.namedBindings;
      const allTypes =
        clause?.phaseModifier === ts.SyntaxKind.TypeKeyword ||
        (named !== undefined &&
          ts.isNamedImports(named) &&
          clause?.name === undefined &&
          named.elements.length > 0 &&
          named.elements.every((element) => element.isTypeOnly));
      add(node, node.moduleSpecifier, allTypes);
    } else if (ts.isExportDeclaration(node)) add(node, node.moduleSpecifier, node.isTypeOnly);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      add(node, node.arguments[0], false, true);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node, node.argument.literal, true);
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

const imports = files.flatMap(importsOf);
const isTest = (file: string): boolean => /(^|\/)(testing\/|[^/]*\.test\.ts$)/.test(file);
const part = (file: string): string =>
  file.includes('/') ? file.slice(0, file.indexOf('/')) : file.replace(/\.ts$/, '');
const row = (file: string): number => order.findIndex((names) => names.includes(part(file)));
const show = ({ from, to, line }: Import): string => `src/${from}:${line} imports ${to}`;
const isOurs = ({ to }: Import): boolean => to.endsWith('.ts');

test('every file of src belongs to a known part', () => {
  const strays = files.filter(
    (file) => row(file) < 0 && !entries.has(file) && !testing.has(part(file)) && !isTest(file),
  );
  assert.deepEqual(strays, []);
});

test('imports go one direction', () => {
  const wrong = imports
    .filter((edge) => isOurs(edge) && !isTest(edge.from) && !entries.has(edge.from))
    .filter((edge) => row(edge.to) < 0 || row(edge.to) > row(edge.from));
  assert.deepEqual(wrong.map(show), []);
});

/** What a list of names, help or a form is made from; it loads nothing that decodes images or runs networks. */
const light = (file: string): boolean => /^(options\/[^.]+\.ts|techniques\/index\.ts|cli\/program\.ts)$/.test(file);
const heavy =
  /^(image|models|onnx|runs|jobs)\/|^data\/(pool|prepare|loader|worker)\.ts$|^engine\/(ort|onednn|reference|thread)\//;
/** Constants of a heavy folder that stand alone. */
const lightInside = new Set(['models/default-model.ts', 'engine/onednn/library/advice.ts']);

/** Files and packages that are loaded with a file, at once, and by which way. */
function loadedWith(roots: readonly string[]): { loaded: Map<string, string>; packages: Map<string, string> } {
  const loaded = new Map<string, string>();
  const packages = new Map<string, string>();
  const walk = (file: string, path: string): void => {
    if (loaded.has(file)) return;
    loaded.set(file, path);
    for (const edge of imports) {
      if (edge.from !== file || edge.typeOnly || edge.dynamic) continue;
      if (isOurs(edge)) walk(edge.to, `${path} -> ${edge.to}`);
      else if (!edge.to.startsWith('node:')) packages.set(edge.to, path);
    }
  };
  for (const file of roots) walk(file, file);
  return { loaded, packages };
}

test('the library loads what draws charts when it writes a report', () => {
  const { packages } = loadedWith(['index.ts']);
  assert.ok(packages.has('valibot'));
  for (const name of ['linkedom', '@observablehq/plot', '@resvg/resvg-js']) assert.equal(packages.get(name), undefined);
});

test('what is light loads no code that decodes images or runs networks', () => {
  const { loaded, packages } = loadedWith(files.filter(light));
  assert.deepEqual([...packages.keys()], ['commander']);
  assert.deepEqual(
    [...loaded].filter(([file]) => heavy.test(file) && !lightInside.has(file)).map(([, path]) => path),
    [],
  );
});

test('nothing but tests imports tests', () => {
  const wrong = imports.filter((edge) => isOurs(edge) && !isTest(edge.from) && isTest(edge.to));
  assert.deepEqual(wrong.map(show), []);
});

test('imported files exist', () => {
  const known = new Set(files);
  assert.deepEqual(imports.filter((edge) => isOurs(edge) && !known.has(edge.to)).map(show), []);
});

test('packages that we want to be able to replace have one importer', () => {
  const wrong = imports.filter(({ from, to }) => {
    const name = Object.keys(singleImporters).find((key) => to === key || to.startsWith(`${key}/`));
    return name !== undefined && !isTest(from) && !singleImporters[name]!(from);
  });
  assert.deepEqual(wrong.map(show), []);
});

test('packages that are imported are dependencies', () => {
  const manifest = JSON.parse(readFileSync(join(source, '../package.json'), 'utf8')) as Record<
    'dependencies' | 'devDependencies',
    Record<string, string>
  > & { peerDependencies?: Record<string, string>; optionalDependencies?: Record<string, string> };
  const run = new Set([
    ...Object.keys(manifest.dependencies),
    ...Object.keys(manifest.peerDependencies ?? {}),
    ...Object.keys(manifest.optionalDependencies ?? {}),
  ]);
  const develop = new Set([...run, ...Object.keys(manifest.devDependencies)]);
  const wrong = imports
    .filter((edge) => !isOurs(edge) && !edge.to.startsWith('node:') && !edge.to.startsWith('.'))
    .filter((edge) => {
      const name = edge.to
        .split('/')
        .slice(0, edge.to.startsWith('@') ? 2 : 1)
        .join('/');
      return !(isTest(edge.from) || edge.typeOnly ? develop : run).has(name);
    });
  assert.deepEqual(wrong.map(show), []);
});

/** Parts in which imports of types still go in circles: to be opened, then the list goes. */
const circular = new Set(['runs', 'cli']);

test('no import goes in a circle, not even one of types', () => {
  const edges = new Map<string, string[]>();
  for (const edge of imports)
    if (isOurs(edge) && !(edge.typeOnly && circular.has(part(edge.from))))
      edges.set(edge.from, [...(edges.get(edge.from) ?? []), edge.to]);
  const circles: string[] = [];
  const done = new Set<string>();
  const walk = (file: string, path: readonly string[]): void => {
    const start = path.indexOf(file);
    if (start >= 0) circles.push([...path.slice(start), file].join(' -> '));
    if (start >= 0 || done.has(file)) return;
    for (const next of edges.get(file) ?? []) walk(next, [...path, file]);
    done.add(file);
  };
  for (const file of files) walk(file, []);
  assert.deepEqual(circles, []);
});

test('files stay under 700 lines', () => {
  const long = files
    .filter((file) => !file.includes('generated'))
    .map((file) => ({ file, lines: readFileSync(join(source, file), 'utf8').split('\n').length - 1 }));
  assert.deepEqual(
    long.filter(({ lines }) => lines > 700),
    [],
  );
});

test('below cli/ no message speaks of flags: options have the names of the library', () => {
  const found: string[] = [];
  for (const file of files) {
    if (isTest(file) || file.startsWith('cli/') || mayNameFlags.has(file) || file.includes('generated')) continue;
    const tree = ts.createSourceFile(file, readFileSync(join(source, file), 'utf8'), ts.ScriptTarget.Latest);
    const visit = (node: ts.Node): void => {
      if (isText(node) && /(^|[^\w(-])--[a-z][a-z-]*(?![a-z-]*:)/.test(node.text))
        found.push(`src/${file}:${tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1}: ${node.text}`);
      ts.forEachChild(node, visit);
    };
    visit(tree);
  }
  assert.deepEqual(found, []);
});

/** What writes command lines, or flags of V8. */
const mayNameFlags = new Set(['options/command.ts', 'jobs/search/settings.ts', 'threads/garbage.ts']);

const isText = (node: ts.Node): node is ts.LiteralLikeNode =>
  ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddle(node) || ts.isTemplateTail(node);
