import type { InferenceSession, Tensor as OrtTensor } from 'pupil-onnxruntime';

type Ort = typeof import('pupil-onnxruntime');

/** Moves float32 tensors between the CPU's memory and that of a provider's device. */
export interface DeviceMemory {
  /** The tensor on the device, in place of one that lies in the CPU's memory. */
  upload(t: OrtTensor): Promise<OrtTensor>;
  /** A copy in the CPU's memory; a tensor that lies there already comes back itself. */
  download(t: OrtTensor): Promise<OrtTensor>;
  close(): Promise<void>;
}

/**
 * onnxruntime-node has no call that moves a tensor (a GPU tensor's own `getData` ends the process),
 * so `copy`, a model of one Identity over [size], does: once with its result left on the device,
 * once not. Throws where the providers find no device.
 */
export async function openDeviceMemory(
  ort: Ort,
  providers: readonly string[],
  copy: Uint8Array,
): Promise<DeviceMemory> {
  const open = (location: 'cpu' | 'gpu-buffer'): Promise<InferenceSession> =>
    ort.InferenceSession.create(copy.slice(), {
      executionProviders: [...providers],
      graphOptimizationLevel: 'disabled',
      logSeverityLevel: 3,
      preferredOutputLocation: location,
    });
  const up = await open('gpu-buffer'),
    down = await open('cpu');

  return {
    async upload(t) {
      if (t.type !== 'float32' || t.size === 0) return t;
      const { y } = await up.run({ x: new ort.Tensor('float32', t.data as Float32Array, [t.size]) });
      return view(ort, y!, t.dims);
    },
    async download(t) {
      if (t.location === 'cpu') return t;
      const { y } = await down.run({ x: view(ort, t, [t.size], () => {}) });
      return new ort.Tensor('float32', y!.data as Float32Array, t.dims);
    },
    async close() {
      await up.release();
      await down.release();
    },
  };
}

/** The same device memory under other sizes; by default the view owns it. */
const view = (ort: Ort, t: OrtTensor, dims: readonly number[], dispose = (): void => t.dispose()): OrtTensor =>
  ort.Tensor.fromGpuBuffer(t.gpuBuffer, { dataType: 'float32', dims, dispose });
