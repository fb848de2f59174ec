"""The lines of "TensorFlow, Keras and deep learning without a PhD" that load MNIST."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_mnist import tf

N_TRAIN, N_TEST, BATCH_SIZE, AUTO = 1000, 200, 64, tf.data.experimental.AUTOTUNE
calls = 0


def read_label(tf_bytestring: Any) -> Any:
    label = tf.decode_raw(tf_bytestring, tf.uint8)
    label = tf.reshape(label, [])
    return tf.one_hot(label, 10)


def read_image(tf_bytestring: Any) -> Any:
    global calls
    calls += 1
    image = tf.io.decode_raw(tf_bytestring, tf.uint8)
    image = tf.cast(image, tf.float32) / 256.0
    return tf.reshape(image, [28 * 28])


def load_dataset(image_file: str, label_file: str, packing: str) -> Any:
    images = tf.data.FixedLengthRecordDataset(
        image_file, 28 * 28, header_bytes=16, compression_type=packing
    )
    images = images.map(read_image, num_parallel_calls=16)
    labels = tf.data.FixedLengthRecordDataset(
        label_file, 1, header_bytes=8, compression_type=packing
    )
    labels = labels.map(read_label, num_parallel_calls=16)
    return tf.data.Dataset.zip((images, labels))


@pytest.fixture(params=["", "GZIP"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[str], Any, str]:
    """IDX files, their arrays, and how they are packed."""
    rng = np.random.default_rng(0)
    arrays, names = [], []
    for n in (N_TRAIN, N_TEST):
        for shape, largest in (((n, 28, 28), 256), ((n,), 10)):
            array = rng.integers(0, largest, shape, np.uint8)
            header = struct.pack(f">{1 + array.ndim}I", 8 * 256 + array.ndim, *array.shape)
            data = header + array.tobytes()
            path = tmp_path / f"{len(names)}-ubyte"
            path.write_bytes(gzip.compress(data) if request.param else data)
            arrays.append(array)
            names.append(str(path))
    return names, arrays, request.param


def test_the_codelabs_data_sets(files: tuple[list[str], Any, str]) -> None:
    global calls
    names, (x_train, y_train, x_test, y_test), packing = files
    calls = 0
    dataset = load_dataset(*names[:2], packing).cache()
    dataset = dataset.shuffle(5000, reshuffle_each_iteration=True).repeat()
    dataset = dataset.batch(BATCH_SIZE, drop_remainder=True).prefetch(AUTO)
    validation = load_dataset(*names[2:], packing).cache()
    validation = validation.batch(N_TEST, drop_remainder=True).repeat()

    for digits, labels in validation:
        assert np.array_equal(digits.numpy(), x_test.reshape(-1, 784) / np.float32(256))
        assert np.argmax(labels.numpy(), axis=1).tolist() == y_test.tolist()
        break
    for digits, labels in dataset.unbatch().batch(24):
        assert (digits.shape, labels.shape) == ((24, 784), (24, 10))
        assert digits.dtype == labels.dtype == tf.float32
        break

    known = {x.tobytes(): y for x, y in zip(x_train, y_train, strict=True)}
    batches, orders = iter(dataset), []
    for _ in range(2):
        found = [next(batches) for _ in range(125)]  # eight passes
        images = np.concatenate([batch[0] for batch in found])
        labels = np.concatenate([batch[1] for batch in found]).argmax(axis=1)
        pixels = (images * 256).astype(np.uint8)
        rows = [row.tobytes() for row in pixels]
        assert [known[row] for row in rows] == labels.tolist()
        for begin in range(0, 8000, N_TRAIN):
            assert len(set(rows[begin : begin + N_TRAIN])) == N_TRAIN
        orders += [tuple(rows[begin : begin + N_TRAIN]) for begin in range(0, 8000, N_TRAIN)]
    assert len(set(orders)) == 16
    # For both data sets, of which the second filled the buffer of `shuffle` with all it has, the
    # function was called once for all elements and twice to compare.
    assert calls == 6
