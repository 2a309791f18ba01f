"""PyTorch with one piece of work, as a process that measures when it is asked: the counterpart of ours/serve.js, same lines.

serve.py JOB, JSON: work step|inference, network, form trained|folded, batch, size, classes, threads, precision f32|bf16, layout
contiguous|channels_last, compile.
"""
import contextlib
import json
import os
import resource
import sys
import time


def say(answer):
    sys.stdout.write(json.dumps(answer) + '\n')
    sys.stdout.flush()


try:
    import torch
    import networks
except ImportError as error:
    say({'error': f'{sys.executable}: {error}'})
    sys.exit(1)


def peak_memory():
    """Most resident memory so far, MiB: the kernel's own mark, since getrusage also counts what the parent had."""
    if not os.path.exists('/proc/self/status'):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2 ** 20 if sys.platform == 'darwin' else 1024)
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) for line in status if line.startswith('VmHWM')) / 1024


def casting(job):
    return torch.autocast('cpu', dtype=torch.bfloat16) if job.get('precision') == 'bf16' else contextlib.nullcontext()


def prepare(job):
    layout = torch.channels_last if job.get('layout') == 'channels_last' else torch.contiguous_format
    model = networks.build(job['network'], job.get('classes', 10), job.get('form') == 'folded')
    model = (model.train() if job['work'] == 'step' else model.eval()).to(memory_format=layout)
    x = networks.pixels(job['batch'], job['size']).to(memory_format=layout)
    return (torch.compile(model) if job.get('compile') else model), x


def step_work(job):
    """Forward, cross-entropy, backward, SGD with momentum and weight decay; `fused` is PyTorch's fastest update on CPUs."""
    model, x = prepare(job)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4, fused=True)
    y = torch.arange(job['batch']) % job.get('classes', 10)

    def run():
        optimizer.zero_grad(set_to_none=True)
        with casting(job):
            loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()
    return run


def inference_work(job):
    model, x = prepare(job)

    def run():
        with torch.inference_mode(), casting(job):
            return torch.softmax(model(x), 1)[0, 0].item()
    return run


def main():
    job = json.loads(sys.argv[1])
    torch.set_num_threads(job['threads'])
    run = {'step': step_work, 'inference': inference_work}[job['work']](job)
    say({'ready': True, 'description': f'PyTorch {torch.__version__}', 'versions': {
        'torch': torch.__version__, 'oneDNN of torch': torch.__config__.show().split('MKL-DNN v')[-1].split(' ')[0], 'python': sys.version.split()[0]}})
    for line in sys.stdin:
        request = json.loads(line)
        if request.get('memory'):
            say({'peakMegabytes': peak_memory()})
            continue
        wall, processor, value = [], [], None
        for _ in range(request['steps']):
            start, used = time.perf_counter(), time.process_time()
            value = run()
            wall.append((time.perf_counter() - start) * 1e3)
            processor.append((time.process_time() - used) * 1e3)
        say({'wall': wall, 'processor': processor, 'value': value})


if __name__ == '__main__':
    try:
        main()
    except Exception as error:  # the other side shows it in its table
        say({'error': f'{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ""}'})
        sys.exit(1)
