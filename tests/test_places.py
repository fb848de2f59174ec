"""Everything that writes a file, where it may not or can't: the error names the file, and nothing
is left. Rights are given up in a child process where the tests are root's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from helpers.file_writers import COMMANDS, FILLER, LIMIT

pytest.importorskip("pooch")
pytest.importorskip("matplotlib")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="rights and limits are POSIX's")
IS_ROOT = os.name == "posix" and os.geteuid() == 0


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users may enter, as pytest's own may not be."""
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def tried(condition: str, folder: Path) -> dict[str, list[Any]]:
    """What became of each file, and of each command: see `helpers.file_writers`."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-m", "helpers.file_writers", condition, str(folder)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {name: row for name, *row in rows}


def assert_refused(found: dict[str, list[Any]], kinds: set[str]) -> None:
    download = {"downloaded": {"DatasetNotFoundError"}}
    for name, (error, is_named, left) in found.items():
        assert error in download.get(name, kinds), name
        assert is_named, name
        assert not left or name == "log.csv", name  # which has the rows that there was room for


def test_a_folder_that_may_be_written(place: Path) -> None:
    """Else the tests below would see nothing."""
    place.chmod(0o777)
    found = tried("free", place)
    assert len(found) == 13
    assert {error for error, _, _ in found.values()} == {"NoneType"}
    for name, (_, _, left) in found.items():
        assert left, name
        assert max(int(entry.split()[1]) for entry in left if entry[-1] != " ") > LIMIT, name
        assert not any(".part" in entry for entry in left), name


def test_a_read_only_folder(place: Path) -> None:
    place.chmod(0o555)
    found = tried("read-only", place)
    commands = {name: found.pop(name) for name in list(found) if " " in name}
    assert_refused(found, {"PermissionError"})
    assert len(commands) == len(COMMANDS)
    assert all(row == [1, True, []] for row in commands.values()), commands


def test_files_that_are_read_only(place: Path) -> None:
    """A folder that takes a new file in their place doesn't change that."""
    place.chmod(0o777)
    made = tried("free", place)
    before = {}
    for path in place.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
            before[path] = path.read_bytes()
    found = tried("read-only files", place)
    for name in made.keys() - {"idx", "downloaded", "entry"}:
        assert found[name] == ["PermissionError", True, []], name
    assert {p: p.read_bytes() for p in place.rglob("*") if p.is_file()} == before


@pytest.mark.skipif(not IS_ROOT, reason="only root makes files that are another user's")
def test_files_of_others_in_a_folder_with_the_sticky_bit(place: Path) -> None:
    """They may be written, and not replaced; another user's unfinished file stays."""
    for name in ("net", "checkpoint", "report.md", ".net.0123abcd.part"):
        (place / name).write_bytes(b"another's")
        (place / name).chmod(0o666)
    place.chmod(0o1777)
    found = tried("sticky", place)
    for name in ("net", "checkpoint", "report.md"):
        assert found[name] == ["PermissionError", True, []], name
        assert (place / name).read_bytes() == b"another's"
    assert (place / ".net.0123abcd.part").exists()


def test_files_that_become_too_long(place: Path) -> None:
    assert_refused(tried("limited", place), {"OSError"})
    log = (place / "log.csv").read_text()
    assert 0 < len(log) <= LIMIT
    assert log[-1] == "\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a small disk is Linux's tmpfs")
def test_a_full_disk(place: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)]
    if not IS_ROOT or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk can't be mounted here")
    try:
        with suppress(OSError), open(place / FILLER, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        assert_refused(tried("full", place), {"OSError"})
    finally:
        subprocess.run(["umount", str(place)], check=True)
