"""Files in MNIST's format: read as they are, and every fault of them named with file, rule and value."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from simulator.errors import ScenarioError
from simulator.measuring.images import IMAGES, LABELS, read_images

FASHION = Path("/usr/share/datasets/fashion-mnist")


def idx(array: np.ndarray) -> bytes:
    """Write bytes as the format has them: magic number, lengths, data."""
    header = (0x0800 + array.ndim).to_bytes(4, "big") + b"".join(length.to_bytes(4, "big") for length in array.shape)
    return header + array.astype(np.uint8).tobytes()


PIXELS = np.arange(3 * 28 * 28).reshape(3, 28, 28) % 256
GOOD = {IMAGES: idx(PIXELS), LABELS: idx(np.array([3, 0, 9]))}


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


@pytest.mark.parametrize("zipped", [False, True])
def test_images_and_labels_are_read(tmp_path: Path, zipped: bool) -> None:
    files = {f"{name}.gz": gzip.compress(content) for name, content in GOOD.items()} if zipped else GOOD
    data = read_images(folder(tmp_path, files))
    assert data.labels.tolist() == [3, 0, 9]
    assert data.x.shape == (3, 28, 28)
    assert data.x[0, 0, 5] == 5 / 255


@pytest.mark.parametrize(
    ("files", "messages"),
    [
        ({}, [f"{IMAGES}: no such file, nor {IMAGES}.gz: --data-dir must hold", f"{LABELS}: no such file"]),
        ({IMAGES: GOOD[IMAGES]}, [f"{LABELS}: no such file, nor {LABELS}.gz"]),
        (
            {IMAGES: GOOD[LABELS], LABELS: GOOD[LABELS]},
            [f"{IMAGES}: must begin with the magic number 2051 (0x00000803), got 00000801"],
        ),
        ({IMAGES: b"", LABELS: GOOD[LABELS]}, ["must begin with the magic number 2051 (0x00000803), got nothing"]),
        ({IMAGES: GOOD[IMAGES][:9], LABELS: GOOD[LABELS]}, ["must have a header of 16 bytes, got 9"]),
        (
            {IMAGES: GOOD[IMAGES][:-1], LABELS: GOOD[LABELS]},
            ["must hold 3 x 28 x 28 = 2352 bytes after its header, got 2351"],
        ),
        ({IMAGES: GOOD[IMAGES] + b"x", LABELS: GOOD[LABELS]}, ["= 2352 bytes after its header, got 2353"]),
        ({IMAGES: idx(np.zeros((3, 8, 8))), LABELS: GOOD[LABELS]}, ["must hold images of 28 x 28, got 8 x 8"]),
        ({IMAGES: GOOD[IMAGES], LABELS: idx(np.array([1, 2]))}, ["must hold 3 labels, one an image, got 2"]),
        ({IMAGES: GOOD[IMAGES], LABELS: idx(np.array([1, 2, 10]))}, ["must hold labels from 0 to 9, got 10"]),
        ({IMAGES: gzip.compress(GOOD[IMAGES])[:-20], LABELS: GOOD[LABELS]}, ["cannot be read: "]),
        ({IMAGES: b"\x1f\x8bnonsense", LABELS: b"RIFF"}, ["cannot be read: ", "magic number 2049 (0x00000801), got 52494646"]),
    ],
)
def test_a_fault_of_a_file_is_named(tmp_path: Path, files: dict[str, bytes], messages: list[str]) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_images(folder(tmp_path, files))
    lines = str(caught.value).splitlines()
    assert len(lines) == len(messages)
    for line, message in zip(lines, messages, strict=True):
        assert message in line
        assert line.startswith(f"{tmp_path}/train-")


def test_a_missing_folder_is_said_with_what_is_wanted_in_it(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no such folder: --data-dir must hold train-images-idx3-ubyte and train-labels"):
        read_images(tmp_path / "none")


@pytest.mark.skipif(not FASHION.is_dir(), reason="Fashion-MNIST is not installed (Debian package dataset-fashion-mnist)")
def test_fashion_mnist_is_read_whole() -> None:
    data = read_images(FASHION)
    assert data.x.shape == (60_000, 28, 28)  # as its authors say: 60,000 images, 6,000 of each class
    assert np.bincount(data.labels).tolist() == [6000] * 10
