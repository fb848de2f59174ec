from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.datasets import draw_digits
from tinygrad_mnist.datasets.photos import ImageError, as_mnist, read_image
from tinygrad_mnist.keras.datasets import mnist

DIGITS = draw_digits(12, seed=3)[0].reshape(-1, 28, 28).astype(np.uint8)
# In MNIST's form, which generated digits have nearly.
DIGITS = np.stack([as_mnist(digit)[0] for digit in DIGITS])


def enlarged(digit: Any, factor: int) -> np.ndarray[Any, Any]:
    """Each pixel as a square of factor x factor."""
    return np.kron(digit.astype(float), np.ones((factor, factor)))


def on_paper(
    digit: Any, factor: int, height: int, width: int, row: int, column: int, paper: Any, ink: float
) -> np.ndarray[Any, Any]:
    """A photo (height, width): the digit at a place, `ink` levels darker than the paper."""
    photo = np.zeros((height, width)) + paper
    size = 28 * factor
    photo[row : row + size, column : column + size] -= enlarged(digit, factor) * ink / 255
    return np.clip(np.rint(photo), 0, 255).astype(np.uint8)


def difference(one: Any, other: Any) -> float:
    """Of two images, in shares of the first one's ink, at the best of all shifts by a pixel."""
    shifts = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    least = min(np.abs(np.roll(other, s, (0, 1)) - one.astype(float)).sum() for s in shifts)
    return float(least / one.sum())


@pytest.mark.parametrize("digit", DIGITS)
def test_an_image_in_mnists_form_stays(digit: Any) -> None:
    result, steps = as_mnist(digit)
    assert steps == []
    np.testing.assert_array_equal(result, digit)


def test_mnist_stays(mnist_path: Path) -> None:
    images = mnist.load_data(str(mnist_path))[1][0][:100]
    assert sum(bool(as_mnist(image)[1]) for image in images) <= 1


@pytest.mark.parametrize("digit", DIGITS)
def test_light_paper(digit: Any) -> None:
    result, steps = as_mnist(255 - digit)
    assert steps[0] == "inverted"
    np.testing.assert_array_equal(result, digit)


@settings(max_examples=30)
@given(
    st.integers(0, len(DIGITS) - 1),
    st.integers(2, 6),
    st.tuples(*4 * [st.integers(2, 80)]),
    st.booleans(),
    st.sampled_from([60, 120, 255]),
)
def test_place_size_and_contrast_do_not_matter(
    i: int, factor: int, around: tuple[int, ...], dark: bool, ink: int
) -> None:
    top, bottom, left, right = around
    size = 28 * factor
    photo = on_paper(
        DIGITS[i], factor, top + size + bottom, left + size + right, top, left, 255, ink
    )
    result, steps = as_mnist(photo if dark else 255 - photo)
    assert difference(DIGITS[i], result) < 0.3
    assert ("inverted" in steps) == dark
    assert ("contrast stretched" in steps) == (ink < 255)
    assert steps[-1] == "centred by mass"


@pytest.mark.parametrize("digit", DIGITS[:6])
@pytest.mark.parametrize("noise", [0, 2, 5])
def test_a_photo_with_shade_and_noise(digit: Any, noise: float) -> None:
    y, x = np.mgrid[0:360, 0:480]
    rng = np.random.default_rng(1)
    paper = 150 + 60 * x / 480 + 30 * y / 360 - 20 * (x / 240 - 1) ** 2
    paper = paper + noise * rng.normal(size=paper.shape)
    photo = on_paper(digit, 6, 360, 480, 90, 200, paper, 110)
    result, _ = as_mnist(photo)
    assert difference(digit, result) < 0.4


@pytest.mark.parametrize("digit", DIGITS[:6])
def test_a_small_digit_in_a_large_image_keeps_its_pixels(digit: Any) -> None:
    photo = on_paper(digit, 2, 700, 900, 600, 70, 230, 200)
    result, steps = as_mnist(photo)
    assert steps[0].startswith("cut out ")
    assert difference(digit, result) < 0.3


@pytest.mark.parametrize("shape", [(28, 28), (60, 40), (500, 500)])
def test_nothing_to_see(shape: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="there is no digit: all pixels are nearly equal"):
        as_mnist(np.full(shape, 200, np.uint8))
    specks = np.full((60, 60), 200, np.uint8)
    specks[10::20, 10::20] = 0
    with pytest.raises(ImageError, match="only specks"):
        as_mnist(specks)


def test_a_stroke_at_the_corner_keeps_its_proportions() -> None:
    image = np.zeros((100, 100), np.uint8)
    image[2:92, 2:8] = 255
    result, _ = as_mnist(image)
    rows, columns = np.nonzero(result > 127)
    assert np.ptp(rows) + 1 == 20
    assert np.ptp(columns) + 1 <= 2
    assert abs(rows.mean() - 14) < 1
    assert abs(columns.mean() - 14) < 1


# --- files ----------------------------------------------------------------------------------------


@pytest.fixture
def pillow() -> Any:
    return pytest.importorskip("PIL.Image")


def colours(grey: Any) -> np.ndarray[Any, Any]:
    return np.stack([grey, grey, grey], -1)


def test_kinds_of_files(pillow: Any, tmp_path: Path) -> None:
    grey = on_paper(DIGITS[0], 3, 120, 100, 10, 8, 255, 255)
    image = pillow.fromarray(grey)
    alpha = np.dstack([0 * colours(grey), 255 - grey])
    white = np.dstack([0 * colours(grey) + 255, 255 - grey])
    deep = pillow.fromarray(grey.astype(np.uint16) * 257)
    turned = image.transpose(pillow.Transpose.ROTATE_90)
    exif = turned.getexif()
    exif[0x0112] = 6  # turn it by 270 degrees to see it upright
    saved: dict[str, tuple[Any, dict[str, Any], Any, int]] = {
        "grey.png": (image, {}, grey, 0),
        "bits.png": (image.convert("1"), {}, np.where(grey > 127, 255, 0), 255),
        "colour.png": (pillow.fromarray(colours(grey)), {}, grey, 1),
        "palette.png": (image.convert("P"), {}, grey, 1),
        "palette.gif": (image, {}, grey, 1),
        "deep.png": (deep, {}, grey, 1),
        "float.tiff": (pillow.fromarray(grey.astype(np.float32) / 255), {}, grey, 1),
        "photo.jpg": (image, {"quality": 98}, grey, 40),
        "cmyk.jpg": (image.convert("CMYK"), {"quality": 98}, grey, 40),
        "image.bmp": (image, {}, grey, 0),
        "image.webp": (image, {"lossless": True}, grey, 1),
        "image.pgm": (image, {}, grey, 0),
        "alpha.png": (pillow.fromarray(alpha), {}, grey, 1),
        "white.png": (pillow.fromarray(white), {}, 255 - grey, 1),
        "turned.jpg": (turned, {"quality": 98, "exif": exif.tobytes()}, grey, 40),
    }
    for name, (picture, options, expected, largest) in saved.items():
        picture.save(tmp_path / name, **options)
        found = read_image(tmp_path / name)
        assert found.dtype == np.uint8, name
        assert found.shape == grey.shape, name
        assert np.abs(found.astype(int) - expected.astype(int)).max() <= largest, name
        assert difference(as_mnist(grey)[0], as_mnist(found)[0]) < 0.15, name


def test_large_images_are_reduced(pillow: Any, tmp_path: Path) -> None:
    grey = on_paper(DIGITS[1], 60, 2000, 3000, 100, 200, 255, 255)
    pillow.fromarray(grey).save(tmp_path / "large.png")
    found = read_image(tmp_path / "large.png")
    assert max(found.shape) == 1000
    assert difference(DIGITS[1], as_mnist(found)[0]) < 0.3


def test_files_that_are_no_images(pillow: Any, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").touch()
    pillow.fromarray(DIGITS[0]).save(tmp_path / "good.png")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    for name, message in {
        "text.png": "not an image, or of an unknown kind",
        "empty.png": "not an image",
        "cut.png": "the image can't be read",
        "absent.png": "no such file",
        "": "a folder, not an image",
    }.items():
        with pytest.raises(ImageError, match=message) as caught:
            read_image(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))


def test_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r"needs Pillow: pip install 'tinygrad_mnist\[plot\]'"):
        read_image(tmp_path)
