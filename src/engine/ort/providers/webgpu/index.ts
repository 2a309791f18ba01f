import { PupilError } from '../../../../errors.js';
import type { Engine, EngineOptions } from '../../../engine.js';
import { createOrtEngine } from '../../index.js';
import { lowerForWebgpu } from './lower.js';

/**
 * The engine on onnxruntime-node's WebGPU provider: parameters and optimizer slots stay in the
 * GPU's memory from step to step. Throws `unsupported` where onnxruntime finds no adapter.
 */
export function createWebgpuEngine(options: EngineOptions = {}): Promise<Engine> {
  return createOrtEngine({
    // blocks of channels are a layout of the CPU's kernels
    ...options,
    choices: { ...options.choices, block: 0 },
    name: 'webgpu',
    providers: ['webgpu'],
    lower: lowerForWebgpu,
    withoutDevice: (message) =>
      new PupilError(
        'unsupported',
        message.includes("is unsupported: 'webgpu'")
          ? `onnxruntime-node has no WebGPU provider on ${process.platform} ${process.arch}; ${onCpu}`
          : `onnxruntime found no WebGPU adapter (${reasonOf(message)}); it takes a GPU with a driver ` +
              "for Vulkan (Linux: libvulkan1 and the driver of the GPU's vendor or Mesa), Direct3D 12 (Windows) " +
              'or Metal (macOS); ' +
              `without one ${onCpu}`,
        { option: 'engine' },
      ),
  });
}

const onCpu = 'use `engine: auto`, which computes on the CPU';

/** What onnxruntime says in the end, without its own source lines before that. */
const reasonOf = (message: string): string =>
  message
    .replace(/^.*was false\. (Failed to get a WebGPU adapter: )?/s, '')
    .trim()
    .replace(/\s+/g, ' ');
