"""The table of measured gammas, recomputed: FLOPs from the layers, gamma from the samples per second that the sources print.

Layers: torchvision's and the papers' descriptions of ResNet, ResNeXt, VGG; github.com/NVIDIA/DeepLearningExamples
PyTorch/Detection/SSD/ssd/model.py and TensorFlow/Segmentation/UNet_3D_Medical/model; MONAI's DynUNet
(monai/networks/nets/dynunet.py) as DeepLearningExamples PyTorch/Segmentation/nnUNet/nnunet/nn_unet.py builds it; BERT and GPT
shapes as published.
"""

from __future__ import annotations

import csv
import math
import re
from math import prod

import pytest

from simulator.validation.gamma import SHIPPED

with SHIPPED.open(newline="", encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))

TRAINING = 6
"""FLOP of training per multiply-add of a forward pass: two, three times."""


def conv(inputs: int, outputs: int, kernel: int, shape: tuple[int, ...], groups: int = 1) -> int:
    """Multiply-adds of a convolution with outputs of `shape`."""
    return int(inputs // groups * outputs * kernel ** len(shape) * prod(shape))


def resnet(
    blocks: tuple[int, ...], *, size: int = 224, groups: int = 1, width: int = 64, first_1x1_strides: bool = False,
    third_stride: int = 2, classes: int = 1000,
) -> tuple[int, int]:  # fmt: skip
    """Multiply-adds of a bottleneck ResNet, and the side of its last feature map."""
    side = math.ceil(size / 2)
    total = conv(3, 64, 7, (side, side))
    side, inputs = math.ceil(side / 2), 64
    for stage, count in enumerate(blocks):
        inner, outputs = width * groups * 2**stage, 256 * 2**stage
        for block in range(count):
            stride = 1 if block > 0 or stage == 0 else (third_stride if stage == 2 else 2)
            after = math.ceil(side / stride)
            first = after if first_1x1_strides else side
            total += conv(inputs, inner, 1, (first, first)) + conv(inner, inner, 3, (after, after), groups)
            total += conv(inner, outputs, 1, (after, after))
            if block == 0:
                total += conv(inputs, outputs, 1, (after, after))
            inputs, side = outputs, after
    return total + inputs * classes, side


def vgg16() -> int:
    total, inputs, side = 0, 3, 224
    for outputs, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            total += conv(inputs, outputs, 3, (side, side))
            inputs = outputs
        side //= 2
    return total + 512 * 7 * 7 * 4096 + 4096 * 4096 + 4096 * 1000


def ssd300() -> int:
    total, side = resnet((3, 4, 6), size=300, third_stride=1, classes=0)
    assert side == 38
    channels, inner = (1024, 512, 512, 256, 256, 256), (256, 256, 128, 128, 128)
    sides, boxes = (38, 19, 10, 5, 3, 1), (4, 6, 6, 6, 4, 4)
    for i, between in enumerate(inner):
        total += conv(channels[i], between, 1, (sides[i],) * 2) + conv(between, channels[i + 1], 3, (sides[i + 1],) * 2)
    return total + sum(conv(c, n * (4 + 81), 3, (s, s)) for c, n, s in zip(channels, boxes, sides, strict=True))


def unet(shape: tuple[int, ...], filters: tuple[int, ...], last_kernel: int = 1) -> int:
    """Two 3x3 convolutions a level down and up, transposed convolutions of kernel 2 between; 4 channels in, 4 classes out."""
    shapes = [tuple(side // 2**level for side in shape) for level in range(len(filters))]
    total, inputs = 0, 4
    for outputs, at in zip(filters, shapes, strict=True):
        total += conv(inputs, outputs, 3, at) + conv(outputs, outputs, 3, at)
        inputs = outputs
    for level in range(len(filters) - 1):
        below, here = filters[level + 1], filters[level]
        total += below * here * 2 ** len(shape) * prod(shapes[level + 1])
        total += conv(2 * here, here, 3, shapes[level]) + conv(here, here, 3, shapes[level])
    return total + conv(filters[0], 4, last_kernel, shape)


def resnet18_cifar() -> int:
    total, inputs = conv(3, 64, 3, (32, 32)), 64
    for outputs, side in ((64, 32), (128, 16), (256, 8), (512, 4)):
        for _ in range(2):
            total += conv(inputs, outputs, 3, (side, side)) + conv(outputs, outputs, 3, (side, side))
            total += conv(inputs, outputs, 1, (side, side)) if inputs != outputs else 0
            inputs = outputs
    return total + 512 * 10


def bert(layers: int, width: int, tokens: int) -> int:
    return layers * (12 * width**2 * tokens + 2 * tokens**2 * width)


def decoder(parameters: int, layers: int, width: int, tokens: int = 2048) -> int:
    return parameters * tokens + layers * width * tokens**2  # causal: half of 2 * width * tokens^2 a layer


F3, F2 = (32, 64, 128, 256, 320, 320), (32, 64, 128, 256, 512, 512)
RESNEXT = resnet((3, 4, 23, 3), groups=32, width=4)[0]
COUNTED: dict[str, tuple[int, ...]] = {
    "resnet50": (resnet((3, 4, 6, 3))[0], resnet((3, 4, 6, 3), first_1x1_strides=True)[0]),
    "resnet101": (resnet((3, 4, 23, 3), first_1x1_strides=True)[0],),
    "resnet152": (resnet((3, 8, 36, 3), first_1x1_strides=True)[0],),
    "vgg16": (vgg16(),),
    "resnext101-32x4d": (RESNEXT,),
    "se-resnext101-32x4d": (RESNEXT + sum(n * 2 * c * c // 16 for n, c in ((3, 256), (4, 512), (23, 1024), (3, 2048))),),
    "ssd300-resnet50": (ssd300(),),
    "unet3d-128": (unet((128,) * 3, F3), unet((128,) * 3, F3, last_kernel=3)),
    "unet2d-192x160": (unet((192, 160), F2),),
    "resnet18-cifar10": (resnet18_cifar(),),
    "bert-base-s384": (bert(12, 768, 384),),
    "bert-large-s128": (bert(24, 1024, 128),),
    "bert-large-s384": (bert(24, 1024, 384),),
    "bert-large-s512": (bert(24, 1024, 512),),
    "mpt-125m-s2048": (decoder(125311488, 12, 768),),
    "mpt-350m-s2048": (decoder(355985408, 24, 1024),),
    "mpt-760m-s2048": (decoder(760470528, 24, 1536),),
    "mpt-1b-s2048": (decoder(1315950592, 24, 2048),),
    "mpt-3b-s2048": (decoder(2651837440, 32, 2560),),
    "mpt-7b-s2048": (decoder(6658859008, 32, 4096),),
    "mpt-13b-s2048": (decoder(12853954560, 40, 5120),),
}
LISTED = {"inceptionv3": 5.713e9, "efficientnet-b0": 0.386e9, "efficientnet-b4": 4.394e9}
"""Multiply-adds in torchvision's weight metadata (_ops, in G)."""


def test_the_counting_gives_what_torchvision_lists() -> None:
    # _ops of torchvision/models/resnet.py and vgg.py, in G multiply-adds, to three decimals
    assert round(resnet((3, 4, 6, 3))[0] / 1e9, 3) == 4.089
    assert round(resnet((3, 4, 23, 3))[0] / 1e9, 3) == 7.801
    assert round(resnet((3, 8, 36, 3))[0] / 1e9, 3) == 11.514
    assert round(vgg16() / 1e9, 2) == 15.47


@pytest.mark.parametrize("workload", sorted({row["workload"] for row in ROWS}))
def test_flops_are_those_of_the_layers(workload: str) -> None:
    counted = COUNTED[workload] if workload in COUNTED else (LISTED[workload],)
    found = {float(row["train_flop_per_sample"]) for row in ROWS if row["workload"] == workload}
    assert all(any(flop == pytest.approx(TRAINING * macs, rel=1e-6) for macs in counted) for flop in found)


def test_gamma_is_the_slope_between_the_rates_that_the_source_prints() -> None:
    checked = 0
    for row in ROWS:
        points = [(float(batch), float(rate)) for rate, batch in re.findall(r"([\d.]+)/s at ([\d.]+)", row["source"])]
        low, high = float(row["local_samples_min"]), float(row["local_samples_max"])
        if len(points) == 2:
            (b, rate), (B, Rate) = points
            gamma = (B / Rate - b / rate) / (B - b)
            assert b / rate - gamma * b > 0  # a step has no negative constant
        elif points:
            ((b, rate),) = points
            B, gamma = b, 1 / rate
            assert b / rate >= 0.05  # README: a step of at least 50 ms
        else:
            assert "fit" in row["source"], row
            continue
        assert (low, high) == (b, B)
        assert float(row["gamma_s_per_sample"]) == pytest.approx(gamma, rel=1e-4)  # five digits
        checked += 1
    assert checked == len(ROWS) - 26  # 3 of Pollux, 16 of nnU-Net, 3 each of UNet_3D_Medical and SSD, 1 of MLPerf are fits


def test_rates_of_sharded_runs_are_tokens_per_gpu_and_second_over_the_length() -> None:
    for row in ROWS:
        if "tokens/s" in row["source"]:
            tokens, gpus = map(int, re.findall(r"(\d+) tokens/s on (\d+) GPUs", row["source"])[0])
            assert float(row["gamma_s_per_sample"]) == pytest.approx(2048 * gpus / tokens, rel=1e-4)


def test_every_row_says_where_it_comes_from() -> None:
    for row in ROWS:
        assert all(row[name] for name in ("variant", "flop_source", "source", "licence", "date"))
        assert row["verified"] in ("yes", "no")
