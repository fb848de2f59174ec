"""Settings at the start, from where Theano reads them: THEANO_FLAGS and .theanorc."""

from __future__ import annotations

import configparser
import os
import shlex
import sys
import warnings
from pathlib import Path

from tinygrad_mnist.config import MAX_THREADS, Config
from tinygrad_mnist.errors import DeviceError, EnvironmentVariableError

# This package's own environment variables, by the setting that they start. They come first.
_OWN = {
    "floatX": "TINYGRAD_MNIST_FLOATX",
    "device": "TINYGRAD_MNIST_DEVICE",
    "threads": "TINYGRAD_MNIST_THREADS",
    "debug": "TINYGRAD_MNIST_DEBUG",
}


def start(config: Config) -> None:
    """Sets floatX to float64, then what .theanorc says, then what THEANO_FLAGS says, which comes
    first; OMP_NUM_THREADS is the number of threads.

    This package's own environment variables come before these. Raises ValueError for a value that
    is not allowed and DeviceError for a device that can't be used; the message begins with the
    place where it is written. An unknown setting of THEANO_FLAGS is a warning, as in Theano; one of
    .theanorc is ignored.
    """
    found = {"floatX": ("float64", "Theano's default")}
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and int(threads) > 0:
        found["threads"] = (str(min(int(threads), MAX_THREADS)), "OMP_NUM_THREADS")
    found.update(_from_files())
    found.update(_from_flags())
    for name, (text, place) in found.items():
        if os.environ.get(_OWN.get(name, ""), "").strip():
            continue
        try:
            config.set_text(name, text)
        except AttributeError:
            if place == "THEANO_FLAGS":
                warnings.warn(f"THEANO_FLAGS has an unknown setting: {name}", stacklevel=2)
        except (ValueError, DeviceError) as error:
            message = f"{place}: {error}"
            if "tinygrad_mnist.theano" in sys.orig_argv:  # the command, before it can catch errors
                sys.exit(message)
            raise type(error)(message) from None


def _from_flags() -> dict[str, tuple[str, str]]:
    """The settings of THEANO_FLAGS: `name=value`, separated by commas; the last of a name holds."""
    found = {}
    parts = shlex.shlex(os.environ.get("THEANO_FLAGS", ""), posix=True)
    parts.whitespace, parts.whitespace_split = ",", True
    for part in (p.strip() for p in parts):
        name, is_pair, text = part.partition("=")
        if is_pair:
            found[name.strip()] = (text.strip(), "THEANO_FLAGS")
        elif name:
            warnings.warn(f"THEANO_FLAGS gives no value to {name}", stacklevel=3)
    return found


def _from_files() -> dict[str, tuple[str, str]]:
    """The settings of the files that THEANORC names, or else of ~/.theanorc; a later file comes
    before an earlier one. Those of the section [global] have no section in their names."""
    files = os.environ.get("THEANORC", "~/.theanorc").split(os.pathsep)
    if "THEANORC" not in os.environ and sys.platform == "win32":
        files.append("~/.theanorc.txt")
    names = ("LSCRATCH", "TMPDIR", "TEMP", "TMP")
    known = {
        "USER": os.environ.get("USER", Path.home().name),
        "PID": str(os.getpid()),
        **{name: os.environ.get(name, "") for name in names},
    }
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # floatX is not floatx
    parser.read_dict({"DEFAULT": known})
    found = {}
    for file in (Path(f).expanduser() for f in files if f):
        try:
            parser.read(file)
        except configparser.Error as error:
            raise EnvironmentVariableError(f"{file} can't be read: {error.message}") from None
        for section in parser.sections():
            for option in set(parser.options(section)) - set(known):
                name = option if section == "global" else f"{section}.{option}"
                found[name] = (_value(parser, section, option).strip(), str(file))
    return found


def _value(parser: configparser.ConfigParser, section: str, option: str) -> str:
    """A value, with `%(USER)s` and such replaced; as it is written where that can't be done."""
    try:
        return parser.get(section, option)
    except configparser.Error:
        return parser.get(section, option, raw=True)
