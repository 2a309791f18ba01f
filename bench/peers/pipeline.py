"""The input pipeline in torchvision on Pillow and in albumentations, one thread. Needs requirements.txt.

Reads file names, one a line, up to an empty line; then one request a line, {"peer": NAME, "augment": true|false, "batch": 32}, and answers
each with one line: {"wall", "processor"} in seconds and "stages" in seconds of the processor, for all of the files once. The first line it prints says
what it is: versions and peers.
"""
import json
import os
import random
import sys
import time

import numpy as np
import torch
import torchvision
from PIL import Image, __version__ as pillow, features
from torchvision import transforms
from torchvision.transforms import v2

torch.set_num_threads(1)
torch.manual_seed(0)
random.seed(0)
mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
peers = {}


def pil(name):
    with Image.open(name) as image:
        return image.convert("RGB")


def torchvision_peer(t, tensor):
    crop, flip, randaugment = t.RandomResizedCrop(224), t.RandomHorizontalFlip(), t.RandAugment(2, 9)
    finish = t.Compose([tensor, t.Normalize(mean, std)])
    return {"decode": pil, "crop": crop, "flip": flip, "augment": randaugment, "normalise": finish}


peers["torchvision"] = torchvision_peer(transforms, transforms.ToTensor())
peers["torchvision v2"] = torchvision_peer(v2, v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]))
versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "pillow": pillow,
            "libjpeg-turbo": features.version("libjpeg_turbo"), "python": sys.version.split()[0]}
try:
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations
    import cv2
    from albumentations.pytorch import ToTensorV2

    cv2.setNumThreads(1)
    versions.update(albumentations=albumentations.__version__, opencv=cv2.__version__)

    def on(*steps):
        composed = albumentations.Compose(list(steps))
        return lambda image: composed(image=image)["image"]

    # It has no RandAugment.
    peers["albumentations"] = {
        "decode": lambda name: cv2.cvtColor(cv2.imread(name), cv2.COLOR_BGR2RGB),
        "crop": on(albumentations.RandomResizedCrop(size=(224, 224), scale=(0.08, 1))), "flip": on(albumentations.HorizontalFlip(p=0.5)),
        "normalise": on(albumentations.Normalize(mean, std), ToTensorV2()),
    }
except ImportError:
    pass

files = []
for line in sys.stdin:
    if line.strip() == "":
        break
    files.append(line.rstrip("\n"))
print(json.dumps({"peers": list(peers), "versions": versions}), flush=True)

for line in sys.stdin:
    request = json.loads(line)
    steps = [(name, step) for name, step in peers[request["peer"]].items() if request["augment"] or name != "augment"]
    stages = dict.fromkeys([name for name, _ in steps] + ["batch"], 0.0)
    wall, processor = time.perf_counter(), time.process_time()
    for start in range(0, len(files), request["batch"]):
        images = []
        for value in files[start:start + request["batch"]]:
            for name, step in steps:
                before = time.process_time()
                value = step(value)
                stages[name] += time.process_time() - before
            images.append(value)
        before = time.process_time()
        torch.stack(images)
        stages["batch"] += time.process_time() - before
    print(json.dumps({"wall": time.perf_counter() - wall, "processor": time.process_time() - processor, "stages": stages}), flush=True)
