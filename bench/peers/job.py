"""A whole job in plain PyTorch, on the weights of an ONNX file: what `pupil train` does, written with torchvision's transforms and a DataLoader.

job.py JOB, JSON: work finetune|probe, data (a folder with train/ and val/), model (the ONNX file, input x/127.5 - 1), epochs, threads, workers, batch,
precision f32|bf16, seed. Prints {"top1", "seconds", "epochSeconds"}: accuracy on val/, which nothing is chosen on.
"""
import json
import math
import sys
import time

started = time.perf_counter()
import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import transforms as t

from onnx_module import OnnxBackbone
from serve import casting, say


def loaders(job):
    """Four fifths of train/ to learn from, a fifth for selection, val/ for the report."""
    finish = [t.ToTensor(), t.Normalize([0.5] * 3, [0.5] * 3)]
    seen = t.Compose([t.Resize(256), t.CenterCrop(224), *finish])
    varied = t.Compose([t.RandomResizedCrop(224), t.RandomHorizontalFlip(), *finish]) if job['work'] == 'finetune' else seen
    training = torchvision.datasets.ImageFolder(f"{job['data']}/train", varied)
    selection = torchvision.datasets.ImageFolder(f"{job['data']}/train", seen)
    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(job['seed'])).tolist()
    held = len(order) // 5
    options = {'batch_size': job['batch'], 'num_workers': job['workers'], 'persistent_workers': job['workers'] > 0}
    return (DataLoader(Subset(training, order[held:]), shuffle=True, drop_last=True, **options), DataLoader(Subset(selection, order[:held]), **options),
            DataLoader(torchvision.datasets.ImageFolder(f"{job['data']}/val", seen), **options), len(training.classes))


def accuracy(network, loader, job):
    network.eval()
    right = count = 0
    with torch.inference_mode(), casting(job):
        for x, y in loader:
            right += (network(x.to(memory_format=torch.channels_last)).argmax(1) == y).sum().item()
            count += len(y)
    network.train()
    return right / count


def main(job):
    torch.set_num_threads(job['threads'])
    torch.manual_seed(job['seed'])
    training, selection, report, classes = loaders(job)
    backbone = OnnxBackbone(job['model'])
    network = nn.Sequential(backbone, nn.Linear(1280, classes)).to(memory_format=torch.channels_last)
    frozen = job['work'] == 'probe'
    if frozen:
        for parameter in backbone.parameters():
            parameter.requires_grad_(False)
        groups = [{'params': network[1].parameters(), 'lr': 1e-2, 'weight_decay': 0.0}]
    else:  # rates, decay, smoothing and schedule of pupil's fine-tuning
        weights = {rate: [[p for p in part.parameters() if (p.dim() > 1) == decayed] for decayed in (True, False)]
                   for rate, part in ((5e-5, backbone), (1e-3, network[1]))}
        groups = [{'params': parameters, 'lr': rate, 'weight_decay': decay} for rate, pair in weights.items() for parameters, decay in zip(pair, (0.01, 0.0))]
    optimizer = torch.optim.AdamW(groups, fused=True)
    steps, warm = job['epochs'] * len(training), min(len(training), job['epochs'] * len(training) // 2)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: (i + 1) / warm if i < warm else 0.5 + 0.5 * math.cos(math.pi * (i - warm) / (steps - warm)))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.0 if frozen else 0.1)
    best, kept, epoch_seconds = -1.0, None, []
    for _ in range(job['epochs']):
        began = time.perf_counter()
        for x, y in training:
            optimizer.zero_grad(set_to_none=True)
            with casting(job):
                loss = criterion(network(x.to(memory_format=torch.channels_last)), y)
            loss.backward()
            optimizer.step()
            schedule.step()
        chosen = 0.0 if frozen else accuracy(network, selection, job)
        if chosen > best:
            best, kept = chosen, {name: tensor.clone() for name, tensor in network.state_dict().items()}
        epoch_seconds.append(time.perf_counter() - began)
    network.load_state_dict(kept)
    top1 = accuracy(network, report, job)
    say({'top1': top1, 'seconds': time.perf_counter() - started, 'epochSeconds': epoch_seconds})


if __name__ == '__main__':
    main(json.loads(sys.argv[1]))
