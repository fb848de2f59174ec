from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygrad_mnist.booknets import book_net
from tinygrad_mnist.config import config
from tinygrad_mnist.datasets import Splits, draw_digits, load_digits, load_mnist
from tinygrad_mnist.datasets.glyphs import GLYPHS, Glyph
from tinygrad_mnist.datasets.handwriting import Style, path_of, write
from tinygrad_mnist.datasets.rendering import render
from tinygrad_mnist.network3 import Network, share_data

PLAIN = Style(
    jitter=0.0, warp=0.0, slant=(0.0, 0.0), turn=0.0, aspect=0.0, width=0.0, pressure=0.0, pen=0.0
)
DIGEST = (
    "import hashlib; from tinygrad_mnist.datasets import draw_digits;"
    "x, y = draw_digits(300, 7); print(hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest())"
)


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    return draw_digits(2000, 3)


def by_name(digit: int, name: str) -> Glyph:
    return next(g for g in GLYPHS if g.digit == digit and g.name == name)


def test_a_seed_gives_the_same_bytes_and_another_seed_others(
    drawn: tuple[np.ndarray, np.ndarray],
) -> None:
    pictures, labels = draw_digits(2000, 3)
    np.testing.assert_array_equal(pictures, drawn[0])
    np.testing.assert_array_equal(labels, drawn[1])
    others, _ = draw_digits(2000, 4)
    assert not (others == pictures).all(axis=(1, 2)).any()


def test_the_bytes_do_not_depend_on_numpys_simd_units() -> None:
    """Nothing but IEEE arithmetic is used, so a processor without them draws the same."""
    found = []
    for disabled in ("", "X86_V4 X86_V3 AVX512_SKX AVX512F AVX2 FMA3"):
        environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": disabled}
        code = f"import warnings; warnings.simplefilter('ignore'); {DIGEST}"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(done.stdout)
    assert len(found[0].strip()) == 64
    assert found[0] == found[1]


def test_shapes_types_and_classes(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    pictures, labels = drawn
    assert (pictures.shape, pictures.dtype) == ((2000, 28, 28), np.uint8)
    assert (labels.shape, labels.dtype) == ((2000,), np.int64)
    assert np.bincount(labels).tolist() == [200] * 10
    assert len({picture.tobytes() for picture in pictures}) == 2000
    # Shuffled: runs of equal labels are as short as chance makes them.
    assert 0.05 < np.mean(labels[1:] == labels[:-1]) < 0.15


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 1003])
def test_any_number_is_shared_out_among_the_classes(count: int) -> None:
    pictures, labels = draw_digits(count)
    assert len(pictures) == len(labels) == count
    classes = np.bincount(labels, minlength=10)
    assert classes.max() - classes.min() <= 1
    assert (pictures.reshape(count, 784).max(axis=1) > 128).all()


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(ValueError, match="count is -1, not 0 or more"):
        draw_digits(-1)


def test_normalised_as_mnist(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    """Ink in a box of 20 x 20 that it fills in one direction; centre of mass in the middle."""
    ink = drawn[0].astype(float)
    rows, columns = ink.max(axis=2) > 0, ink.max(axis=1) > 0
    for marked in (rows, columns):
        extent = 28 - marked.argmax(axis=1) - marked[:, ::-1].argmax(axis=1)
        assert extent.max() == 20
    height, width = (
        28 - marked.argmax(axis=1) - marked[:, ::-1].argmax(axis=1) for marked in (rows, columns)
    )
    assert (np.maximum(height, width) == 20).mean() > 0.97
    assert np.maximum(height, width).min() >= 18
    places = np.arange(28)
    mass = ink.sum(axis=(1, 2))
    for axis, marked in ((2, rows), (1, columns)):
        centre = (ink.sum(axis=axis) * places).sum(axis=1) / mass
        # A picture that would have to leave the frame stops at its edge.
        stopped = marked[:, 0] | marked[:, -1]
        assert stopped.mean() < 0.01
        assert np.abs(centre - 14)[~stopped].max() <= 0.5


def test_the_ink_is_distributed_like_mnists(
    drawn: tuple[np.ndarray, np.ndarray], mnist_path: Path
) -> None:
    """Mean grey of a pixel, its deviation from picture to picture, and share of full black."""
    real = (load_mnist(mnist_path).training.images[:5000] * 256).reshape(-1, 28, 28)
    figures = []
    for pictures in (drawn[0].astype(np.float32), real):
        ink = pictures.mean(axis=(1, 2))
        black = (pictures >= 250).mean() / (pictures > 0).mean()
        figures.append((ink.mean(), ink.std(), black))
    np.testing.assert_allclose(figures[0], figures[1], rtol=0.15)


def test_every_glyph_is_well_formed() -> None:
    assert {glyph.digit for glyph in GLYPHS} == set(range(10))
    assert len({(glyph.digit, glyph.name) for glyph in GLYPHS}) == len(GLYPHS)
    for glyph in GLYPHS:
        assert glyph.weight > 0, glyph
        assert all(len(piece) >= 2 for piece in glyph.pieces), glyph
        assert {i for piece in glyph.pieces for i in piece} == set(range(len(glyph.points)))
        height = np.ptp([y for _, y in glyph.points])
        assert 0.7 <= height <= 1.05, glyph


@pytest.mark.parametrize("glyph", GLYPHS, ids=lambda glyph: f"{glyph.digit}: {glyph.name}")
def test_the_pen_passes_through_the_control_points(glyph: Glyph) -> None:
    path = path_of(glyph)
    np.testing.assert_allclose(path.weights.sum(axis=1), 1, atol=1e-5)
    places = path.weights @ path.controls
    gaps = np.linalg.norm(places[:, None] - path.controls, axis=2).min(axis=0)
    assert gaps.max() < 0.02
    # No place is farther from the next than what the thinnest pen bridges, but where it is lifted.
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert (steps > 0.05).sum() <= len(glyph.pieces) - 1


def test_without_variation_a_stroke_is_drawn_where_it_is() -> None:
    """A straight 1: two and a half columns of ink, soft at the edges, full height."""
    ink = write(by_name(1, "a straight stroke"), 2, np.random.default_rng(0), PLAIN)
    first, second = render(ink, PLAIN.softness)
    np.testing.assert_array_equal(first, second)
    assert (first[4:24].max(axis=1) >= 250).sum() == 18
    assert not first[:4].any()
    assert not first[24:].any()
    profile = first[14] / 255
    np.testing.assert_allclose(profile.sum(), 2 * PLAIN.thickness, atol=0.15)
    assert np.flatnonzero(profile).size == 4


def test_a_thicker_pen_leaves_more_ink() -> None:
    glyph = by_name(0, "an oval from the top, anticlockwise, closed")
    masses = []
    for thickness in (0.8, 1.2, 1.8):
        style = Style(**{**vars(PLAIN), "thickness": thickness})
        ink = write(glyph, 1, np.random.default_rng(0), style)
        masses.append(int(render(ink, style.softness).sum()))
    assert masses == sorted(masses)
    assert masses[2] > 1.8 * masses[0]


def test_load_digits_has_mnists_form() -> None:
    splits = load_digits(5, training=300, validation=60, test=40)
    assert isinstance(splits, Splits)
    for pair, count in zip(splits, (300, 60, 40), strict=True):
        assert (pair.images.shape, pair.images.dtype) == ((count, 784), np.float32)
        assert (pair.labels.shape, pair.labels.dtype) == ((count,), np.int64)
        np.testing.assert_array_equal(pair.images * 256, np.rint(pair.images * 256))
        assert pair.images.max() == np.float32(255 / 256)
    again = load_digits(5, training=300, validation=60, test=40)
    np.testing.assert_array_equal(splits.test.images, again.test.images)
    # The parts are independent: no image of one is in another.
    rows = [{row.tobytes() for row in pair.images} for pair in splits]
    assert not rows[0] & rows[1]
    assert not rows[1] & rows[2]
    assert not rows[0] & rows[2]
    assert load_digits.__defaults__ == (0, 50_000, 10_000, 10_000)


def accuracy(net: Network, images: int) -> float:
    return float(np.mean(net.test_mb_accuracy.sweep(range(images // 10))))


def test_a_small_net_learns_them() -> None:
    """80 to 83 % of other generated digits were measured."""
    config.threads = 1
    splits = load_digits(1, training=4000, validation=500, test=1000)
    net = book_net("fc", 10, seed=1)
    net.train(*share_data(splits), epochs=10, quiet=True, progress=False)
    assert accuracy(net.network, 1000) > 0.75


def test_a_net_that_saw_only_generated_digits_reads_real_ones(mnist_path: Path) -> None:
    """A fifth of the usual number of images, two epochs: 88 to 89 % were measured."""
    config.threads = 1
    splits = load_digits(1, training=10_000, validation=500, test=10)
    real = load_mnist(mnist_path).test
    net = book_net("conv1", 10, seed=1)
    data = share_data([splits.training, splits.validation, real])
    net.train(*data, epochs=2, anneal=True, quiet=True, progress=False)
    assert accuracy(net.network, len(real.labels)) > 0.8
