"""The PyPI package `safetensors` reads what our writer writes.

Argument: the path of lmu, unused here: the files are those of tests/golden, which tests/model/test_safetensors.c holds our
writer and reader to. With --write it makes the golden file that the C test reads, out of the same arrays.
"""

import pathlib
import sys

import numpy
import safetensors
import safetensors.numpy

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
OURS = GOLDEN / "safetensors_ours.safetensors"
THEIRS = GOLDEN / "safetensors_theirs.safetensors"

ARRAYS = {
    "embedding": (numpy.arange(6, dtype=numpy.float32) / 4 - 0.5).reshape(2, 3),
    "step": numpy.array(123456789012, dtype=numpy.int64),
    "moment": numpy.array([1e-300, -0.0, 1 / 3], dtype=numpy.float64),
    "half": numpy.array([1.0, -2.5], dtype=numpy.float16),
    "ids": numpy.array([[7], [-7]], dtype=numpy.int32),
    "bytes": numpy.frombuffer("é!".encode(), dtype=numpy.uint8),
    "empty": numpy.zeros((0, 4), dtype=numpy.float32),
    'quote " and é': numpy.array([True, False], dtype=numpy.bool_),
}
METADATA = {"model": "lmu", "note": 'line\nbreak, "quote", é'}


def check(path):
    arrays = safetensors.numpy.load_file(path)
    assert set(arrays) == set(ARRAYS), f"{path}: tensors {sorted(arrays)}"
    for name, expected in ARRAYS.items():
        got = arrays[name]
        assert got.dtype == expected.dtype and got.shape == expected.shape, f"{path}: {name}: {got.dtype} {got.shape}"
        assert got.tobytes() == expected.tobytes(), f"{path}: {name}: {got}"
    with safetensors.safe_open(path, framework="numpy") as file:
        assert file.metadata() == METADATA, f"{path}: metadata {file.metadata()}"


def main():
    if "--write" in sys.argv:
        safetensors.numpy.save_file(ARRAYS, THEIRS, metadata=METADATA)
    for path in (OURS, THEIRS):
        check(path)
    print(f"safetensors {safetensors.__version__} reads our file: {len(ARRAYS)} tensors equal, metadata equal")


if __name__ == "__main__":
    main()
