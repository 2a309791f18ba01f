/**
 * What formulas are written in, whatever they are written into: nodes of a graph (`math`), nodes
 * that an engine adds while lowering, instructions of a generated loop, numbers. A number stands
 * for a constant.
 */
export interface Arithmetic<V> {
  add(a: V | number, b: V | number): V;
  sub(a: V | number, b: V | number): V;
  mul(a: V | number, b: V | number): V;
  div(a: V | number, b: V | number): V;
  neg(a: V): V;
  sqrt(a: V): V;
  exp(a: V): V;
}
