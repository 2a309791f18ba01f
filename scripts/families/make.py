"""Makes what sweep.js reads: `python make.py CACHE [NETWORK...] [--list families.json]`.

Each network of the list is built with random weights, exported to ONNX, and run and trained for one
step by PyTorch. CACHE gets NETWORK.onnx (weights inside), NETWORK.bin (the images, float32 NCHW) and
NETWORK.json: labels, outputs, loss and gradients of mean cross-entropy in float64, how far PyTorch's
own float32 is from them, and the parameters. Networks that CACHE has already are left alone; one that
cannot be made leaves NETWORK.error, with the reason. README.md beside this file has the formats.
"""

import argparse
import copy
import gc
import itertools
import json
import math
import os
import traceback
import warnings

import numpy as np
import onnx
import timm
import torch
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
CLASSES = 10
SAMPLES = 64
FLOOR = 1e-3
SIZES = (64, 96, 128, 160, 192, 224, 240, 256, 331)


# ---- networks


def settled(model, images):
    """A copy-free set-up that lets every parameter matter: no zero scales, no equal tensors, running statistics that fit the data."""
    generator = torch.Generator().manual_seed(1)
    uniform = lambda like, low, high: torch.rand(like.shape, generator=generator) * (high - low) + low
    with torch.no_grad():
        for name, p in model.named_parameters():
            constant = p.numel() == 1 or bool((p == p.reshape(-1)[0]).all())
            if not constant:
                # Tensors of equal values would become one when they are exported.
                p.add_(torch.randn(p.shape, generator=generator) * 0.01 * p.std())
                # A classifier of nearly zero lets no gradient through to what is before it.
                if p.dim() >= 2 and p.shape[0] == CLASSES:
                    p.mul_(max(1.0, 1 / (math.sqrt(p[0].numel()) * float(p.std()))))
                continue
            value = float(p.reshape(-1)[0])
            if abs(value) > 1e-2:
                p.mul_(uniform(p, 0.9, 1.1))
            elif p.dim() >= 2 and name.endswith('weight') and p[0].numel() > 1:
                p.copy_(torch.randn(p.shape, generator=generator) / math.sqrt(p[0].numel()))
            elif name.endswith('bias') or 'pos' in name:
                p.copy_(uniform(p, -0.1, 0.1))
            else:
                p.copy_(uniform(p, 0.2, 0.5))
        norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None]
        for norm in norms:
            norm.train()
            norm.before, norm.momentum = norm.momentum, 1.0
        model(images)
        for norm in norms:
            norm.eval()
            norm.momentum = norm.before
            norm.running_mean.add_(uniform(norm.running_mean, -0.02, 0.02) * norm.running_var.sqrt())
            norm.running_var.mul_(uniform(norm.running_var, 0.96, 1.04))


def in_training(model):
    """Everything as in evaluation (no dropout, no stochastic depth), but batch statistics."""
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train()
    return model


def build_timm(entry):
    options = dict(entry.get('options', {}))
    size = entry['size']
    attempts = [{'img_size': size}, {'input_size': (3, size, size)}, {}]
    error = None
    for attempt in attempts:
        torch.manual_seed(0)
        try:
            return timm.create_model(entry['model'], num_classes=CLASSES, exportable=True, **options, **attempt).eval()
        except TypeError as caught:
            error = caught
    raise error


# ---- what PyTorch computes


def gradients(model, images, labels, dtype, reverse=False):
    model = in_training(copy.deepcopy(model).to(dtype))
    images = images.to(dtype)
    if reverse:
        images, labels = images.flip(0), labels.flip(0)
    loss = nn.functional.cross_entropy(model(images), labels)
    loss.backward()
    return loss.item(), {name: None if p.grad is None else p.grad.double().contiguous().numpy().reshape(-1) for name, p in model.named_parameters()}


def spread_indices(count):
    """All entries of a small tensor, else 64 spread over it."""
    if count <= SAMPLES:
        return list(range(count))
    step = (count * 0.6180339887) % count
    return sorted({int(i * step) % count for i in range(SAMPLES)})


def yardstick(gradient, reference, largest):
    floor = FLOOR * largest * math.sqrt(reference.size)
    return float(np.linalg.norm(gradient - reference) / max(np.linalg.norm(reference) + floor, 1e-300))


def targets(model, images, labels):
    loss, exact = gradients(model, images, labels, torch.float64)
    singles = [gradients(model, images, labels, torch.float32, reverse)[1] for reverse in (False, True)]
    used = {name: g for name, g in exact.items() if g is not None}
    largest = max(float(np.linalg.norm(g) / math.sqrt(g.size)) for g in used.values())
    found = {}
    for name, g in used.items():
        indices = spread_indices(g.size)
        found[name] = {
            'norm': float(np.linalg.norm(g)), 'indices': indices, 'samples': [float(v) for v in g[indices]],
            'float32': max(yardstick(single[name][indices], g[indices], largest) for single in singles),
        }
    return {'loss': loss, 'largestRms': largest, 'gradients': found, 'unused': [name for name, g in exact.items() if g is None]}


# ---- graphs


def export(model, images, file, outputs):
    """By TorchScript; by the newer exporter what that cannot do. Batch and BatchNormalization stay."""
    torch.backends.mha.set_fastpath_enabled(False)
    names = {'input_names': ['input'], 'output_names': outputs}
    try:
        torch.onnx.export(
            model, (images,), file, dynamo=False, opset_version=17, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
            dynamic_axes={name: {0: 'batch'} for name in ('input', *outputs)}, **names)
        return 'torchscript 17'
    except Exception as error:
        reason = f'{type(error).__name__}: {error}'.split('\n')[0][:160]
        print(f'    TorchScript: {reason}', flush=True)
    program = torch.onnx.export(
        model, (images,), dynamo=True, opset_version=20, optimize=False, external_data=False, verbose=False, dynamic_shapes=({0: torch.export.Dim('batch')},), **names)
    program.save(file)
    return 'dynamo 20'


def renamed_in(file, model):
    """Initializer -> the parameter it holds, where the exporter gave another name, with the axes' order."""
    known = {name: p.detach().numpy() for name, p in [*model.named_parameters(), *model.named_buffers()]}
    by_size = {}
    for name, values in known.items():
        by_size.setdefault(values.size, []).append(name)
    renamed = {}
    graph = onnx.load(file).graph
    stored = [(item.name, item) for item in graph.initializer]
    for node in graph.node:
        if node.op_type == 'Constant' and node.attribute and node.attribute[0].HasField('t'):
            stored.append((node.output[0], node.attribute[0].t))
    for name, item in stored:
        if name in known or item.data_type != onnx.TensorProto.FLOAT or math.prod(item.dims) == 0:
            continue
        values = onnx.numpy_helper.to_array(item)
        for candidate in by_size.get(values.size, []):
            tensor = known[candidate]
            if tensor.dtype != np.float32 or not np.array_equal(np.sort(tensor, axis=None), np.sort(values, axis=None)):
                continue
            orders = itertools.permutations(range(tensor.ndim)) if tensor.ndim <= 5 else []
            order = next((axes for axes in orders if np.array_equal(np.transpose(tensor, axes).reshape(-1), values.reshape(-1))), None)
            if order is not None:
                renamed[name] = {'parameter': candidate, 'permutation': list(order)}
                break
    return renamed


# ---- one network


def batch(entry):
    generator = torch.Generator().manual_seed(entry.get('seed', 2))
    count, size = entry.get('batch', 4), entry['size']
    # Smooth pictures under noise, so that images differ as photographs do.
    coarse = nn.functional.interpolate(torch.randn(count, 3, 5, 5, generator=generator), size=(size, size), mode='bilinear')
    images = coarse + 0.3 * torch.randn(count, 3, size, size, generator=generator)
    return images, torch.tensor([(3 * i + 1) % CLASSES for i in range(count)])


def write(cache, entry, model, images, labels, more):
    stem = os.path.join(cache, entry['model'])
    exporter = export(model, images, f'{stem}.onnx', more['outputs'])
    images.numpy().astype('<f4').tofile(f'{stem}.bin')
    described = {
        **{key: value for key, value in entry.items() if key != 'options'}, 'exporter': exporter, 'shape': list(images.shape), 'labels': labels.tolist(),
        'parameterCount': sum(p.numel() for p in model.parameters()),
        'parameters': {name: list(p.shape) for name, p in model.named_parameters()},
        'buffers': {name: list(p.shape) for name, p in model.named_buffers()},
        'batchNorm': any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()),
        'renamed': renamed_in(f'{stem}.onnx', model), **more,
    }
    with open(f'{stem}.tmp', 'w') as target:
        json.dump(described, target)
    os.replace(f'{stem}.tmp', f'{stem}.json')
    return exporter


def make(cache, entry):
    model = build_timm(entry)
    images, labels = batch(entry)
    settled(model, images)
    model.eval()
    with torch.no_grad():
        logits = copy.deepcopy(model).double()(images.double())
        single = model(images)
    more = {
        'outputs': ['logits'], 'values': logits.reshape(-1).tolist(), 'float32': float((single.double() - logits).abs().max()),
        'features': model.num_features if not hasattr(model, 'head_hidden_size') else model.head_hidden_size,
        **targets(model, images, labels),
    }
    return write(cache, entry, model, images, labels, more)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('cache')
    parser.add_argument('networks', nargs='*')
    parser.add_argument('--list', default=os.path.join(HERE, 'families.json'))
    arguments = parser.parse_args()
    os.makedirs(arguments.cache, exist_ok=True)
    torch.set_num_threads(1)
    warnings.filterwarnings('ignore')
    with open(arguments.list) as source:
        entries = json.load(source)
    for entry in entries:
        name = entry['model']
        stem = os.path.join(arguments.cache, name)
        if (arguments.networks and name not in arguments.networks) or os.path.exists(f'{stem}.json'):
            continue
        reasons = []
        for size in [entry['size']] if 'size' in entry else SIZES:
            try:
                exporter = make(arguments.cache, {**entry, 'size': size})
                print(f'{name} {size} {exporter}', flush=True)
                reasons = []
                break
            except Exception as error:
                reasons.append(f'{size}: {type(error).__name__}: {str(error)[:300]}\n{traceback.format_exc(limit=-2)}')
            gc.collect()
        if reasons:
            print(f'{name}: {reasons[-1][:200]}', flush=True)
            with open(f'{stem}.error', 'w') as target:
                target.write('\n'.join(reasons))


if __name__ == '__main__':
    main()
