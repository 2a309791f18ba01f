// Compiles assembly/ to WebAssembly and writes it into src/image/generated/kernels.ts. A part of
// `npm run generate`.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';

const root = new URL('../', import.meta.url);
const target = new URL('src/image/generated/kernels.ts', root);

/** The text of the generated file. */
export async function generate() {
  const { default: asc } = await import('assemblyscript/asc');
  let binary;
  const { error, stderr } = await asc.main(
    [
      'assembly/index.ts',
      '--outFile',
      'kernels.wasm',
      '--optimizeLevel',
      '3',
      '--shrinkLevel',
      '0',
      '--noAssert',
      '--runtime',
      'stub',
      '--enable',
      'simd',
      '--use',
      'abort=',
    ],
    {
      readFile: (name, base) => {
        try {
          return readFileSync(new URL(name, new URL(`${base}/`, root)), 'utf8');
        } catch {
          return null;
        }
      },
      writeFile: (_name, contents) => {
        if (typeof contents !== 'string') binary = contents;
      },
      listFiles: () => [],
    },
  );
  if (error !== null || binary === undefined)
    throw new Error(`${error?.message ?? 'nothing was compiled'}\n${stderr.toString()}`);
  const lines = Buffer.from(binary)
    .toString('base64')
    .match(/.{1,140}/g);
  return (
    '/** The kernels of assembly/, compiled by `npm run generate`; not edited by hand. */\n' +
    `export const binary = [\n${lines.map((line) => `  '${line}',\n`).join('')}].join('');\n`
  );
}

export async function writeKernels() {
  mkdirSync(new URL('./', target), { recursive: true });
  writeFileSync(target, await generate());
}
