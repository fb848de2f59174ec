"""Files are written whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tinygrad_mnist.files import write_whole, written_whole


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new"
    with written_whole(path) as file:
        file.write(b"some")
        assert not path.exists()
        file.write(b"thing")
    assert path.read_bytes() == b"something"
    assert os.listdir(tmp_path) == ["new"]


@pytest.mark.parametrize("error", [OSError("no number"), ValueError(), KeyboardInterrupt()])
@pytest.mark.parametrize("before", [None, b"old"])
def test_an_error_leaves_the_folder_as_it_was(
    tmp_path: Path, error: BaseException, before: bytes | None
) -> None:
    path = tmp_path / "kept"
    if before is not None:
        path.write_bytes(before)

    def write() -> None:
        with written_whole(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([] if before is None else [before])


def test_an_error_of_the_caller_keeps_its_file_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="elsewhere"), written_whole(tmp_path / "a"):
        open(tmp_path / "elsewhere")  # noqa: SIM115


def test_permissions_and_links_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    write_whole(link, b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_new_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_whole(tmp_path / "whole", b"")
    modes = {(tmp_path / name).stat().st_mode for name in ("plain", "whole")}
    assert len(modes) == 1


def test_a_long_name(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    write_whole(path, b"x")
    assert path.read_bytes() == b"x"


def test_what_is_no_file_is_written_directly() -> None:
    write_whole(os.devnull, b"x")
    assert not stat.S_ISREG(os.stat(os.devnull).st_mode)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_full_device() -> None:
    with pytest.raises(OSError, match="No space left"):
        write_whole("/dev/full", b"x")


@pytest.mark.parametrize("name", ["missing/file", "folder"])
def test_a_place_that_can_not_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=name):
        write_whole(tmp_path / name, b"x")
    assert os.listdir(tmp_path) == ["folder"]


FULL = """
import os, resource, sys
from tinygrad_mnist.files import write_whole
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for size in (1001, 100_000):
    try:
        write_whole(sys.argv[1], bytes(size))
    except OSError as error:
        print(error.filename == sys.argv[1], os.listdir(os.path.dirname(sys.argv[1])))
"""


@pytest.mark.skipif(os.name != "posix", reason="limits are set by POSIX's setrlimit")
def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """The limit on the size of files stands for it: the last bytes can't be written."""
    command = [sys.executable, "-c", FULL, str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["True []"] * 2
