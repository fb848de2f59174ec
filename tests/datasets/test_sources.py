from __future__ import annotations

import functools
import hashlib
import http.server
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.small_mnist import small_arrays, write_idx_folder

from tinygrad_mnist.datasets import (
    DatasetError,
    DatasetNotFoundError,
    cache_folder,
    download,
    load_data,
    load_digits,
    load_mnist,
    locate,
    sources,
)

DEAD_MIRROR = "http://127.0.0.1:9/"


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with no data anywhere in reach; returns the folder."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.delenv("TINYGRAD_MNIST_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    use(monkeypatch, DEAD_MIRROR)
    return tmp_path


@pytest.fixture
def mirror(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A local mirror of four small files whose sums are the known ones; yields its address."""
    folder = nowhere / "mirror"
    write_idx_folder(folder, small_arrays())
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    monkeypatch.setattr(sources, "MNIST", replace(sources.MNIST, sha256=sums))
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def use(monkeypatch: pytest.MonkeyPatch, *mirrors: str) -> None:
    monkeypatch.setattr(sources, "MNIST", replace(sources.MNIST, mirrors=mirrors))


def test_one_error_lists_every_place(nowhere: Path) -> None:
    with pytest.raises(DatasetNotFoundError) as e:
        load_mnist()
    text = str(e.value)
    assert "../data/mnist.pkl.gz (the book's place): no such file" in text
    assert "$TINYGRAD_MNIST_DATA: not set" in text
    assert f"{cache_folder()} (cache): nothing downloaded yet" in text
    assert f"download from {DEAD_MIRROR}: Connection refused" in text
    assert "the name 'digits' means generated digits" in text
    assert "./data/: no such folder" in text
    assert "./: no data set" in text
    assert len(e.value.attempts) == 6
    assert e.value.nowhere
    assert isinstance(e.value, FileNotFoundError)


def test_the_places_in_their_order(
    nowhere: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, mirror)
    assert locate().place == "a download into the cache"
    assert locate().place == "the cache"
    write_idx_folder(nowhere / "mine", small_arrays())
    monkeypatch.setenv("TINYGRAD_MNIST_DATA", str(nowhere / "mine"))
    assert locate().path == nowhere / "mine"
    (nowhere / "data").mkdir()
    (nowhere / "data" / "mnist.pkl.gz").write_bytes(b"")
    assert locate().place == "the book's place"
    assert locate(nowhere / "mine").place == "the given name"


def test_download_goes_on_to_the_next_mirror(
    nowhere: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, DEAD_MIRROR, mirror)
    assert load_mnist().training.images.shape == (50, 784)
    assert sorted(path.name for path in cache_folder().iterdir()) == sorted(download.MNIST.sha256)


def test_a_wrong_download_is_not_kept(
    nowhere: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, mirror)
    (nowhere / "mirror" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"an error page")
    with pytest.raises(DatasetNotFoundError, match="arrived with a wrong SHA-256") as e:
        load_mnist()
    assert "t10k-labels-idx1-ubyte.gz" in str(e.value)
    assert not e.value.nowhere
    assert not (cache_folder() / "t10k-labels-idx1-ubyte.gz").exists()


def test_a_wrong_file_in_the_cache_is_named_and_replaced(
    nowhere: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, mirror)
    load_mnist()
    bad = cache_folder() / "t10k-labels-idx1-ubyte.gz"
    right = bad.read_bytes()
    bad.write_bytes(right[:-1] + b"?")
    with pytest.warns(UserWarning, match=r"t10k-labels-idx1-ubyte\.gz: wrong SHA-256"):
        load_mnist()
    assert bad.read_bytes() == right

    bad.write_bytes(b"?")
    use(monkeypatch, DEAD_MIRROR)
    with (
        pytest.warns(UserWarning, match="wrong SHA-256"),
        pytest.raises(
            DatasetNotFoundError, match=r"t10k-labels-idx1-ubyte\.gz: wrong SHA-256"
        ) as e,
    ):
        load_mnist()
    assert not e.value.nowhere


def test_a_set_variable_is_not_passed_over(
    nowhere: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, mirror)
    monkeypatch.setenv("TINYGRAD_MNIST_DATA", str(nowhere / "typo"))
    with pytest.raises(DatasetNotFoundError, match="typo: no such file or folder") as e:
        load_mnist()
    assert str(e.value).count("not tried, since $TINYGRAD_MNIST_DATA") == 4
    assert not e.value.nowhere
    (nowhere / "typo").mkdir()
    with pytest.raises(DatasetError, match="typo: no file train-images-idx3-ubyte or"):
        load_mnist()


def test_a_given_name_is_the_only_place(nowhere: Path) -> None:
    with pytest.raises(
        DatasetNotFoundError, match=r"^absent\.pkl\.gz: no such file or folder$"
    ) as e:
        load_mnist("absent.pkl.gz")
    assert not e.value.nowhere
    with pytest.raises(DatasetNotFoundError, match="expand_mnist makes such data"):
        load_mnist("../data/mnist_expanded.npz")


def test_without_pooch_the_error_says_so(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DatasetNotFoundError, match="pooch is not installed"):
        load_mnist()


@pytest.fixture
def swallowing_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Looking up a name never ends, as where a firewall drops what is sent."""
    over = threading.Event()

    def look_up(*args: object, **options: object) -> list[object]:
        over.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield
    over.set()


def test_a_network_that_swallows_everything_is_given_up_once_for_all_mirrors(
    nowhere: Path, swallowing_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pooch")  # its own import is not what is timed
    monkeypatch.setattr(download, "ANSWER_SECONDS", 0.3)
    use(monkeypatch, "http://one.invalid/", "http://two.invalid/", "http://three.invalid/")
    start = time.monotonic()
    with pytest.raises(DatasetNotFoundError) as e:
        load_mnist()
    assert time.monotonic() - start < 0.3 + 1
    assert e.value.nowhere
    problems = [attempt.problem for attempt in e.value.attempts if "download" in attempt.place]
    assert problems == ["no answer in 0.3 seconds"] * 3


def test_the_wait_for_the_mirrors_is_short() -> None:
    assert download.ANSWER_SECONDS <= 8


def test_a_mirror_that_answers_is_not_kept_waiting_by_one_that_does_not(
    nowhere: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        use(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}/", mirror)
        start = time.monotonic()
        assert locate().place == "a download into the cache"
        assert time.monotonic() - start < download.ANSWER_SECONDS


def test_a_server_without_the_files_is_out_of_reach(
    nowhere: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, f"{mirror}elsewhere/")
    with pytest.raises(DatasetNotFoundError, match="the server does not have the files") as e:
        load_mnist()
    assert e.value.nowhere


def test_a_cache_that_cannot_be_written_is_a_fault(
    nowhere: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, mirror)
    (nowhere / "cache").write_text("a file where the folder should be")
    with pytest.raises(DatasetNotFoundError, match=r"Not a directory|File exists") as e:
        load_mnist()
    assert not e.value.nowhere


def test_the_name_digits_stands_for_generated_ones(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = load_digits(0, 50, 10, 10)
    monkeypatch.setattr(sources, "load_digits", lambda: small)
    assert load_data("digits") is small
    with pytest.raises(DatasetNotFoundError, match="no such file or folder"):
        load_data("./digits")
    write_idx_folder(nowhere / "work" / "digits", small_arrays())
    assert load_data("digits") is small
    assert load_data("./digits").training.images.shape == (50, 784)


def test_importing_needs_neither_pooch_nor_the_engine() -> None:
    code = (
        "import sys, tinygrad_mnist.datasets;"
        "print(sorted(m for m in ('pooch', 'requests') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_known_sums_are_those_of_the_real_files(mnist_path: Path) -> None:
    if not mnist_path.is_dir():
        pytest.skip(f"needs the four original files, not {mnist_path}")
    assert download.verify_cache(download.MNIST, mnist_path) is None
