import type { LibraryHandle } from 'koffi';

/**
 * The library's C functions, for both versions of its interface. Where they differ only in how a
 * function is named or a tensor is passed, that is a parameter here.
 */

/** A C function; it returns a status unless its name says otherwise. Every handle is a number. */
export type Call = (...values: unknown[]) => number;

/** Binds `dnnl_NAME` of a library. */
export const binder =
  (library: LibraryHandle) =>
  (name: string, parameters: string, result = 'int'): Call =>
    library.func(`${result} dnnl_${name}(${parameters})`);

/** C type of a tensor's description: a struct by its address in 2.x, a handle in 3.x. */
export type TensorType = 'void *' | 'size_t';

export type CommonFunctions = ReturnType<typeof commonFunctions>;

/** Functions that both versions have: engine, memory, primitives, attributes. */
export function commonFunctions(library: LibraryHandle, tensor: TensorType) {
  const bind = binder(library);
  return {
    engineCreate: bind('engine_create', 'void *out, int kind, size_t index'),
    engineDestroy: bind('engine_destroy', 'size_t engine'),
    streamCreate: bind('stream_create', 'void *out, size_t engine, uint flags'),
    streamDestroy: bind('stream_destroy', 'size_t stream'),
    bytes: bind('memory_desc_get_size', `${tensor} descriptor`, 'size_t'),
    memoryCreate: bind('memory_create', `void *out, ${tensor} descriptor, size_t engine, size_t data`),
    memoryPoint: bind('memory_set_data_handle', 'size_t memory, void *data'),
    memoryDestroy: bind('memory_destroy', 'size_t memory'),
    descriptionDestroy: bind('primitive_desc_destroy', 'size_t description'),
    query: bind('primitive_desc_query', 'size_t description, int what, int index, void *out'),
    create: bind('primitive_create', 'void *out, size_t description'),
    destroy: bind('primitive_destroy', 'size_t primitive'),
    execute: bind('primitive_execute', 'size_t primitive, size_t stream, int count, void *list'),
    attributes: bind('primitive_attr_create', 'void *out'),
    attributesDestroy: bind('primitive_attr_destroy', 'size_t attributes'),
    setPostOps: bind('primitive_attr_set_post_ops', 'size_t attributes, size_t operations'),
    postOps: bind('post_ops_create', 'void *out'),
    postOpsDestroy: bind('post_ops_destroy', 'size_t operations'),
    appendBinary: bind('post_ops_append_binary', `size_t operations, int algorithm, ${tensor} other`),
    reorder: bind(
      'reorder_primitive_desc_create',
      `void *out, ${tensor} source, size_t sourceEngine, ${tensor} output, size_t outputEngine, size_t attributes`,
    ),
    cache: bind('set_primitive_cache_capacity', 'int capacity'),
  };
}

/** How a version's functions that describe operations are bound. */
export interface OperationBinder {
  readonly tensor: TensorType;
  /** Parameters of an operation whose result lies as its data does. */
  dataAndResult(data: string, result: string): string;
  /** Binds the function of an operation. */
  forward(name: string, parameters: string): Call;
  /** Binds the function of an operation that follows another's description. */
  backward(name: string, parameters: string): Call;
  /** Binds the function of an operation of several tensors. */
  several(name: string, parameters: string): Call;
}

export type OperationFunctions = ReturnType<typeof operationFunctions>;

/** Functions that describe operations; what stands before and after these parameters is the version's. */
export function operationFunctions({ tensor, dataAndResult, forward, backward, several }: OperationBinder) {
  const list = (...names: string[]): string => names.map((name) => `${tensor} ${name}`).join(', ');
  const window = 'void *strides, void *dilations, void *begin, void *end',
    poolWindow = 'void *strides, void *kernel, void *dilations, void *begin, void *end',
    pool = `int algorithm, ${list('source', 'output')}, ${poolWindow}`,
    normalization = 'float epsilon, uint flags',
    data = dataAndResult('source', 'output'),
    gradient = dataAndResult('sourceGradient', 'gradient');
  return {
    convolution: forward(
      'convolution_forward',
      `int propagation, int method, ${list('source', 'weights', 'bias', 'output')}, ${window}`,
    ),
    convolutionData: backward(
      'convolution_backward_data',
      `int method, ${list('source', 'weights', 'output')}, ${window}`,
    ),
    convolutionWeights: backward(
      'convolution_backward_weights',
      `int method, ${list('source', 'weights', 'bias', 'output')}, ${window}`,
    ),
    batch: forward('batch_normalization_forward', `int propagation, ${data}, ${normalization}`),
    batchBack: backward(
      'batch_normalization_backward',
      `int propagation, ${gradient}, ${list('source')}, ${normalization}`,
    ),
    layer: forward('layer_normalization_forward', `int propagation, ${data}, ${list('statistics')}, ${normalization}`),
    layerBack: backward(
      'layer_normalization_backward',
      `int propagation, ${gradient}, ${list('source', 'statistics')}, ${normalization}`,
    ),
    pool: forward('pooling_forward', `int propagation, ${pool}`),
    poolBack: backward('pooling_backward', pool),
    eltwise: forward('eltwise_forward', `int propagation, int algorithm, ${data}, float alpha, float beta`),
    eltwiseBack: backward('eltwise_backward', `int algorithm, ${gradient}, ${list('data')}, float alpha, float beta`),
    binary: forward('binary', `int algorithm, ${list('first', 'second', 'output')}`),
    matmul: forward('matmul', list('first', 'second', 'bias', 'output')),
    softmax: forward('softmax_forward', `int propagation, int algorithm, ${list('source', 'output')}, int axis`),
    reduction: forward('reduction', `int algorithm, ${list('source', 'output')}, float p, float epsilon`),
    concat: several('concat', `${list('output')}, int count, int axis, void *sources`),
    sum: several('sum', `${list('output')}, int count, void *scales, void *sources`),
  };
}
