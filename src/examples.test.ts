import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, sep } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('../', import.meta.url));
const source = join(root, 'src');
const files = readdirSync(source, { recursive: true })
  .map(String)
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && !file.includes('generated'))
  .map((file) => file.split(sep).join('/'));

interface Example {
  /** Where it stands: `src/web.ts:30`. */
  readonly where: string;
  readonly file: string;
  readonly code: string;
}

/** The code after every `@example` of a file. */
function examplesOf(file: string): Example[] {
  const tree = ts.createSourceFile(file, readFileSync(join(source, file), 'utf8'), ts.ScriptTarget.Latest, true);
  const found: Example[] = [];
  const visit = (node: ts.Node): void => {
    for (const doc of ts.getJSDocCommentsAndTags(node)) {
      for (const tag of ts.isJSDoc(doc) ? (doc.tags ?? []) : []) {
        if (tag.tagName.text !== 'example') continue;
        const code = ts.getTextOfJSDocComment(tag.comment) ?? '';
        const line = tree.getLineAndCharacterOfPosition(tag.getStart(tree)).line + 1;
        found.push({ where: `src/${file}:${line}`, file, code: code.replace(/^```\w*\n|\n?```$/g, '') });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

/** What the package exports, by door; an example may use any of it without saying where it comes from. */
const doors = { 'pupil': 'index', 'pupil/augment': 'augment', 'pupil/techniques': 'techniques', 'pupil/data': 'data' };

const namesOf = (program: ts.Program, path: string): readonly string[] => {
  const checker = program.getTypeChecker();
  const symbol = checker.getSymbolAtLocation(program.getSourceFile(path)!);
  return symbol ? checker.getExportsOfModule(symbol).map(({ name }) => name) : [];
};

/** An example as a module of its own: what it uses and does not declare is imported. */
function moduleOf({ code, file }: Example, exported: ReadonlyMap<string, readonly string[]>): string {
  const words = new Set(code.match(/[A-Za-z_$][\w$]*/g) ?? []);
  const places = file === 'web.ts' ? [['pupil/web', exported.get('pupil/web')!] as const] : [...exported];
  const imports: string[] = [];
  for (const [door, names] of places) {
    const used = names.filter((name) => words.delete(name) && !new RegExp(`import [^;]*\\b${name}\\b`).test(code));
    if (used.length > 0) imports.push(`import { ${used.join(', ')} } from '${door}';`);
  }
  return `${imports.join('\n')}\n${code}\nexport {};\n`;
}

const options: ts.CompilerOptions = {
  strict: true,
  noEmit: true,
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.esnext.disposable.d.ts'],
  types: ['node'],
  noUncheckedIndexedAccess: true,
  skipLibCheck: true,
};

const skip = existsSync(join(root, 'dist/index.d.ts')) ? false : 'needs npm run build';

test('every @example compiles, in a strict project', { skip }, () => {
  const examples = files.flatMap(examplesOf);
  assert.ok(examples.length >= 10, `only ${examples.length} examples`);
  const paths = [...Object.entries(doors), ['pupil/web', 'web']].map(
    ([door, name]) => [door!, join(root, `dist/${name}.d.ts`)] as const,
  );
  const declared = ts.createProgram(
    paths.map(([, path]) => path),
    options,
  );
  const exported = new Map(paths.map(([door, path]) => [door, namesOf(declared, path)]));
  const modules = new Map(
    // In the package's own folder, where its name leads to itself.
    examples.map((example, i) => [join(root, `example-${i}.ts`), moduleOf(example, exported)]),
  );
  const host = ts.createCompilerHost(options);
  const { readFile, fileExists, getSourceFile } = host;
  host.readFile = (path) => modules.get(path) ?? readFile(path);
  host.fileExists = (path) => modules.has(path) || fileExists(path);
  host.getSourceFile = (path, version, ...rest) => {
    const text = modules.get(path);
    return text === undefined ? getSourceFile(path, version, ...rest) : ts.createSourceFile(path, text, version);
  };
  const program = ts.createProgram([...modules.keys()], options, host, declared);
  const errors = [...modules.keys()].flatMap((path, i) =>
    [
      ...program.getSyntacticDiagnostics(program.getSourceFile(path)),
      ...program.getSemanticDiagnostics(program.getSourceFile(path)),
    ].map(
      ({ messageText }) =>
        `${examples[i]!.where}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}\n${modules.get(path)!}`,
    ),
  );
  assert.deepEqual(errors, []);
});

test('the API reference is made without a warning (npm run docs)', { skip }, () => {
  const typedoc = join(root, 'node_modules/typedoc/bin/typedoc');
  const { status, stdout, stderr } = spawnSync(process.execPath, [typedoc, '--emit', 'none'], {
    cwd: root,
    encoding: 'utf8',
  });
  assert.equal(status, 0, stdout + stderr);
});
