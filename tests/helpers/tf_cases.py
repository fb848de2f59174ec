"""Programs for TensorFlow's `tf.data` and functions of arrays, of which golden/data.json has the
results. Each is a function of the module `tf` and of a folder for files."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

Program = Callable[[Any, Path], Any]


def pairs(tf: Any, n: int = 10) -> Any:
    x = np.arange(3 * n, dtype=np.float32).reshape(n, 3)
    return tf.data.Dataset.from_tensor_slices((x, np.arange(n, dtype=np.int64) % 4))


def slices(tf: Any, *shape: int, dtype: str = "int32") -> Any:
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    return tf.data.Dataset.from_tensor_slices(values)


def file(folder: Path, header: int = 16, records: int = 5, footer: int = 0) -> str:
    """A file of records of 4 bytes."""
    path = folder / "records"
    body = bytes((7 * i) % 256 for i in range(4 * records))
    path.write_bytes(b"h" * header + body + b"f" * footer)
    return str(path)


def packed(folder: Path) -> str:
    path = folder / "records.gz"
    path.write_bytes(gzip.compress(Path(file(folder)).read_bytes()))
    return str(path)


def records(tf: Any, folder: Path, **options: Any) -> Any:
    return tf.data.FixedLengthRecordDataset(file(folder), 4, header_bytes=16, **options)


def image(tf: Any, data: Any) -> Any:
    return tf.reshape(tf.cast(tf.io.decode_raw(data, tf.uint8), tf.float32) / 256.0, [2, 2])


def label(tf: Any, data: Any) -> Any:
    return tf.one_hot(tf.reshape(tf.io.decode_raw(data, tf.uint8)[1:2], []), 10)


def digits(tf: Any, folder: Path) -> Any:
    images = records(tf, folder).map(lambda s: image(tf, s), num_parallel_calls=16)
    labels = records(tf, folder).map(lambda s: label(tf, s))
    return tf.data.Dataset.zip((images, labels))


def three(tf: Any) -> Any:
    return tf.data.Dataset.range(3)


def activation(name: str, tf: Any, _: Path) -> Any:
    return getattr(tf.nn, name)([-3.0, -0.5, 0.0, 0.7, 2.0])


DATASETS: dict[str, Program] = {
    "range": lambda tf, _: tf.data.Dataset.range(2, 11, 3),
    "slices of a tuple": lambda tf, _: pairs(tf),
    "slices of a dict": lambda tf, _: tf.data.Dataset.from_tensor_slices(
        {"a": np.arange(4, dtype=np.uint8), "b": (np.ones((4, 2)), np.zeros(4, np.float32))}
    ),
    "slices of lists": lambda tf, _: tf.data.Dataset.from_tensor_slices(([1, 2], [0.5, 1.5])),
    "slices of texts": lambda tf, _: tf.data.Dataset.from_tensor_slices(["one", "three"]),
    "tensors": lambda tf, _: tf.data.Dataset.from_tensors((np.arange(3), 1.5)),
    "batch": lambda tf, _: pairs(tf).batch(4),
    "batch without rest": lambda tf, _: pairs(tf).batch(4, drop_remainder=True),
    "batch of all": lambda tf, _: pairs(tf).batch(100),
    "batch of all without rest": lambda tf, _: pairs(tf).batch(100, drop_remainder=True),
    "batch of batches": lambda tf, _: slices(tf, 12).batch(2).batch(3),
    "batch of uneven batches": lambda tf, _: slices(tf, 9).batch(2, drop_remainder=True).batch(3),
    "unbatch": lambda tf, _: pairs(tf).batch(4).unbatch(),
    "unbatch and batch": lambda tf, _: pairs(tf).batch(4).unbatch().batch(3),
    "repeat": lambda tf, _: three(tf).repeat(2),
    "repeat never": lambda tf, _: three(tf).repeat(0),
    "repeat and batch": lambda tf, _: three(tf).repeat(3).batch(4),
    "endless": lambda tf, _: three(tf).repeat().take(7),
    "endless batches": lambda tf, _: three(tf).batch(2).repeat().take(3),
    "repeat of nothing": lambda tf, _: three(tf).take(0).repeat(),
    "take": lambda tf, _: three(tf).take(2),
    "take more": lambda tf, _: three(tf).take(9),
    "take all": lambda tf, _: three(tf).take(-1),
    "skip": lambda tf, _: pairs(tf).skip(7),
    "skip more": lambda tf, _: three(tf).skip(9),
    "skip all": lambda tf, _: three(tf).skip(-1),
    "shard": lambda tf, _: slices(tf, 10).shard(3, 1),
    "shard of blocks": lambda tf, _: slices(tf, 5).concatenate(slices(tf, 6)).shard(4, 2),
    "concatenate": lambda tf, _: slices(tf, 2).concatenate(slices(tf, 3)),
    "concatenate batches": lambda tf, _: slices(tf, 5).batch(2).concatenate(slices(tf, 3).batch(3)),
    "enumerate": lambda tf, _: pairs(tf, 3).enumerate(start=5),
    "filter": lambda tf, _: slices(tf, 10).filter(lambda x: x % 3 == 0),
    "filter pairs": lambda tf, _: pairs(tf).filter(lambda x, y: y < 2).batch(3),
    "zip": lambda tf, _: tf.data.Dataset.zip((three(tf), pairs(tf))),
    "zip of a dict": lambda tf, _: tf.data.Dataset.zip({"a": three(tf), "b": (three(tf),)}),
    "zip of arguments": lambda tf, _: tf.data.Dataset.zip(three(tf), three(tf).batch(2)),
    "zip endless": lambda tf, _: tf.data.Dataset.zip((three(tf).repeat(), pairs(tf))),
    "cache": lambda tf, _: three(tf).cache().repeat(2),
    "shuffle within nothing": lambda tf, _: three(tf).shuffle(1).batch(2).prefetch(1),
    "flat_map": lambda tf, _: slices(tf, 3, 2).flat_map(tf.data.Dataset.from_tensor_slices),
    "reduce": lambda tf, _: tf.data.Dataset.from_tensors(
        three(tf).reduce(np.int64(0), lambda a, b: a + b)
    ),
    "records": records,
    "records with a footer": lambda tf, folder: tf.data.FixedLengthRecordDataset(
        file(folder, 8, 3, 5), 4, header_bytes=8, footer_bytes=5
    ),
    "packed records": lambda tf, folder: tf.data.FixedLengthRecordDataset(
        packed(folder), 4, header_bytes=16, compression_type="GZIP"
    ),
    "records of two files": lambda tf, folder: tf.data.FixedLengthRecordDataset(
        [file(folder), file(folder)], 4, 16
    ).batch(3),
    "digits": digits,
    "digits in batches": lambda tf, folder: digits(tf, folder).cache().repeat().batch(3).take(4),
    "map of a pair": lambda tf, _: pairs(tf).map(lambda x, y: (x * 2.0, y + 1)),
    "map of a dict": lambda tf, _: tf.data.Dataset.from_tensor_slices(
        {"a": np.arange(3, dtype=np.int32)}
    ).map(lambda e: {"b": e["a"] * 2, "a": e["a"]}),
    "map to a constant": lambda tf, _: three(tf).map(lambda x: (x, 1, [1.0, 2.0])),
    "map to a list": lambda tf, _: three(tf).map(lambda x: [x, x + 1]),
    "map of batches": lambda tf, _: (
        pairs(tf).batch(4).map(lambda x, y: (x / 2.0, tf.one_hot(y, 4)))
    ),
    "map of rows": lambda tf, _: slices(tf, 4, 3).map(lambda x: x[1:] - x[0]),
    "division of bytes": lambda tf, _: slices(tf, 4, dtype="uint8").map(lambda x: x / 3),
    "division of integers": lambda tf, _: slices(tf, 4, dtype="int32").map(lambda x: x / 3),
    "wrapping bytes": lambda tf, _: slices(tf, 4, dtype="uint8").map(lambda x: x * 100 - 1),
    "reductions": lambda tf, _: slices(tf, 3, 2, 2, dtype="float32").map(
        lambda x: (tf.reduce_sum(x), tf.reduce_max(x, axis=0), tf.argmax(x, axis=1))
    ),
    "means of integers": lambda tf, _: slices(tf, 3, 4).map(lambda x: tf.reduce_mean(x - 5)),
    "shapes": lambda tf, _: slices(tf, 3, 4).map(
        lambda x: (tf.expand_dims(x, -1), tf.transpose(tf.reshape(x, [2, -1])), tf.shape(x))
    ),
    "where": lambda tf, _: slices(tf, 3, 4, dtype="float32").map(
        lambda x: tf.where(x > 5, x, tf.zeros_like(x))
    ),
    "maximum": lambda tf, _: slices(tf, 5, dtype="float32").map(
        lambda x: tf.clip_by_value(tf.maximum(x, 2.5), 0.0, 3.0)
    ),
    "concat": lambda tf, _: slices(tf, 3, 2).map(lambda x: tf.concat([x, tf.stack([x[0]])], 0)),
}

VALUES: dict[str, Program] = {
    "one_hot outside": lambda tf, _: tf.one_hot([-1, 0, 2, 3], 3),
    "one_hot values": lambda tf, _: tf.one_hot([[0, 1]], 2, on_value=5, off_value=-1),
    "one_hot axis": lambda tf, _: tf.one_hot([0, 2], 3, axis=0),
    "one_hot dtype": lambda tf, _: tf.one_hot(np.array([1], np.uint8), 2, dtype=tf.int64),
    "decode_raw": lambda tf, _: tf.io.decode_raw(b"\x01\x02\x03\x04", tf.uint8),
    "decode_raw int16": lambda tf, _: tf.io.decode_raw(b"\x01\x02\x03\x04", tf.int16),
    "decode_raw big": lambda tf, _: tf.io.decode_raw(
        b"\x01\x02\x03\x04", tf.int32, little_endian=False
    ),
    "decode_raw strings": lambda tf, _: tf.io.decode_raw([b"ab", b"cd"], tf.uint8),
    "cast": lambda tf, _: tf.cast([0.5, -1.7, 300.0], tf.int32),
    "cast to bool": lambda tf, _: tf.cast([0, 2], tf.bool),
    "reshape": lambda tf, _: tf.reshape(np.arange(6), [3, -1]),
    "reshape to a scalar": lambda tf, _: tf.reshape([7], []),
    "constant": lambda tf, _: tf.constant([[1, 2], [3, 4]]),
    "constant float": lambda tf, _: tf.constant(0.1),
    "constant shape": lambda tf, _: tf.constant(3.0, shape=[2, 2]),
    "constant dtype": lambda tf, _: tf.constant([1, 2], tf.float32),
    "range": lambda tf, _: tf.range(3),
    "range of floats": lambda tf, _: tf.range(1.0, 2.0, 0.5),
    "reduce_mean": lambda tf, _: tf.reduce_mean([[1.0, 2.0], [3.0, 5.0]], axis=1),
    "reduce_sum of bytes": lambda tf, _: tf.reduce_sum(np.array([200, 100], np.uint8)),
    "argmax": lambda tf, _: tf.argmax([[1, 3], [4, 2]]),
    "argmax last": lambda tf, _: tf.argmax([[1, 3], [4, 2]], axis=-1, output_type=tf.int32),
    "matmul": lambda tf, _: tf.matmul([[1.0, 2.0]], [[3.0], [4.0]]),
    "equal": lambda tf, _: tf.equal([1, 2], [1, 3]),
    "round": lambda tf, _: tf.round([0.5, 1.5, -2.5]),
    "gather": lambda tf, _: tf.gather([[1, 2], [3, 4]], [1, 0, 1]),
    "tile": lambda tf, _: tf.tile([[1, 2]], [2, 2]),
    "squeeze": lambda tf, _: tf.squeeze([[[1], [2]]]),
    "fill": lambda tf, _: tf.fill([2, 3], 7),
    "zeros": lambda tf, _: tf.zeros([2]),
    "where": lambda tf, _: tf.where([True, False, True]),
    "pow": lambda tf, _: tf.pow([2.0, 3.0], 2.0),
    "relu": lambda tf, _: tf.nn.relu([-1.0, 2.0]),
    "leaky_relu": lambda tf, _: tf.nn.leaky_relu([-1.0, 2.0]),
    "leaky_relu alpha": lambda tf, _: tf.nn.leaky_relu([-1.0, 2.0], alpha=0.1),
    "softmax": lambda tf, _: tf.nn.softmax([[1.0, 2.0, 4.0]]),
    "softmax of a vector": lambda tf, _: tf.nn.softmax([1.0, 2.0, 4.0]),
    "softmax axis": lambda tf, _: tf.nn.softmax([[1.0, 2.0], [3.0, 5.0]], axis=0),
    "log_softmax": lambda tf, _: tf.nn.log_softmax([[1.0, 2.0, 4.0]]),
    **{
        name: partial(activation, name)
        for name in ("sigmoid", "tanh", "elu", "selu", "softplus", "softsign", "relu6", "gelu")
    },
}


def plain(value: Any) -> Any:
    """A tensor, or a structure of tensors, for JSON: [shape, dtype, values]."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    array = np.asarray(value.numpy())
    values = array.ravel().tolist()
    if array.dtype.kind in "OS":
        values = [v.hex() for v in values]
    return [list(array.shape), "string" if array.dtype.kind in "OS" else array.dtype.name, values]


def plain_spec(spec: Any) -> Any:
    if isinstance(spec, dict):
        return {name: plain_spec(part) for name, part in spec.items()}
    if isinstance(spec, tuple) and not hasattr(spec, "dtype"):
        return [plain_spec(part) for part in spec]
    name = getattr(spec.dtype, "name", str(spec.dtype))
    shape = None if spec.shape is None else list(spec.shape)
    return [shape, "string" if name.startswith("bytes") else name]
