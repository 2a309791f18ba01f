"""Time of one training step in PyTorch: step.py mobilenet_v2|resnet18 BATCH SIZE THREADS [channels_last]. Needs torch and torchvision."""
import json, sys, time
import torch, torchvision

name, batch, size, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
layout = torch.channels_last if 'channels_last' in sys.argv else torch.contiguous_format
torch.set_num_threads(threads)
torch.manual_seed(0)
model = getattr(torchvision.models, name)(num_classes=10)
if size == 32:  # the small-image stem
    model.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
    model.maxpool = torch.nn.Identity()
if 'fused' in sys.argv:  # as a file exported in eval mode has it: normalisation folded into the convolutions
    from torch.nn.utils.fusion import fuse_conv_bn_eval
    def fold(module):
        previous, key = None, None
        for n, child in list(module.named_children()):
            if isinstance(child, torch.nn.BatchNorm2d) and isinstance(previous, torch.nn.Conv2d):
                setattr(module, key, fuse_conv_bn_eval(previous.eval(), child.eval()))
                setattr(module, n, torch.nn.Identity())
            fold(child)
            previous, key = child, n
    fold(model)
model = model.train().to(memory_format=layout)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
x = torch.rand(batch, 3, size, size).to(memory_format=layout)
y = torch.arange(batch) % 10
times, processor = [], []
for _ in range(int(sys.argv[5]) + 2 if len(sys.argv) > 5 and sys.argv[5].isdigit() else 7):
    start, cpu = time.perf_counter(), time.process_time()
    optimizer.zero_grad(set_to_none=True)
    torch.nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
    times.append(time.perf_counter() - start)
    processor.append(time.process_time() - cpu)
warm, used = sorted(times[2:]), sorted(processor[2:])
print(json.dumps({'peer': f'torch {torch.__version__}', 'model': name, 'batch': batch, 'size': size, 'threads': threads, 'options': sys.argv[5:],
                  'milliseconds': {'least': warm[0] * 1e3, 'median': warm[len(warm) // 2] * 1e3, 'processor': used[len(used) // 2] * 1e3}}))
