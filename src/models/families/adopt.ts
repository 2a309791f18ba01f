import { PupilError } from '../../errors.js';
import { toFloat32 } from '../../onnx/index.js';
import type { Tensor } from '../../tensor.js';
import { initialise, type Declared } from './layers.js';

/** Trained tensors by name, and the file they come from. */
export interface Weights {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly file: string;
}

const floats: ReadonlySet<string> = new Set(['float32', 'float64', 'float16', 'bfloat16']);

/**
 * The tensors of a file as the parameters that an architecture declares, in float32. A classifier
 * of which the file has nothing begins afresh. Throws `bad-model` that names what is missing, too
 * many or of another shape.
 */
export function adopt(
  declared: ReadonlyMap<string, Declared>,
  { tensors, file }: Weights,
  options: { readonly architecture: string; readonly classifier: string; readonly seed: number },
): Map<string, Tensor> {
  const head = [...declared].filter(([name]) => name.startsWith(`${options.classifier}.`));
  const fresh = head.some(([name]) => tensors.has(name))
    ? new Map<string, Tensor>()
    : initialise(new Map(head), options.seed);
  const missing: string[] = [],
    misshaped: string[] = [];
  const parameters = new Map<string, Tensor>();
  for (const [name, { dims }] of declared) {
    const found = fresh.get(name) ?? tensors.get(name);
    if (!found) missing.push(name);
    else if (!floats.has(found.dtype)) misshaped.push(`${name} is ${found.dtype}`);
    else if (found.dims.join() !== dims.join())
      misshaped.push(`${name} is [${found.dims.join(', ')}], expected [${dims.join(', ')}]`);
    else parameters.set(name, toFloat32(found));
  }
  const extra = [...tensors.keys()].filter((name) => !declared.has(name));
  const wrong = [
    ...listed('missing', missing),
    ...listed('not of this architecture', extra),
    ...(misshaped.length > 0 ? [some(misshaped, '; ')] : []),
  ];
  if (wrong.length === 0) return parameters;
  const remedy = misshaped.some((text) => text.startsWith('pos_embed'))
    ? 'give the `size` it was trained at'
    : 'give the weights of this architecture, or an ONNX export of the model';
  throw new PupilError(
    'bad-model',
    `${file}: its tensors are not those of ${options.architecture}: ${wrong.join('; ')}; ${remedy}`,
  );
}

const listed = (what: string, names: readonly string[]): string[] =>
  names.length === 0 ? [] : [`${what}: ${some(names, ', ')}`];

function some(texts: readonly string[], separator: string): string {
  const shown = texts.slice(0, 4).join(separator);
  return texts.length > 4 ? `${shown} and ${texts.length - 4} more` : shown;
}
