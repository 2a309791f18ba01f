"""The networks of networks.js as torch modules: the same forms, parameters named as in timm and in Pupil."""
import torch
from torch import nn
from torch.nn import functional


class Basic(nn.Module):
    """3x3, 3x3 (He et al., 2016)."""
    expansion = 1

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.downsample = projection(inputs, width, stride)

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        return functional.relu(self.bn2(self.conv2(y)) + self.downsample(x), inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1 to four times the width."""
    expansion = 4

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.downsample = projection(inputs, 4 * width, stride)

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = functional.relu(self.bn2(self.conv2(y)), inplace=True)
        return functional.relu(self.bn3(self.conv3(y)) + self.downsample(x), inplace=True)


def projection(inputs, outputs, stride):
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    def __init__(self, classes, size, block, depths, width):
        super().__init__()
        kind = {'basic': Basic, 'bottleneck': Bottleneck}[block]
        self.conv1, self.bn1, inputs = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), width
        self.stages = []
        for stage, depth in enumerate(depths):
            blocks = []
            for i in range(depth):
                blocks.append(kind(inputs, width * 2 ** stage, 2 if stage > 0 and i == 0 else 1))
                inputs = width * 2 ** stage * kind.expansion
            self.stages.append(f'layer{stage + 1}')
            self.add_module(self.stages[-1], nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x)), inplace=True), 3, 2, 1)
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return self.fc(x.mean((2, 3)))


class Separable(nn.Module):
    """Depthwise 3x3, then 1x1 without activation."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv_dw, self.bn1 = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), nn.BatchNorm2d(inputs)
        self.conv_pw, self.bn2 = nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        y = self.bn2(self.conv_pw(functional.relu6(self.bn1(self.conv_dw(x)), inplace=True)))
        return x + y if self.adds else y


class Inverted(nn.Module):
    """1x1 to six times the width, depthwise 3x3, 1x1 without activation (Sandler et al., 2018)."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        inside = rounded(6 * inputs)
        self.conv_pw, self.bn1 = nn.Conv2d(inputs, inside, 1, bias=False), nn.BatchNorm2d(inside)
        self.conv_dw, self.bn2 = nn.Conv2d(inside, inside, 3, stride, 1, groups=inside, bias=False), nn.BatchNorm2d(inside)
        self.conv_pwl, self.bn3 = nn.Conv2d(inside, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        y = functional.relu6(self.bn1(self.conv_pw(x)), inplace=True)
        y = self.bn3(self.conv_pwl(functional.relu6(self.bn2(self.conv_dw(y)), inplace=True)))
        return x + y if self.adds else y


def rounded(channels):
    """The nearest multiple of 8, at least 8, and never less than nine tenths of the number."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


class MobileNetV2(nn.Module):
    """Table 2 of Sandler et al., 2018: repeats, stride and channels of each stage."""
    table = [(1, 1, 16), (2, 2, 24), (3, 2, 32), (4, 2, 64), (3, 1, 96), (3, 2, 160), (1, 1, 320)]

    def __init__(self, classes, size, width):
        super().__init__()
        inputs, stages = rounded(32 * width), []
        self.conv_stem, self.bn1 = nn.Conv2d(3, inputs, 3, 2, 1, bias=False), nn.BatchNorm2d(inputs)
        for s, (repeats, stride, channels) in enumerate(self.table):
            stage = []
            for i in range(repeats):
                stage.append((Inverted if s > 0 else Separable)(inputs, rounded(channels * width), stride if i == 0 else 1))
                inputs = rounded(channels * width)
            stages.append(nn.Sequential(*stage))
        self.blocks, features = nn.Sequential(*stages), max(1280, rounded(1280 * width))
        self.conv_head, self.bn2 = nn.Conv2d(inputs, features, 1, bias=False), nn.BatchNorm2d(features)
        self.classifier = nn.Linear(features, classes)

    def forward(self, x):
        x = self.blocks(functional.relu6(self.bn1(self.conv_stem(x)), inplace=True))
        return self.classifier(functional.relu6(self.bn2(self.conv_head(x)), inplace=True).mean((2, 3)))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))


class Perceptron(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        return self.fc2(functional.gelu(self.fc1(x)))


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width, eps=1e-6), Attention(width, heads)
        self.norm2, self.mlp = nn.LayerNorm(width, eps=1e-6), Perceptron(width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """Dosovitskiy et al., 2021, with timm's class token and names."""

    def __init__(self, classes, size, patch, width, depth, heads):
        super().__init__()
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, width, patch, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, (size // patch) ** 2 + 1, width))
        self.blocks = nn.Sequential(*(Layer(width, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, classes)

    def forward(self, x):
        tokens = self.patch_embed.proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


families = {'resnet': ResNet, 'mobilenetv2': MobileNetV2, 'vit': VisionTransformer}


def build(form, classes, size):
    """A network of a form of networks.js."""
    numbers = {name: value for name, value in form.items() if name != 'family'}
    return families[form['family']](classes, size, **numbers)
