// npm run generate: writes src/onnx/generated from proto/ and src/image/generated from assembly/.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { install } from './install.js';
import { writeKernels } from './kernels.js';

install();
const buf = fileURLToPath(new URL('node_modules/@bufbuild/buf/bin/buf', import.meta.url));
execFileSync(process.execPath, [buf, 'generate', 'proto', '--template', 'tools/buf.gen.yaml'], {
  cwd: fileURLToPath(new URL('..', import.meta.url)),
  stdio: 'inherit',
});
await writeKernels();
