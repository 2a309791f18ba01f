"""PyTorch's side of the GPU measurement, as a process that works when it is asked: the counterpart of pupil.js, same lines.

pytorch.py JSON: size, classes, cpu (whether the processor will do where there is no GPU).
"""
import contextlib
import json
import sys
import time


def say(answer):
    sys.stdout.write(json.dumps(answer) + '\n')
    sys.stdout.flush()


try:
    import torch
    import networks
except ImportError as error:
    say({'error': f'Python {sys.version.split()[0]} has no PyTorch: {error}'})
    sys.exit(1)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
JOB = json.loads(sys.argv[1])
DEVICE = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
BUILT = {}


def network(form):
    """The network of a form, on the device; the last one is kept."""
    key = json.dumps(form, sort_keys=True)
    if key not in BUILT:
        BUILT.clear()
        torch.manual_seed(0)
        BUILT[key] = networks.build(form, JOB['classes'], JOB['size']).to(DEVICE)
    return BUILT[key]


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def set_tf32(allowed):
    """Whether products of float32 may use TF32: by the newer settings where this PyTorch has them."""
    try:
        torch.backends.cudnn.conv.fp32_precision = torch.backends.cuda.matmul.fp32_precision = 'tf32' if allowed else 'ieee'
    except AttributeError:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed


def product_error():
    """Relative error of a product of matrices: about 1e-7 in float32, 1e-4 in TF32. Says what the setting really did."""
    torch.manual_seed(0)
    a, b = torch.rand(512, 512, device=DEVICE) - 0.5, torch.rand(512, 512, device=DEVICE) - 0.5
    exact = a.double() @ b.double()
    return ((a @ b - exact).abs().max() / exact.abs().max()).item()


def pixels_of(batch):
    """The bytes of bench/ours/data.js [N, H, W, 3], in the processor's memory as those of a data loader are."""
    i = torch.arange(batch * JOB['size'] ** 2 * 3, dtype=torch.int64)
    values = ((i * 1664525 + 1013904223) & 0xffffffff) >> 24
    bytes_ = values.to(torch.uint8).reshape(batch, JOB['size'], JOB['size'], 3)
    return bytes_.pin_memory() if DEVICE.type == 'cuda' else bytes_


def normalise(pixels, layout):
    """Bytes to the device, and there to normalised floats [N, 3, H, W]: Pupil's graph does the same."""
    x = pixels.to(DEVICE, non_blocking=True).float() / 255
    x = (x - torch.tensor(MEAN, device=DEVICE)) / torch.tensor(STD, device=DEVICE)
    return x.permute(0, 3, 1, 2).contiguous(memory_format=layout)


def prepare(request):
    """The network in its layout, a maker of its input, and the context of its precision. Mixed precision is float16 on a GPU."""
    mixed = request['precision'] == 'amp'
    set_tf32(request['precision'] != 'float32')
    layout = torch.channels_last if mixed else torch.contiguous_format
    model = network(request['form']).to(memory_format=layout)
    half = torch.float16 if DEVICE.type == 'cuda' else torch.bfloat16
    casting = (lambda: torch.autocast(DEVICE.type, dtype=half)) if mixed else contextlib.nullcontext
    pixels = pixels_of(request['batch'])
    return model, lambda: normalise(pixels, layout), casting, mixed and half == torch.float16


def training(request):
    """Forward, cross-entropy, backward, fused SGD with momentum and weight decay, and the loss read back."""
    model, inputs, casting, scales = prepare(request)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4, fused=True)
    scaler = torch.amp.GradScaler(DEVICE.type, enabled=scales)
    targets = torch.arange(request['batch'], device=DEVICE) % JOB['classes']

    def run():
        optimizer.zero_grad(set_to_none=True)
        with casting():
            loss = torch.nn.functional.cross_entropy(model(inputs()), targets)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss.item()
    return timed(run, request)


def inference(request):
    """Probabilities of a batch, read back."""
    model, inputs, casting, _ = prepare(request)
    model.eval()

    def run():
        with torch.inference_mode(), casting():
            return torch.softmax(model(inputs()).float(), 1).cpu()
    return timed(run, request)


def timed(run, request):
    """Milliseconds of the first two runs, and of those after them for `seconds`, at most `runs`."""
    def once():
        start = time.perf_counter()
        run()
        return (time.perf_counter() - start) * 1e3

    first, second, warm, times = once(), once(), time.perf_counter(), []
    while not times or (len(times) < request['runs'] and time.perf_counter() - warm < request['seconds']):
        times.append(once())
    parameters = count(network(request['form']))
    return {'first': first, 'second': second, 'times': times, 'parameters': parameters, 'productError': product_error()}


def tensors_of(path):
    """Tensors of a safetensors file: eight bytes of length, a header of JSON, float32 numbers."""
    with open(path, 'rb') as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), 'little')))
        data = bytearray(file.read())
    header.pop('__metadata__', None)
    return {name: torch.frombuffer(data, dtype=torch.float32, offset=entry['data_offsets'][0],
                                   count=max(1, (entry['data_offsets'][1] - entry['data_offsets'][0]) // 4)).reshape(entry['shape'])
            for name, entry in header.items()}


def compare(request):
    """Parameters by name and shape, and the logits of Pupil's own weights against Pupil's logits."""
    model, tensors = network(request['form']), tensors_of(request['file'])
    expected = tensors.pop('logits')
    own = {name: value for name, value in model.state_dict().items() if not name.endswith('num_batches_tracked')}
    differing = sorted(name for name in own.keys() | tensors.keys()
                       if name not in own or name not in tensors or own[name].shape != tensors[name].shape)
    if differing:
        return {'parameters': count(model), 'differing': differing[:5]}
    model.load_state_dict(tensors, strict=False)
    set_tf32(False)
    with torch.inference_mode():
        logits = model.eval()(normalise(pixels_of(len(expected)), torch.contiguous_format)).cpu()
    return {'parameters': count(model), 'differing': [], 'logits': ((logits - expected).abs().max() / expected.abs().max()).item()}


def main():
    if DEVICE.type == 'cpu' and not JOB['cpu']:
        say({'error': f'PyTorch {torch.__version__} finds no CUDA device'})
        sys.exit(1)
    torch.backends.cudnn.benchmark = True
    device = torch.cuda.get_device_name() if DEVICE.type == 'cuda' else 'the processor'
    say({'ready': True, 'torch': torch.__version__, 'cuda': torch.version.cuda, 'device': device, 'python': sys.version.split()[0]})
    work = {'training': training, 'inference': inference, 'compare': compare}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            say(work[request['kind']](request))
        except torch.cuda.OutOfMemoryError:
            BUILT.clear()
            torch.cuda.empty_cache()
            say({'failed': 'out of memory'})


if __name__ == '__main__':
    try:
        main()
    except Exception as error:  # the other side shows it in its table
        say({'error': f'{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ""}'})
        sys.exit(1)
