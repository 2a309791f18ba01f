/** Runs the exported model beside the page, on onnxruntime-web: on the GPU where there is one, else on WebAssembly. */
import { loadModel, type Classifier, type Runtime } from '../../../dist/web.js';
import type { Provider, Request, Response } from './asked.ts';

interface Loaded {
  readonly classifier: Classifier;
  readonly provider: Provider;
}

const runtimes = '/ort/';

const addressOf = (run: string): string => `/api/runs/${encodeURIComponent(run)}/files/model.onnx`;

/** The build of onnxruntime-web for GPUs, where the browser has one and the studio that build. */
async function gpuRuntime(): Promise<Runtime | undefined> {
  const { gpu } = navigator as { readonly gpu?: { requestAdapter(): Promise<unknown> } };
  if (((await gpu?.requestAdapter().catch(() => null)) ?? null) === null) return undefined;
  const address = `${runtimes}ort.webgpu.min.mjs`;
  return import(/* @vite-ignore */ address).then(
    (runtime) => runtime as Runtime,
    () => undefined,
  );
}

async function load(run: string): Promise<Loaded> {
  const response = await fetch(addressOf(run));
  if (!response.ok) throw new Error(`the model cannot be fetched (${response.status})`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  const runtime = await gpuRuntime();
  if (runtime !== undefined) {
    try {
      const classifier = await loadModel(bytes, { provider: 'webgpu', runtime, wasmPaths: runtimes });
      return { classifier, provider: 'webgpu' };
    } catch {
      // An operator that the GPU does not have.
    }
  }
  return { classifier: await loadModel(bytes, { wasmPaths: runtimes }), provider: 'wasm' };
}

let open: { readonly key: string; readonly loaded: Promise<Loaded> } | undefined;

/** One model at a time. */
function modelOf({ run, version }: Request): Promise<Loaded> {
  const key = `${version} ${run}`;
  if (open?.key === key) return open.loaded;
  const last = open,
    loaded = load(run);
  open = { key, loaded };
  loaded.catch(() => (open = undefined));
  void last?.loaded.then(({ classifier }) => classifier.close()).catch(() => undefined);
  return loaded;
}

const failed = (error: unknown, isModel: boolean): Response['result'] => ({
  failed: error instanceof Error ? error.message : String(error),
  isModel,
});

async function answer(request: Request): Promise<Response['result']> {
  let loaded: Loaded;
  try {
    loaded = await modelOf(request);
  } catch (error) {
    return failed(error, true);
  }
  try {
    const { label, none, probabilities } = await loaded.classifier.predict(request.image);
    return {
      label: none ? null : label,
      probabilities: Object.entries(probabilities)
        .map(([of, probability]) => ({ label: of, probability }))
        .sort((a, b) => b.probability - a.probability),
      provider: loaded.provider,
    };
  } catch (error) {
    return failed(error, false);
  }
}

let last: Promise<unknown> = Promise.resolve();
addEventListener('message', ({ data: request }: MessageEvent<Request>) => {
  last = last
    .then(() => answer(request))
    .then((result) => postMessage({ number: request.number, result } satisfies Response));
});
