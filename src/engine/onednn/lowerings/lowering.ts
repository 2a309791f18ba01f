import type { Node } from '../../../graph/graph.js';
import type { Emitter } from '../emitter.js';

/** Writes the steps of a node; false when it does not apply, before anything is written. */
export type Lowering = (e: Emitter, node: Node) => boolean;
export type Lowerings = Readonly<Record<string, Lowering>>;
