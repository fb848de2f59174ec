"""`pydotprint`: writes drawings to files; Graphviz lays them out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tinygrad_mnist.files import write_whole
from tinygrad_mnist.printing.dot import dot

_TEXT = ("dot", "gv")  # formats that need no layout
# Theano's options that choose how a drawing looks.
_LOOKS = {
    *("colorCodes", "compact", "cond_highlight", "high_contrast", "max_label_size"),
    *("scan_graphs", "var_with_name_simple", "with_ids"),
}
_DEFAULT_OUTFILE = "pydotprint"


def pydotprint(
    fct: Any,
    outfile: str | os.PathLike[str] | None = None,
    format: str | None = None,
    print_output_file: bool = True,
    **options: Any,
) -> None:
    """Draws a function's plan, or the graph of variables, into a file.

    fct: an argument of `dot`. outfile: the file; by default `pydotprint.<format>` in the current
    folder. format: one that Graphviz writes, such as 'svg', 'png' or 'pdf', or 'dot' for the text,
    which needs no Graphviz; by default that of the file's suffix, else 'png'. print_output_file:
    print where the drawing is. options: those of Theano that choose how a drawing looks, such as
    `var_with_name_simple`, have no effect.

    Raises TypeError for other options, RuntimeError if Graphviz's command `dot` is missing or
    refuses the format.
    """
    for name in options:
        if name not in _LOOKS:
            raise TypeError(f"pydotprint has no option {name!r}")
    suffix = Path(outfile).suffix.removeprefix(".") if outfile is not None else ""
    chosen = format or suffix or "png"
    path = Path(outfile) if outfile is not None else Path(f"{_DEFAULT_OUTFILE}.{chosen}")
    text = dot(fct)
    if chosen in _TEXT:
        write_whole(path, text.encode())
    else:
        write_whole(path, _laid_out(text, path, chosen))
    if print_output_file:
        print(f"The output file is available at {path}")


def _laid_out(text: str, path: Path, format: str) -> bytes:
    import shutil  # here and not above: they take longer to load than most of the package
    import subprocess

    command = shutil.which("dot")
    if command is None:
        raise RuntimeError(
            f"a drawing as {format} needs Graphviz, whose command `dot` is not installed here: "
            "install it (Debian, Ubuntu: apt install graphviz; macOS: brew install graphviz), "
            "or write the text with format='dot'"
        )
    done = subprocess.run(
        [command, f"-T{format}"], input=text.encode(), capture_output=True, check=False
    )
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"Graphviz can't write {path}: {why}")
    return done.stdout
