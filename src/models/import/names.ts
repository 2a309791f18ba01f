/** Names that exporters make up: they say nothing about the part of the network. */
const anonymous =
  /^(onnx::\w+|_?val_\d+|const_fold_opt__\d+|new_shape__\d+|\d+|_?[vx]\d+|.*Constant(_\d+)?_output_\d+|.*_output_\d+|ortshared_.*|const__?\d*|node_.*|tmp_\d+|scalar_tensor(_default)?(_\d+)?|(c_)?_?(lifted_tensor|tensor_constant)_?\d+|(add|cat|clone|div|exp|expand|getitem|index|mul|permute|pow|repeat|reshape|select|slice|sub|transpose|unsqueeze|view|value)(_\d+)?)$/;

/**
 * The name that a file gives to a stored tensor, made plain (`a/b/ReadVariableOp:0` is `a.b`);
 * undefined when it is made up.
 */
export function storedName(name: string): string | undefined {
  const plain = name.replace(/\.fp16$/, '');
  if (plain === '' || anonymous.test(plain)) return undefined;
  if (!plain.includes('/')) return plain.replace(/\.weight_bias$/, '.bias');
  return (
    plain
      .replace(/:\d+$/, '')
      .replace(/^(StatefulPartitionedCall|PartitionedCall)\//, '')
      .replace(/(\/(ReadVariableOp|Read\/ReadVariableOp|Cast))+(_\d+)?(\/resource)?$/, '')
      .replace(/^\/+|\/+$/g, '')
      .replaceAll('/', '.') || undefined
  );
}

/** Whether a file calls a tensor by a name that a network's code gave it: `block.0.gain`, `p`. */
export const isNamed = (name: string): boolean => storedName(name) === name.replace(/\.fp16$/, '');

/**
 * The part of the network that a node belongs to, from its name: `/layer1/layer1.0/conv1/Conv` is
 * `layer1.0.conv1` (a step that begins with the one before repeats it),
 * `StatefulPartitionedCall/model/conv1/Conv2D` is `model.conv1`, `node_linear_3` is `linear_3`.
 */
export function modulePath(nodeName: string): string {
  const steps = nodeName
    .replace(/^(StatefulPartitionedCall|PartitionedCall)\//, '')
    .split('/')
    .filter((step) => step !== '');
  if (steps.length <= 1) return nodeName.includes('/') ? '' : nodeName.replace(/^node_+/, '');
  const path: string[] = [];
  for (const step of steps.slice(0, -1)) {
    if (path.length > 0 && step.startsWith(`${path[path.length - 1]}.`)) path[path.length - 1] = step;
    else path.push(step);
  }
  return path.join('.');
}
