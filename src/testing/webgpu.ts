import { createWebgpuEngine } from '../engine/ort/providers/webgpu/index.js';

/**
 * Why tests of the WebGPU engine are skipped, or false where onnxruntime finds an adapter. A driver
 * that was named must work.
 */
export const withoutWebgpu: string | false = await createWebgpuEngine().then(
  async (engine) => {
    await engine.close();
    return false as const;
  },
  () =>
    process.env['VK_ICD_FILENAMES']
      ? 'onnxruntime finds no WebGPU adapter by VK_ICD_FILENAMES'
      : 'hardware: no WebGPU adapter',
);
