"""Files in MNIST's format (IDX, plain or gzipped): found, checked, read."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.errors import Fault, ScenarioError
from simulator.measuring.data_sets import Labelled

__all__ = ["IMAGES", "LABELS", "image_files", "read_images"]

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
MAGIC = {IMAGES: 2051, LABELS: 2049}
"""First word of a file: 0x0803, bytes in three dimensions; 0x0801, bytes in one."""
SIDE = 28
CLASSES = 10


def image_files(folder: Path) -> tuple[Path | None, Path | None]:
    """Return the files of images and labels in a folder, plain ones before those with .gz; None where one is missing."""
    images, labels = (
        next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None) for name in (IMAGES, LABELS)
    )
    return images, labels


def read_images(folder: Path) -> Labelled:
    """Read the training images and labels of a folder.

    Parameters
    ----------
    folder : Path
        Holds train-images-idx3-ubyte and train-labels-idx1-ubyte, each plain or with .gz.

    Returns
    -------
    Labelled
        Images from 0 to 1, shape (n, 28, 28), with labels from 0 to 9.

    Raises
    ------
    ScenarioError
        With every fault: a file that is missing (what is wanted where), is not of the format, or does not fit the other.
    """
    faults: list[Fault] = []
    if not folder.is_dir():
        raise ScenarioError([Fault(str(folder), "", f"no such folder: {_wanted()}")])
    found: dict[str, NDArray[np.uint8]] = {}
    files = image_files(folder)
    images_file, labels_file = map(str, files)
    for name, path in zip((IMAGES, LABELS), files, strict=True):
        if path is None:
            faults.append(Fault(str(folder / name), "", f"no such file, nor {name}.gz: {_wanted()}"))
            continue
        try:
            found[name] = _idx(path, MAGIC[name])
        except ValueError as error:
            faults.append(Fault(str(path), "", str(error)))
    if not faults:
        images, labels = found[IMAGES], found[LABELS]
        if images.shape[1:] != (SIDE, SIDE):
            faults.append(
                Fault(images_file, "", f"must hold images of {SIDE} x {SIDE}, got {images.shape[1]} x {images.shape[2]}")
            )
        if len(images) != len(labels):
            faults.append(Fault(labels_file, "", f"must hold {len(images)} labels, one an image, got {len(labels)}"))
        if len(labels) and labels.max() >= CLASSES:
            faults.append(Fault(labels_file, "", f"must hold labels from 0 to 9, got {labels.max()}"))
    if faults:
        raise ScenarioError(faults)
    return Labelled(x=found[IMAGES] / 255.0, labels=found[LABELS].astype(np.int64))


def _wanted() -> str:
    return f"--data-dir must hold {IMAGES} and {LABELS} (plain or .gz), as MNIST and Fashion-MNIST are distributed"


def _idx(path: Path, magic: int) -> NDArray[np.uint8]:
    """Return the bytes of an IDX file in their shape; ValueError where it is not one, or is cut short."""
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) < 4 or int.from_bytes(content[:4], "big") != magic:
        start = content[:4].hex() or "nothing"
        raise ValueError(f"must begin with the magic number {magic} (0x{magic:08x}), got {start}")
    dimensions = magic & 0xFF
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise ValueError(f"must have a header of {header} bytes, got {len(content)}")
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, header, 4)]
    size = 1
    for length in shape:
        size *= length
    if size == 0 or len(content) - header != size:
        words = " x ".join(str(length) for length in shape)
        raise ValueError(f"must hold {words} = {size} bytes after its header, got {len(content) - header}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
