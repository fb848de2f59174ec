import numpy as np
import pytest

from tinygrad_mnist import config, function
from tinygrad_mnist.booknets import book_net
from tinygrad_mnist.training.schedule import annealed


@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_rate_rises_in_the_first_tenth_and_falls_to_zero(device, monkeypatch):
    monkeypatch.setattr(config, "device", device)
    rate = function([], annealed(0.5, 100))
    values = [float(rate()) for _ in range(103)]
    np.testing.assert_allclose(values[:11], 0.5 * np.arange(11) / 10, rtol=1e-6)
    np.testing.assert_allclose(values[10:101], 0.5 * np.arange(90, -1, -1) / 90, atol=1e-7)
    assert values[100:] == [0.0, 0.0, 0.0]


def test_a_network_without_a_peak_says_so():
    with pytest.raises(ValueError, match="'fc' has no annealed rate"):
        book_net("fc").train(None, None, None, epochs=1, anneal=True)
