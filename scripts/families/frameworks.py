"""As make.py, of torchvision, Keras 3 and ultralytics, exported as their users do it:
`python frameworks.py CACHE [NETWORK...] [--list frameworks.json]`.

torchvision's networks are exported twice, NETWORK-dynamo and NETWORK-torchscript, in evaluation:
both exporters put BatchNormalization into the convolution before it where they can. Keras runs on
PyTorch (KERAS_BACKEND chooses another), its networks end in softmax and `values` are the scores
before it. `preprocessing` is what the network's author puts before it: `inside` the network takes
bytes, `unit` x / 255, `torch` ImageNet's mean and std, `tf` x / 127.5 - 1, `caffe` means
subtracted from bytes, blue first.
"""

import argparse
import copy
import gc
import json
import os
import traceback
import warnings

os.environ.setdefault('KERAS_BACKEND', 'torch')

import numpy as np
import onnx
import torch
from torch import nn

import make

EXPORTERS = ('dynamo', 'torchscript')


# ---- torchvision


def build_torchvision(entry, name):
    import torchvision

    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None, num_classes=make.CLASSES, **entry.get('options', {}))
    if 'hidden' in entry:
        # 133 million parameters otherwise.
        features = model.classifier[0].in_features
        model.classifier = nn.Sequential(nn.Linear(features, entry['hidden']), nn.ReLU(True), nn.Dropout(), nn.Linear(entry['hidden'], make.CLASSES))
    return model.eval()


def export_torchvision(model, images, file, exporter):
    names = {'input_names': ['input'], 'output_names': ['logits']}
    if exporter == 'dynamo':
        torch.onnx.export(model, (images,), file, dynamic_shapes=({0: torch.export.Dim('batch')},), verbose=False, **names)
    else:
        torch.onnx.export(model, (images,), file, dynamo=False, dynamic_axes={'input': {0: 'batch'}, 'logits': {0: 'batch'}}, **names)


def trained_in(file, model):
    """How many numbers of the file are to be trained: a normalisation in a convolution leaves that one a bias."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    count = sum(p.numel() for p in model.parameters())
    # Auxiliary classifiers are not exported.
    for name in ('AuxLogits', 'aux1', 'aux2'):
        part = getattr(model, name, None)
        if part is not None:
            count -= sum(p.numel() for p in part.parameters())
            norms = [norm for norm in norms if not any(norm is other for other in part.modules())]
    graph = onnx.load(file, load_external_data=False).graph
    dims = {item.name: list(item.dims) for item in graph.initializer}
    left = [dims[node.input[1]][0] for node in graph.node if node.op_type == 'BatchNormalization']
    if not norms:
        return count
    folded = sum(norm.num_features for norm in norms) - sum(left)
    # Convolutions before a normalisation have no bias, but in VGG.
    biases = sum(module.out_channels for module in model.modules() if isinstance(module, nn.Conv2d) and module.bias is not None)
    return count - (2 * folded if biases == sum(norm.num_features for norm in norms) else folded)


def make_torchvision(cache, entry, name):
    model = build_torchvision(entry, name)
    images, labels = make.batch(entry)
    make.settled(model, images)
    model.eval()
    with torch.no_grad():
        logits = copy.deepcopy(model).double()(images.double())
        single = model(images)
    has_norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    more = {
        'kind': 'classifier', 'preprocessing': 'torch', 'values': logits.reshape(-1).tolist(), 'float32': float((single.double() - logits).abs().max()),
        **({} if has_norm else make.targets(model, images, labels)),
    }
    for exporter in EXPORTERS:
        stem = os.path.join(cache, f'{entry["model"]}-{exporter}')
        export_torchvision(model, images, f'{stem}.onnx', exporter)
        count = trained_in(f'{stem}.onnx', model)
        named = {} if has_norm else {
            'parameters': {key: list(p.shape) for key, p in model.named_parameters()}, 'buffers': {key: list(p.shape) for key, p in model.named_buffers()},
            'renamed': make.renamed_in(f'{stem}.onnx', model),
        }
        save(stem, {**entry, 'model': os.path.basename(stem)}, images.numpy(), labels.tolist(), f'{exporter} {opset(stem)}', {**more, **named, 'parameterCount': count})


# ---- Keras


def prepared(images, mode):
    """Images around 0 with a deviation of about 1, as what a network of this preprocessing gets."""
    unit = np.clip(0.5 + images / 4, 0, 1)
    if mode == 'inside':
        return np.round(255 * unit)
    if mode == 'unit':
        return unit
    if mode == 'tf':
        return 2 * unit - 1
    if mode == 'caffe':
        return 255 * unit[:, ::-1] - np.array([103.939, 116.779, 123.68]).reshape(1, 3, 1, 1)
    return images


def make_keras(cache, entry, name):
    import keras

    keras.utils.set_random_seed(0)
    size = entry['size']
    make_network = getattr(keras.applications, name)
    options = {'weights': None, 'classes': make.CLASSES, 'input_shape': (size, size, 3), **entry.get('options', {})}
    model = make_network(**options)
    random = np.random.default_rng(1)
    for variable in model.weights:
        # Away from their initial values, so that each counts and no two are equal.
        values, kind = np.array(variable), variable.path.split('/')[-1]
        if kind in ('beta', 'bias', 'moving_mean', 'mean'):
            values = values + random.uniform(-0.1, 0.1, values.shape)
        elif kind in ('gamma', 'moving_variance', 'variance'):
            values = np.maximum(values, 0.2) * random.uniform(0.9, 1.1, values.shape)
        variable.assign(values.astype(values.dtype))
    scores = make_network(**options, classifier_activation=None)
    scores.set_weights(model.get_weights())
    images, labels = make.batch(entry)
    fed = np.ascontiguousarray(prepared(images.numpy(), entry['preprocessing']), dtype=np.float32)
    values = keras.ops.convert_to_numpy(scores(np.moveaxis(fed, 1, -1), training=False))
    stem = os.path.join(cache, entry['model'])
    model(np.moveaxis(fed, 1, -1), training=False)
    model.export(f'{stem}.onnx', format='onnx', verbose=False)
    trained = sum(int(np.prod(variable.shape)) for variable in model.trainable_weights)
    more = {'kind': 'classifier', 'values': values.astype(float).reshape(-1).tolist(), 'parameterCount': trained, 'trainedOf': model.count_params()}
    save(stem, entry, fed, labels.tolist(), f'keras on {keras.backend.backend()} {opset(stem)}', more)


# ---- ultralytics


def make_ultralytics(cache, entry, name):
    from ultralytics import YOLO

    torch.manual_seed(0)
    images, labels = make.batch(entry)
    yolo = YOLO(f'{name}.yaml', task='classify')
    network = yolo.model
    make.settled(network.train(False), images)
    network.names = {index: f'sort {index}' for index in range(len(network.names))}
    fed = np.ascontiguousarray(prepared(images.numpy(), 'unit'), dtype=np.float32)
    with torch.no_grad():
        classifier = network.model[-1]
        caught = []
        hook = classifier.linear.register_forward_hook(lambda module, inputs, output: caught.append(output))
        network.eval()(torch.from_numpy(fed))
        hook.remove()
    trained = sum(p.numel() for p in network.parameters())
    here = os.getcwd()
    os.chdir(cache)
    try:
        written = yolo.export(format='onnx', imgsz=entry['size'], dynamic=True, simplify=False)
        stem = os.path.join(cache, entry['model'])
        os.replace(written, f'{stem}.onnx')
    finally:
        os.chdir(here)
    norms = sum(module.num_features for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
    more = {'kind': 'classifier', 'values': caught[0].double().reshape(-1).tolist(), 'parameterCount': trained - norms, 'label': 'sort 0'}
    save(stem, entry, fed, labels.tolist(), f'ultralytics {opset(stem)}', more)


# ---- files


def opset(stem):
    return next(item.version for item in onnx.load(f'{stem}.onnx', load_external_data=False).opset_import if item.domain == '')


def save(stem, entry, images, labels, exporter, more):
    images.astype('<f4').tofile(f'{stem}.bin')
    with open(f'{stem}.tmp', 'w') as target:
        json.dump({**{key: value for key, value in entry.items() if key != 'options'}, 'exporter': exporter, 'shape': list(images.shape), 'labels': labels, **more}, target)
    os.replace(f'{stem}.tmp', f'{stem}.json')
    print(f'{os.path.basename(stem)} {exporter}', flush=True)


MAKERS = {'torchvision': make_torchvision, 'keras': make_keras, 'ultralytics': make_ultralytics}


def made_of(entry):
    """The names of what is made of a row."""
    return [f'{entry["model"]}-{exporter}' for exporter in EXPORTERS] if entry['model'].startswith('torchvision') else [entry['model']]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('cache')
    parser.add_argument('networks', nargs='*')
    parser.add_argument('--list', default=os.path.join(make.HERE, 'frameworks.json'))
    arguments = parser.parse_args()
    cache = os.path.abspath(arguments.cache)
    os.makedirs(cache, exist_ok=True)
    torch.set_num_threads(1)
    warnings.filterwarnings('ignore')
    with open(arguments.list) as source:
        entries = json.load(source)
    with open(os.path.join(cache, 'list.json'), 'w') as target:
        json.dump([{'model': name} for entry in entries for name in made_of(entry)], target)
    for entry in entries:
        files = [os.path.join(cache, name) for name in made_of(entry)]
        if entry['model'] not in arguments.networks if arguments.networks else all(os.path.exists(f'{file}.json') for file in files):
            continue
        framework, name = entry['model'].split('-', 1)
        try:
            MAKERS[framework](cache, {'size': 64, **entry}, name)
        except Exception as error:
            reason = f'{type(error).__name__}: {str(error)[:300]}'
            print(f'{entry["model"]}: {reason}', flush=True)
            for file in files:
                if not os.path.exists(f'{file}.json'):
                    with open(f'{file}.error', 'w') as target:
                        target.write(f'{reason}\n{traceback.format_exc(limit=-3)}')
        gc.collect()


if __name__ == '__main__':
    main()
