import type { Arithmetic } from './arithmetic.js';
import { numberOf, textOf } from './attributes.js';
import type { Attributes } from './graph.js';

/** What activations are written in, beyond sums and products. */
export interface ActivationMath<V> extends Arithmetic<V> {
  /** dy where y, clipped to 0 to 1, lies strictly between them, else 0. */
  clipGradient(dy: V, y: V): V;
  erf(x: V): V;
  /** x / 6 + 1/2, clipped to 0 to 1. */
  hardSigmoid(x: V): V;
  sigmoid(x: V): V;
  /** log(1 + e^x) */
  softplus(x: V): V;
  tanh(x: V): V;
}

/** An activation y = f(x): its value, and dx of dy. */
export interface Activation {
  value<V>(m: ActivationMath<V>, x: V, attributes: Attributes): V;
  gradient<V>(m: ActivationMath<V>, dy: V, x: V, attributes: Attributes): V;
}

/** x sigmoid(alpha x): SiLU with alpha 1, quick GELU with 1.702 (Ramachandran et al. 2017). */
const swish: Activation = {
  value: (m, x, attributes) => m.mul(x, swishGate(m, x, attributes)),
  // with s = sigmoid(alpha x) and y = x s: dy/dx = s + alpha x s (1 - s) = s + s alpha (x - y)
  gradient(m, dy, x, attributes) {
    const s = swishGate(m, x, attributes),
      g = m.mul(dy, s);
    return m.add(g, m.mul(g, times(m, m.sub(x, m.mul(x, s)), numberOf(attributes, 'alpha', 1))));
  },
};

const swishGate = <V>(m: ActivationMath<V>, x: V, attributes: Attributes): V =>
  m.sigmoid(times(m, x, numberOf(attributes, 'alpha', 1)));

const times = <V>(m: ActivationMath<V>, x: V, factor: number): V => (factor === 1 ? x : m.mul(x, factor));

/** x Phi(x) = x/2 (1 + erf(x / sqrt 2)), with Phi of the normal distribution (Hendrycks and Gimpel 2016). */
const gelu: Activation = {
  value: (m, x) => m.mul(m.mul(x, 0.5), m.add(m.erf(m.mul(x, Math.SQRT1_2)), 1)),
  // dy/dx = Phi(x) + x e^(-x^2 / 2) / sqrt(2 pi)
  gradient(m, dy, x) {
    const scaled = m.mul(x, Math.SQRT1_2),
      density = m.mul(m.exp(m.neg(m.mul(scaled, scaled))), 1 / Math.sqrt(2 * Math.PI));
    return m.mul(dy, m.add(m.mul(m.add(m.erf(scaled), 1), 0.5), m.mul(x, density)));
  },
};

/** GELU's approximation x/2 (1 + tanh u), u = sqrt(2 / pi) (x + 0.044715 x^3). */
const geluByTanh: Activation = {
  value: (m, x) => m.mul(m.mul(x, 0.5), m.add(geluTanh(m, x), 1)),
  // dy/dx = (1 + t) / 2 + x/2 (1 - t^2) du/dx
  gradient(m, dy, x) {
    const t = geluTanh(m, x),
      inner = m.add(m.mul(m.mul(x, x), 3 * 0.044715 * geluSlope), geluSlope);
    const through = m.mul(m.mul(m.mul(x, 0.5), inner), m.sub(1, m.mul(t, t)));
    return m.mul(dy, m.add(m.mul(m.add(t, 1), 0.5), through));
  },
};

const geluSlope = Math.sqrt(2 / Math.PI);

const geluTanh = <V>(m: ActivationMath<V>, x: V): V =>
  m.tanh(m.mul(m.add(x, m.mul(m.mul(m.mul(x, x), x), 0.044715)), geluSlope));

const geluOf = (attributes: Attributes): Activation =>
  textOf(attributes, 'approximate', 'none') === 'tanh' ? geluByTanh : gelu;

/** x tanh(softplus(x)) (Misra 2019). */
const mish: Activation = {
  value: (m, x) => m.mul(x, m.tanh(m.softplus(x))),
  // with t = tanh(softplus(x)): dy/dx = t + x sigmoid(x) (1 - t^2)
  gradient(m, dy, x) {
    const t = m.tanh(m.softplus(x));
    return m.mul(dy, m.add(t, m.mul(m.mul(x, m.sigmoid(x)), m.sub(1, m.mul(t, t)))));
  },
};

/** x h with h = hardSigmoid(x) (Howard et al. 2019). */
const hardSwish: Activation = {
  value: (m, x) => m.mul(x, m.hardSigmoid(x)),
  // dy/dx = h + x / 6 where 0 < h < 1
  gradient(m, dy, x) {
    const h = m.hardSigmoid(x);
    return m.mul(dy, m.add(h, m.clipGradient(m.mul(x, 1 / 6), h)));
  },
};

/**
 * Activations that are one op forward, named and parametrised as in newer opsets of ONNX, and one
 * op backward, `SwishGrad` (dy, x) and so on. An engine computes them at once or writes them out
 * (`expandActivations`); files have them written out, as in opset 17.
 */
export const activations: Readonly<Record<string, Activation>> = {
  Swish: swish,
  Gelu: {
    value: (m, x, attributes) => geluOf(attributes).value(m, x, attributes),
    gradient: (m, dy, x, attributes) => geluOf(attributes).gradient(m, dy, x, attributes),
  },
  HardSwish: hardSwish,
  Mish: mish,
};

/** The gradient's op for each activation's. */
export const activationGradients: ReadonlyMap<string, string> = new Map(
  Object.keys(activations).map((op) => [op, `${op}Grad`]),
);
