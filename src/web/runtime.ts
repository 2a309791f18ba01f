import * as wasm from 'onnxruntime-web/wasm';
import { shown } from '../arguments.js';
import type { Ort } from '../engine/ort/sessions.js';
import { PupilError } from '../errors.js';
import type { WebOptions } from './options.js';

/** The build of onnxruntime-web that the options name. Throws `usage` where they do not fit together. */
export function runtimeOf(options: WebOptions): {
  readonly runtime: Ort;
  readonly provider: 'wasm' | 'webgpu';
} {
  const { provider = 'wasm', wasmPaths, threads } = options;
  const runtime = (options.runtime ?? wasm) as typeof wasm;
  if (provider !== 'wasm' && provider !== 'webgpu')
    throw new PupilError('usage', `\`provider\` takes wasm or webgpu, got ${shown(provider)}`, { option: 'provider' });
  if (provider === 'webgpu' && runtime === wasm)
    throw new PupilError(
      'usage',
      "`provider: webgpu` needs a build that has it: import * as runtime from 'onnxruntime-web/webgpu', and give " +
        '`runtime`',
      { option: 'runtime' },
    );
  if (threads !== undefined && !(Number.isSafeInteger(threads) && threads >= 1))
    throw new PupilError('usage', `\`threads\` takes a whole number of at least 1, got ${shown(threads)}`, {
      option: 'threads',
    });
  if (threads !== undefined) runtime.env.wasm.numThreads = threads;
  if (wasmPaths !== undefined) runtime.env.wasm.wasmPaths = wasmPaths;
  return { runtime: runtime as unknown as Ort, provider };
}
