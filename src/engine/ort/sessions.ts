import type { InferenceSession, Tensor as OrtTensor } from 'pupil-onnxruntime';
import { arrayType, type DataType, type Tensor } from '../../tensor.js';
import { messageOf } from '../../threads/protocol.js';
import { openDeviceMemory, type DeviceMemory } from './device-memory.js';
import type { Request, StateMap } from './protocol.js';

/** A build of onnxruntime: onnxruntime-node, or onnxruntime-web, which has the same classes. */
export type Ort = typeof import('pupil-onnxruntime');

interface OpenProgram {
  readonly name: string;
  readonly session: InferenceSession;
  readonly state: StateMap;
  /** Model outputs that go to the caller. */
  readonly returned: readonly string[];
  readonly profiled: boolean;
}

/** Every session of an onnxruntime, and the store of named tensors. Requests have to come one after the other. */
export class Sessions {
  readonly #programs = new Map<number, OpenProgram>();
  readonly #store = new Map<string, OrtTensor>();
  /** Where the store's tensors lie when that is not the CPU's memory. */
  #device: DeviceMemory | undefined;

  /** `own`: settings of sessions that this build alone has. */
  constructor(
    private readonly ort: Ort,
    private readonly own: InferenceSession.SessionOptions = {},
  ) {}

  /** Answers one request; buffers put into `transfer` may be given away. */
  async perform(request: Request, transfer: ArrayBuffer[] = []): Promise<unknown> {
    switch (request.kind) {
      case 'device':
        this.#device = await openDeviceMemory(this.ort, request.providers, request.copy);
        return undefined;
      case 'open':
        return this.#open(request);
      case 'run': {
        const outputs = await this.#run(this.#program(request.program), request.feeds);
        const result: Record<string, Tensor> = {};
        for (const [name, output] of Object.entries(outputs)) {
          result[name] = copyOf(output, transfer);
          output.dispose();
        }
        return result;
      }
      case 'time': {
        const program = this.#program(request.program);
        const times: number[] = [];
        for (let i = 0; i < request.runs; i++) {
          const from = performance.now();
          for (const output of Object.values(await this.#run(program, request.feeds))) output.dispose();
          times.push(performance.now() - from);
        }
        return times;
      }
      case 'release': {
        const program = this.#program(request.program);
        this.#programs.delete(request.program);
        await this.#keepState(program);
        if (program.profiled) program.session.endProfiling();
        return program.session.release();
      }
      case 'write':
        for (const [name, t] of request.state) {
          const entry = toOrt(this.ort, t);
          const placed = this.#device ? await this.#device.upload(entry) : entry;
          this.#store.get(name)?.dispose();
          this.#store.set(name, placed);
        }
        return undefined;
      case 'read':
        return this.#read(request.names ?? this.#store.keys(), transfer);
      case 'remove':
        for (const name of request.names) {
          this.#store.get(name)?.dispose();
          this.#store.delete(name);
        }
        return undefined;
    }
  }

  /** Frees every session, writing the profiles that were asked for, and the store. */
  async close(): Promise<void> {
    // A device's tensors are freed before the sessions that made them: onnxruntime-web fails otherwise.
    for (const entry of this.#store.values()) entry.dispose();
    this.#store.clear();
    for (const program of this.#programs.values()) {
      if (program.profiled) program.session.endProfiling();
      await program.session.release();
    }
    this.#programs.clear();
    await this.#device?.close();
  }

  /** Moves what a session has put into a device's memory, before it is released. */
  async #keepState(program: OpenProgram): Promise<void> {
    if (!this.#device) return;
    for (const [name, output] of Object.entries(program.state)) {
      const entry = this.#store.get(name);
      if (output === null || entry === undefined || entry.location === 'cpu') continue;
      const local = await this.#device.download(entry);
      entry.dispose();
      this.#store.set(name, await this.#device.upload(local));
    }
  }

  async #read(names: Iterable<string>, transfer: ArrayBuffer[]): Promise<Map<string, Tensor>> {
    const result = new Map<string, Tensor>();
    for (const name of names) {
      const entry = this.#store.get(name);
      if (!entry) throw new Error(`the engine's state has no entry named ${JSON.stringify(name)}`);
      const local = this.#device ? await this.#device.download(entry) : entry;
      result.set(name, copyOf(local, transfer));
      if (local !== entry) local.dispose();
    }
    return result;
  }

  async #open(request: Extract<Request, { kind: 'open' }>): Promise<undefined> {
    const { settings } = request;
    const session = await this.ort.InferenceSession.create(request.model, {
      executionProviders: [...settings.providers],
      executionMode: 'sequential',
      graphOptimizationLevel: settings.optimization,
      logSeverityLevel: 3,
      ...(request.resident.length === 0
        ? {}
        : {
            preferredOutputLocation: Object.fromEntries(request.resident.map((name) => [name, 'gpu-buffer' as const])),
          }),
      // a planned pattern is one block beside all that the first run took: twice the memory, and no
      // faster
      enableMemPattern: false,
      ...this.own,
      ...(settings.threads === undefined ? {} : { intraOpNumThreads: settings.threads }),
      ...(settings.profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: settings.profile }),
    });
    const replacing = new Set(Object.values(request.state));
    this.#programs.set(request.program, {
      name: request.name,
      session,
      state: request.state,
      returned: session.outputNames.filter((name) => !replacing.has(name)),
      profiled: settings.profile !== undefined,
    });
    return undefined;
  }

  /**
   * Runs a program; its new state replaces the old in the store, the other outputs are returned (to
   * be disposed).
   */
  async #run(program: OpenProgram, given: Readonly<Record<string, Tensor>>): Promise<Record<string, OrtTensor>> {
    const feeds: Record<string, OrtTensor> = {};
    for (const [name, t] of Object.entries(given)) feeds[name] = toOrt(this.ort, t);
    for (const name of Object.keys(program.state)) {
      const entry = this.#store.get(name);
      if (!entry)
        throw new Error(
          `${program.name}: the engine's state has no entry named ${JSON.stringify(name)}; write it first`,
        );
      feeds[name] = entry;
    }
    for (const name of program.session.inputNames) {
      if (!feeds[name]) throw new Error(`${program.name}: nothing was fed for the input ${JSON.stringify(name)}`);
    }
    const results = await program.session.run(feeds).catch((error: unknown) => {
      throw new Error(`${program.name}: ${messageOf(error)}`, { cause: error });
    });
    for (const [name, output] of Object.entries(program.state)) {
      if (output === null) continue;
      this.#store.get(name)?.dispose();
      this.#store.set(name, results[output] as OrtTensor);
    }
    const returned: Record<string, OrtTensor> = {};
    for (const name of program.returned) returned[name] = results[name] as OrtTensor;
    return returned;
  }

  #program(number: number): OpenProgram {
    const program = this.#programs.get(number);
    if (!program) throw new Error('the program was closed');
    return program;
  }
}

/**
 * Newer Nodes have a Float16Array, which onnxruntime then asks for; we hold the same bits in 16-bit
 * integers.
 */
const Float16 = (
  globalThis as { Float16Array?: new (buffer: ArrayBufferLike, offset: number, length: number) => Float32Array }
).Float16Array;

function toOrt(ort: Ort, t: Tensor): OrtTensor {
  const shared = typeof SharedArrayBuffer !== 'undefined' && t.data.buffer instanceof SharedArrayBuffer;
  let data: unknown = shared ? t.data.slice() : t.data;
  if (t.dtype === 'float16' && Float16) {
    const bits = data as Uint16Array;
    data = new Float16(bits.buffer, bits.byteOffset, bits.length);
  }
  return new ort.Tensor(t.dtype as 'float32', data as Float32Array, t.dims);
}

/** A copy whose buffer can be handed over to the main thread. */
function copyOf(t: OrtTensor, transfer: ArrayBuffer[]): Tensor {
  const dtype = t.type as DataType;
  const source = t.data as Uint8Array;
  const bytes = new Uint8Array(source.buffer, source.byteOffset, source.byteLength).slice();
  transfer.push(bytes.buffer);
  const data = new (arrayType(dtype) as unknown as new (buffer: ArrayBuffer) => Tensor['data'])(bytes.buffer);
  return { dtype, dims: [...t.dims], data };
}
