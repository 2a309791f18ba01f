import type { Engine } from '../engine/engine.js';
import { engineOver } from '../engine/ort/over.js';
import type { Request } from '../engine/ort/protocol.js';
import { lowerForWebgpu } from '../engine/ort/providers/webgpu/lower.js';
import { Sessions, type Ort } from '../engine/ort/sessions.js';
import { PupilError } from '../errors.js';

/**
 * The engine on onnxruntime-web, in the thread that calls it: graphs and their lowering are those of
 * Node, without layouts that only some processors have. Throws `unsupported` where WebGPU finds no
 * adapter.
 */
export function createWebEngine(runtime: Ort, provider: 'wasm' | 'webgpu'): Promise<Engine> {
  const sessions = new Sessions(runtime);
  let last: Promise<unknown> = Promise.resolve();
  /** One after the other, in the order in which they came. */
  const queue = <T>(work: () => Promise<unknown>): Promise<T> => {
    const answer = last.then(work) as Promise<T>;
    last = answer.catch(() => undefined);
    return answer;
  };
  return engineOver(
    {
      version: `${runtime.env.versions.web ?? runtime.env.versions.common} for browsers`,
      call: <T>(request: Request) => queue<T>(() => sessions.perform(request)),
      close: () => queue<void>(() => sessions.close()),
    },
    { providers: [provider], name: provider, choices: { block: 0 }, ...(provider === 'webgpu' ? onGpu : {}) },
  );
}

/** The state stays in the GPU's memory from step to step. */
const onGpu = {
  lower: lowerForWebgpu,
  withoutDevice: (message: string) =>
    new PupilError('unsupported', `this browser has no WebGPU that can be used (${message}); use \`provider: wasm\``, {
      option: 'provider',
    }),
};
