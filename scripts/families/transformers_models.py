"""As make.py, of Hugging Face's transformers: `python transformers_models.py CACHE [NAME...]`. Tiny configurations of its own classes, random
weights. Classifiers are compared as timm's are; encoders are exported with the outputs that people's files have (last_hidden_state,
pooler_output, image_embeds), and `values` is what a new classifier should read of them."""

import argparse
import copy
import json
import os
import traceback
import warnings

import torch
import transformers
from torch import nn

import make

VIT = {'hidden_size': 32, 'num_hidden_layers': 2, 'num_attention_heads': 2, 'intermediate_size': 64, 'image_size': 64, 'patch_size': 16}
HIERARCHY = {'embed_dim': 16, 'depths': [1, 1], 'num_heads': [2, 2], 'window_size': 4, 'image_size': 64, 'patch_size': 4}
STAGES = {'depths': [1, 1, 1, 1], 'hidden_sizes': [8, 16, 24, 32], 'image_size': 64}
RESNET = {'embedding_size': 8, 'hidden_sizes': [8, 16, 24, 32], 'depths': [1, 1, 1, 1]}
PYRAMID = {'num_encoder_blocks': 4, 'depths': [1, 1, 1, 1], 'hidden_sizes': [8, 16, 24, 32], 'num_attention_heads': [1, 1, 2, 2], 'image_size': 64}

# Class without ForImageClassification -> options of its configuration.
CLASSIFIERS = {
    'ViT': VIT, 'DeiT': VIT, 'Beit': {**VIT, 'use_relative_position_bias': True}, 'Data2VecVision': VIT, 'ViTMSN': VIT,
    'Dinov2': VIT, 'Dinov2WithRegisters': VIT, 'IJepa': VIT, 'Siglip': {'vision_config': VIT}, 'CLIP': {'vision_config': VIT},
    'Swin': HIERARCHY, 'Swinv2': HIERARCHY, 'ConvNext': STAGES, 'ConvNextV2': STAGES, 'ResNet': RESNET, 'RegNet': {**RESNET, 'groups_width': 4},
    'MobileNetV2': {'depth_multiplier': 0.35, 'image_size': 64}, 'MobileViT': {'image_size': 64, 'hidden_sizes': [32, 40, 48], 'neck_hidden_sizes': [8, 8, 16, 24, 32, 40, 64]},
    'PvtV2': {**PYRAMID, 'image_size': {'height': 64, 'width': 64}}, 'EfficientNet': {'image_size': 64, 'width_coefficient': 0.25, 'depth_coefficient': 0.3, 'hidden_dim': 320},
}
# Class -> options, outputs of the file, what a classifier should read: an output, the class token, the mean of tokens or of positions.
ENCODERS = {
    'ViTModel': (VIT, ['last_hidden_state', 'pooler_output'], 'pooler_output'),
    'DeiTModel': (VIT, ['last_hidden_state', 'pooler_output'], 'pooler_output'),
    'BeitModel': (VIT, ['last_hidden_state', 'pooler_output'], 'pooler_output'),
    'Dinov2Model': (VIT, ['last_hidden_state', 'pooler_output'], 'pooler_output'),
    'Dinov2WithRegistersModel': (VIT, ['last_hidden_state'], 'class token'),
    'DINOv3ViTModel': ({**VIT, 'num_register_tokens': 4}, ['last_hidden_state', 'pooler_output'], 'pooler_output'),
    'DINOv3ConvNextModel': (STAGES, ['last_hidden_state', 'pooler_output'], 'pooler_output'),
    'CLIPVisionModel': (VIT, ['last_hidden_state', 'pooler_output'], 'pooler_output'),
    'CLIPVisionModelWithProjection': ({**VIT, 'projection_dim': 24}, ['image_embeds', 'last_hidden_state'], 'image_embeds'),
    'SiglipVisionModel': (VIT, ['last_hidden_state', 'pooler_output'], 'pooler_output'),
    'ViTMSNModel': (VIT, ['last_hidden_state'], 'class token'),
    'IJepaModel': (VIT, ['last_hidden_state'], 'mean'),
    'SwinModel': (HIERARCHY, ['last_hidden_state', 'pooler_output'], 'pooler_output'),
    'ConvNextModel': (STAGES, ['last_hidden_state', 'pooler_output'], 'pooler_output'),
    'ResNetModel': (RESNET, ['last_hidden_state', 'pooler_output'], 'pooler_output'),
    'Aimv2VisionModel': ({**VIT, 'use_head': False}, ['last_hidden_state'], 'mean'),
    'BlipVisionModel': (VIT, ['last_hidden_state', 'pooler_output'], 'pooler_output'),
}


class Chosen(nn.Module):
    """The outputs of a model by name, in this order."""

    def __init__(self, model, outputs):
        super().__init__()
        self.model, self.outputs = model, outputs

    def forward(self, pixel_values):
        result = self.model(pixel_values=pixel_values, return_dict=True)
        found = tuple(result[name] for name in self.outputs)
        return found[0] if len(found) == 1 else found


def features(values, expected):
    if expected == 'class token':
        return values[:, 0]
    if expected == 'mean':
        return values.mean(1) if values.dim() == 3 else values.mean((2, 3))
    return values.flatten(1)


def configuration(name, options, **more):
    found = getattr(transformers, name)
    attention = {} if 'attn_implementation' in options else {'attn_implementation': 'eager'}
    return found(**copy.deepcopy(options), **more, **attention)


def build(name):
    torch.manual_seed(0)
    if name in CLASSIFIERS:
        config = configuration(f'{name}Config', CLASSIFIERS[name], num_labels=make.CLASSES)
        model = Chosen(getattr(transformers, f'{name}ForImageClassification')(config), ['logits'])
        return model.eval(), {'kind': 'classifier', 'outputs': ['logits']}
    options, outputs, expected = ENCODERS[name]
    base = name.removesuffix('WithProjection')
    config = configuration(f'{base.removesuffix("Model")}Config', options)
    return Chosen(getattr(transformers, name)(config), outputs).eval(), {'kind': 'encoder', 'outputs': outputs, 'expected': expected}


def make_one(cache, name):
    entry = {'model': name, 'size': 64}
    model, more = build(name)
    images, labels = make.batch(entry)
    make.settled(model, images)
    model.eval()
    with torch.no_grad():
        found = copy.deepcopy(model).double()(images.double())
    if more['kind'] == 'classifier':
        more = {**more, 'values': found.reshape(-1).tolist(), **make.targets(model, images, labels)}
    else:
        values = dict(zip(more['outputs'], found if isinstance(found, tuple) else (found,)))
        expected = more['expected']
        chosen = features(values[expected] if expected in values else values['last_hidden_state'], expected)
        model(images)[0].sum().backward() if len(more['outputs']) == 1 else sum(value.sum() for value in model(images)).backward()
        unused = [key for key, p in model.named_parameters() if p.grad is None]
        more = {**more, 'values': chosen.reshape(-1).tolist(), 'features': chosen.shape[1], 'unused': unused}
    return make.write(cache, entry, model, images, labels, more)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('cache')
    parser.add_argument('networks', nargs='*')
    arguments = parser.parse_args()
    os.makedirs(arguments.cache, exist_ok=True)
    torch.set_num_threads(1)
    warnings.filterwarnings('ignore')
    names = [*CLASSIFIERS, *ENCODERS]
    with open(os.path.join(arguments.cache, 'list.json'), 'w') as target:
        json.dump([{'model': name} for name in names], target)
    for name in arguments.networks or names:
        stem = os.path.join(arguments.cache, name)
        if os.path.exists(f'{stem}.json') and not arguments.networks:
            continue
        try:
            print(f'{name} {make_one(arguments.cache, name)}', flush=True)
        except Exception as error:
            print(f'{name}: {type(error).__name__}: {str(error)[:300]}', flush=True)
            with open(f'{stem}.error', 'w') as target:
                target.write(f'{type(error).__name__}: {str(error)[:300]}\n{traceback.format_exc(limit=-3)}')


if __name__ == '__main__':
    main()
