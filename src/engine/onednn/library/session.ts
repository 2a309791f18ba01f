import type { LibraryHandle } from 'koffi';
import type { DnnlType, Handle } from './dnnl.js';
import { commonFunctions, type CommonFunctions, type TensorType } from './functions.js';

/** The library's codes of element types. */
export const types: Readonly<Record<DnnlType, number>> = { bf16: 2, f32: 3, s32: 4, s8: 5, u8: 6 };
export const typeNames: ReadonlyMap<number, DnnlType> = new Map(
  Object.entries(types).map(([name, code]) => [code, name as DnnlType]),
);
/** `dnnl_format_kind_t`. */
export const kinds = { any: 1, blocked: 2 } as const;
/** `dnnl_format_tag_any`: the library chooses. */
export const anyTag = 1;

/** A library with an engine on the CPU and one stream. */
export class Session {
  readonly functions: CommonFunctions;
  /** Where functions of the library write the handle that they make. */
  readonly slot = new BigUint64Array(1);
  readonly engine: Handle;
  readonly stream: Handle;

  constructor(
    readonly library: LibraryHandle,
    readonly version: string,
    tensor: TensorType,
  ) {
    this.functions = commonFunctions(library, tensor);
    this.engine = this.made('the engine', this.functions.engineCreate(this.slot, 1, 0));
    this.stream = this.made('the stream', this.functions.streamCreate(this.slot, this.engine, 1));
  }

  /** Throws unless a status says success. */
  check(what: string, status: number): void {
    if (status !== 0) throw new Error(`oneDNN ${this.version}: ${what} failed with status ${status}`);
  }

  /** The handle that a function has just written. */
  made(what: string, status: number): Handle {
    this.check(what, status);
    return Number(this.slot[0]);
  }
}
