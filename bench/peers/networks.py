"""The networks that the benchmark trains on both sides: as torch modules, and exported to ONNX with the same weights for ours.

networks.py NAME FORM FILE SIZE exports one (FORM: trained, or folded: normalisation folded into the convolutions).
"""
import sys
import warnings

import numpy as np
import torch
from torch import nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class WideBlock(nn.Module):
    """Pre-activation block (Zagoruyko and Komodakis, 2016); the shortcut is a convolution of the activated input."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(width), nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(inputs, width, 1, stride, bias=False) if stride > 1 or inputs != width else None

    def forward(self, x):
        active = torch.relu_(self.bn1(x))
        y = self.conv2(torch.relu_(self.bn2(self.conv1(active))))
        return y + (x if self.shortcut is None else self.shortcut(active))


class WideResNet(nn.Module):
    def __init__(self, depth, factor, classes):
        super().__init__()
        self.conv1, inputs, blocks = nn.Conv2d(3, 16, 3, 1, 1, bias=False), 16, []
        for stage in range(3):
            for i in range((depth - 4) // 6):
                width = 16 * factor * 2 ** stage
                blocks.append(WideBlock(inputs, width, 2 if stage > 0 and i == 0 else 1))
                inputs = width
        self.blocks, self.bn1, self.fc = nn.Sequential(*blocks), nn.BatchNorm2d(inputs), nn.Linear(inputs, classes)

    def forward(self, x):
        return self.fc(torch.relu_(self.bn1(self.blocks(self.conv1(x)))).mean((2, 3)))


def fold(module):
    """Folds normalisations into the convolutions before them, as an export in evaluation mode does."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval
    previous, key = None, None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d):
            fused = fuse_conv_bn_eval(previous.eval(), child.eval())
            setattr(module, key, fused)
            # timm's normalisation carries the activation behind it.
            setattr(module, name, child.act if hasattr(child, 'act') else nn.Identity())
        fold(child)
        previous, key = child, name
    return module


def distinguish(model):
    """Gives every vector values of its own: the exporter ties parameters that begin equal, which would train another network."""
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            if tensor.is_floating_point() and tensor.dim() == 1:
                tensor += 0.02 * torch.rand_like(tensor)
    return model


def build(name, classes=10, folded=False):
    """A network with random weights and no dropout. Names as in torchvision and timm."""
    import torchvision
    torch.manual_seed(0)
    if name == 'resnet18-small':  # the stem for 32x32 images
        model = torchvision.models.resnet18(num_classes=classes)
        model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    elif name.startswith('wrn-'):
        model = WideResNet(*(int(part) for part in name.split('-')[1:]), classes)
    elif name.startswith('resnet'):
        model = getattr(torchvision.models, name)(num_classes=classes)
    elif name == 'mobilenet_v2':
        model = torchvision.models.mobilenet_v2(num_classes=classes, dropout=0.0)
    else:
        import timm
        model = timm.create_model(name, num_classes=classes, drop_rate=0.0, drop_path_rate=0.0)
    model = distinguish(model)
    return fold(model.eval()) if folded else model


def pixels(batch, size):
    """The bytes of ours/data.js as normalised floats [N, 3, H, W]."""
    i = np.arange(batch * size * size * 3, dtype=np.uint64)
    values = ((i * 1664525 + 1013904223) & 0xffffffff) >> 24
    x = torch.from_numpy(values.astype(np.float32).reshape(batch, size, size, 3)) / 255
    return ((x - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2).contiguous()


def export(name, form, file, classes=10, size=224):
    """An ONNX file with any batch size: normalisations as nodes (trained), or folded away."""
    warnings.filterwarnings('ignore')
    model = build(name, classes, folded=form == 'folded').eval()
    modes = torch.onnx.TrainingMode
    torch.onnx.export(
        model, (torch.rand(2, 3, size, size),), file, input_names=['input'], output_names=['logits'], opset_version=17, dynamo=False,
        dynamic_axes={'input': {0: 'N'}, 'logits': {0: 'N'}}, training=modes.PRESERVE if form == 'trained' else modes.EVAL,
        do_constant_folding=form == 'folded')


if __name__ == '__main__':
    export(sys.argv[1], sys.argv[2], sys.argv[3], size=int(sys.argv[4]))
