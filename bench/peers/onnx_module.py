"""An ONNX file of convolutions as a torch module with the same weights: so that both sides can begin where the same file does."""
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional as F


class Convolution(nn.Module):
    """Conv with ONNX's padding; SAME_UPPER puts an odd pixel at the end, as TensorFlow does."""

    def __init__(self, weight, bias, stride, groups, same):
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.stride, self.groups, self.same = stride, groups, same

    def forward(self, x):
        kernel, padding = self.weight.shape[2:], 0
        if self.same:
            total = [max((-(-size // self.stride) - 1) * self.stride + k - size, 0) for size, k in zip(x.shape[2:], kernel)]
            if all(t % 2 == 0 for t in total):
                padding = [t // 2 for t in total]
            else:
                x = F.pad(x, [total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2])
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, 1, self.groups)


class OnnxBackbone(nn.Module):
    """The file's graph up to its global pooling, as features [N, F]. Knows Conv, Clip 0 to 6, Add, Identity and GlobalAveragePool."""

    def __init__(self, file):
        super().__init__()
        graph = onnx.load(file).graph
        tensors = {item.name: torch.tensor(numpy_helper.to_array(item)) for item in graph.initializer}
        self.input, self.layers, self.steps = graph.input[0].name, nn.ModuleList(), []
        for node in graph.node:
            attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
            if node.op_type == 'Conv':
                self.steps.append(('Conv', node.input[0], len(self.layers), node.output[0]))
                self.layers.append(Convolution(
                    tensors[node.input[1]], tensors[node.input[2]], attributes['strides'][0], attributes['group'], attributes.get('auto_pad') == b'SAME_UPPER'))
            elif node.op_type in ('Clip', 'Add', 'Identity', 'GlobalAveragePool'):
                self.steps.append((node.op_type, *[name for name in node.input if name not in tensors], node.output[0]))
            else:
                raise ValueError(f'{file}: no torch counterpart of {node.op_type}')
            if node.op_type == 'GlobalAveragePool':
                break

    def forward(self, x):
        values = {self.input: x}
        for op, *inputs, output in self.steps:
            a = values[inputs[0]]
            values[output] = (self.layers[inputs[1]](a) if op == 'Conv' else F.relu6(a) if op == 'Clip' else a + values[inputs[1]] if op == 'Add'
                              else a.mean((2, 3)) if op == 'GlobalAveragePool' else a)
        return values[output]
