/** Options of all that runs in a browser. */

/**
 * A build of onnxruntime-web, as `import * as runtime` gives it. Its own types are not named, so that
 * programs without it compile.
 */
export interface Runtime {
  readonly InferenceSession: object;
  readonly Tensor: object;
  readonly env: object;
}

export interface WebOptions {
  /** `wasm` (default), or `webgpu` with a `runtime` that has it. */
  readonly provider?: 'wasm' | 'webgpu' | undefined;
  /**
   * Another build of onnxruntime-web than `onnxruntime-web/wasm`, which is the smallest: for `webgpu`
   * `import * as runtime from 'onnxruntime-web/webgpu'`.
   */
  readonly runtime?: Runtime | undefined;
  /** Where onnxruntime-web's .wasm files are served, when not beside the script. */
  readonly wasmPaths?: string | undefined;
  /**
   * Threads of WASM, where the page is isolated (`crossOriginIsolated`); elsewhere it has one. Default: half of the
   * cores, at most 4. The first call decides it for the page or the worker.
   */
  readonly threads?: number | undefined;
}

/** What `WebOptions` has. */
export const webOptions = ['provider', 'runtime', 'wasmPaths', 'threads'] as const;
