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
}

/** What `WebOptions` has. */
export const webOptions = ['provider', 'runtime', 'wasmPaths'] as const;
