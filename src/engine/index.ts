import { PupilError } from '../errors.js';
import type { Engine, EngineOptions } from './engine.js';
import { createOrtEngine } from './ort/index.js';

export type { CompileOptions, Engine, EngineOptions, Program } from './engine.js';

/** Engines that the command line knows by name. */
export const engineNames = ['auto', 'ort', 'onednn', 'webgpu', 'cuda', 'coreml', 'dml'] as const;
export type EngineName = (typeof engineNames)[number] | 'reference';

const planned: Readonly<Record<string, string>> = {
  cuda: 'CUDA', coreml: 'CoreML', dml: 'DirectML',
};

/**
 * Starts an engine: `auto` is the fastest that this version has for the machine, today onnxruntime on the CPU; `reference` is the
 * slow one in plain TypeScript. Throws `unsupported` for engines of later versions and `usage` for unknown names.
 */
export async function createEngine(name: string, options: EngineOptions = {}): Promise<Engine> {
  if (name === 'auto' || name === 'ort') return createOrtEngine(options);
  if (name === 'reference') return (await import('./reference/index.js')).createReferenceEngine(options);
  if (name === 'onednn') return (await import('./onednn/index.js')).createDnnlEngine(options);
  if (name === 'webgpu') return (await import('./webgpu/index.js')).createWebgpuEngine(options);
  const library = planned[name];
  if (library) {
    throw new PupilError('unsupported', `--engine ${name}: this version does not train on ${library} yet; use --engine webgpu (a GPU through Vulkan, Direct3D 12 or Metal) or auto (the CPU)`);
  }
  throw new PupilError('usage', `--engine ${name}: unknown engine; one of ${engineNames.join(', ')}`);
}
