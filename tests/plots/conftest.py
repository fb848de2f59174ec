"""Pictures are tested where matplotlib is installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


@pytest.fixture(autouse=True)
def _matplotlib(request: pytest.FixtureRequest) -> None:
    if find_spec("matplotlib") is None and "without_matplotlib" not in request.fixturenames:
        pytest.skip("needs matplotlib, of the extra 'plot'")
