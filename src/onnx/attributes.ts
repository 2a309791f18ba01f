/**
 * In the file a number is tagged as integer or float; in the graph it is a plain number. These
 * attributes are floats wherever they occur in the ops of ONNX's own domain and of onnxruntime's;
 * every other number is an integer.
 */
const floatAttributes: ReadonlySet<string> = new Set([
  'activation_alpha',
  'activation_beta',
  'activation_params',
  'alpha',
  'beta',
  'cubic_coeff_a',
  'epsilon',
  'extrapolation_value',
  'gamma',
  'high',
  'lambd',
  'low',
  'mask_filter_value',
  'mean',
  'momentum',
  'norm_epsilon',
  'ratio',
  'rotary_scale',
  'scale',
  'scales',
  'seed',
  'softcap',
  'spatial_scale',
  'value_float',
  'value_floats',
]);

/** `bias` is a float in LRN and Shrink; nowhere else is there a numeric attribute of that name. */
const floatIn: Readonly<Record<string, ReadonlySet<string>>> = {
  bias: new Set(['LRN', 'Shrink']),
  max: new Set(['Clip']),
  min: new Set(['Clip']),
};

/**
 * Attributes that are lists even when they have one element are arrays in the graph; so only the
 * kind of number is open.
 */
export const isFloatAttribute = (op: string, name: string): boolean =>
  floatAttributes.has(name) || (floatIn[name]?.has(op) ?? false);
