import type { Graph, Node } from '../../graph/graph.js';
import type { DataType, Tensor } from '../../tensor.js';
import type { Choices } from './choices/choices.js';
import type { Dnnl, DnnlType, Handle, Layout, Operation } from './library/dnnl.js';
import type { Block, Heap } from './memory/heap.js';
import type { Place, Step } from './memory/places.js';

/** A value of the graph whose sizes are numbers. */
export interface SizedValue {
  readonly name: string;
  readonly dtype: DataType;
  readonly shape: readonly number[];
}

/** What is known of a graph's values before anything is written. */
export interface Facts {
  /** The declared value; its sizes are numbers. */
  value(name: string): SizedValue;
  /** The constant behind a name. */
  constant(name: string): Tensor | undefined;
}

/** Argument number and place of a library call. */
export type Argument = readonly [argument: number, place: Place];

/** A step that is one call of the library. */
export interface CallOptions extends Pick<Step, 'name' | 'kind' | 'inPlace'> {
  readonly reads: readonly Argument[];
  readonly writes: readonly Argument[];
}

/**
 * A batch normalisation with the Relu behind it, forward and backward: the library keeps a bit per
 * element, so that the Relu and its gradient cost no passes of their own.
 */
export interface NormalizationRelu {
  readonly relu: Node;
  /** BatchNormalizationGrad(ClipGrad(gradient, y), ...), computed from `gradient` alone. */
  readonly backward: Node;
  readonly gradient: string;
  /** The ClipGrad. */
  readonly absorbed: readonly Node[];
  /** The bits, once the forward step is written. */
  positive: Place | undefined;
}

/**
 * What lowerings write a program with: values of the graph in the layouts that are asked for, and
 * the steps that make them.
 */
export interface Emitter extends Facts {
  readonly graph: Graph;
  readonly dnnl: Dnnl;
  readonly choices: Choices;
  readonly heap: Heap;
  /** Whether convolutions and products, and whatever follows them, are in bfloat16. */
  readonly isHalved: boolean;
  /** Whether a value has so many elements that bfloat16 pays. */
  isLarge(name: string): boolean;
  /**
   * The type for a result of a convolution or a product: bfloat16 for large ones that need not be
   * exact, when it is asked for.
   */
  typeOf(name: string): DnnlType;
  /** The number behind a constant of one element. */
  scalar(name: string): number | undefined;
  producer(name: string): Node | undefined;
  /** How often a value is read, as an output too. */
  uses(name: string): number;
  /** Normalisations that are computed with their Relu. */
  fusions: ReadonlyMap<Node, NormalizationRelu>;
  /** Products that are computed with the bias behind them. */
  biases: ReadonlyMap<Node, { readonly add: Node; readonly bias: string }>;
  /** Nodes that are written with others as one loop. */
  grouped: ReadonlySet<Node>;
  /** Whether something that is written already has made a value, or it comes from outside. */
  isMade(name: string): boolean;
  /** Nodes that read a value, in order. */
  readers(name: string): readonly Node[];
  /** Says that a node's results are there already; it is then passed over. */
  done(node: Node): void;
  isDone(node: Node): boolean;
  /** A value in the layout that it is at hand in. */
  held(name: string): Place;
  /**
   * The layout that a value is at hand in; undefined for an entry of the state that no one has
   * wanted yet.
   */
  layoutOf(name: string): Layout | undefined;
  /** A value in row-major order. */
  plain(name: string): Place;
  /** A value in row-major order, in bfloat16 where it is at hand so. */
  rowMajor(name: string): Place;
  /** Says in which layout an entry of the state is to lie, unless that is decided. */
  prefer(name: string, layout: Layout): void;
  /** A value in a layout: reordered where it is not at hand so. */
  as(name: string, layout: Layout): Place;
  /** A place for a value that the node makes; row-major when no layout is given. */
  result(name: string, layout?: Layout): Place;
  /** Says that a value is the same bytes as a place. */
  share(name: string, place: Place): void;
  /** Bytes for the step's own use, or to be read by a later one. */
  scratch(layout: Layout): Place;
  /** The same bytes seen in another layout. */
  view(place: Place, layout: Layout): Place;
  /** A place that holds constants of the program. */
  fixed(data: Float32Array, dims: readonly number[], type?: DnnlType): Place;
  /** Copies a place into another layout. */
  reorder(place: Place, layout: Layout, name: string): Place;
  call(operation: Operation, options: CallOptions): void;
  step(step: Step): void;
}

/** What a finished program is made of. */
export interface Emitted {
  readonly steps: readonly Step[];
  readonly inputs: ReadonlyMap<string, Place>;
  readonly primitives: readonly Handle[];
  /** Places that the library uses. */
  readonly used: ReadonlySet<Place>;
  /** Constants; released with the program. */
  readonly blocks: Block[];
  readonly places: readonly Place[];
}
