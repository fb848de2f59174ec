"""PyTorch: eager, eager with channels last, and one compiled graph for the whole step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812

from benchmarks.job import Job
from benchmarks.workloads import IMAGE, Conv, Net, initial_weights

ACTIVATIONS: dict[str | None, Any] = {
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    None: lambda z: z,
}
Parameters = list[tuple[torch.Tensor, torch.Tensor]]


def forward(net: Net, parameters: Parameters, x: torch.Tensor, train: bool) -> torch.Tensor:
    """Logits of the images x, (n, 1, 28, 28)."""
    for layer, (w, b) in zip(net.layers, parameters, strict=True):
        activation = ACTIVATIONS[layer.activation]
        if isinstance(layer, Conv):
            x = activation(F.max_pool2d(F.conv2d(x, w, b), layer.pool))
        else:
            x = x.flatten(1)
            if layer.dropout:
                x = F.dropout(x, layer.dropout, train)
            x = activation(F.linear(x, w, b))
    return x


class Steps:
    """Steps of one workload; mode: eager, channels-last or compile (which has channels last)."""

    quantum = 1

    def __init__(self, job: Job) -> None:
        torch.set_num_threads(job.threads)
        torch.manual_seed(0)
        self._workload = job.workload
        self._net = job.workload.net
        self._compiled = job.mode == "compile"
        convolves = any(isinstance(layer, Conv) for layer in self._net.layers)
        last = convolves and job.mode != "eager"
        self._format = torch.channels_last if last else torch.contiguous_format
        self._step = self._make_step()
        self.reset()

    def load(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        x = torch.from_numpy(images).reshape(-1, *IMAGE)
        self._x = x.contiguous(memory_format=self._format)
        self._y = torch.from_numpy(labels)
        self._batches = len(images) // self._workload.batch
        self._next = 0

    def reset(self) -> None:
        self._next = 0
        grad = not self._compiled and not self._workload.infer
        self._parameters: Parameters = []
        for w, b in initial_weights(self._net):
            weight = torch.from_numpy(w if w.ndim == 4 else np.ascontiguousarray(w.T))
            if w.ndim == 4:
                weight = weight.contiguous(memory_format=self._format)
            bias = torch.from_numpy(b)
            self._parameters.append((weight.requires_grad_(grad), bias.requires_grad_(grad)))
        if grad:
            weights, biases = zip(*self._parameters, strict=True)
            groups = [{"params": weights, "weight_decay": self._net.decay}, {"params": biases}]
            self._optimiser = torch.optim.SGD(groups, lr=self._net.rate, fused=True)

    def _make_step(self) -> Any:
        if self._workload.infer:
            return torch.compile(self._infer) if self._compiled else self._infer
        return torch.compile(self._compiled_step, fullgraph=True) if self._compiled else self._eager

    def _infer(self, parameters: Parameters, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return forward(self._net, parameters, x, train=False)

    def _eager(self, parameters: Parameters, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        cost = F.cross_entropy(forward(self._net, parameters, x, train=True), y)
        self._optimiser.zero_grad(set_to_none=True)
        cost.backward()
        self._optimiser.step()
        return cost

    def _compiled_step(
        self, parameters: Parameters, x: torch.Tensor, y: torch.Tensor
    ) -> torch.Tensor:
        net = self._net

        def cost_of(parameters: Parameters) -> torch.Tensor:
            return F.cross_entropy(forward(net, parameters, x, train=True), y)

        gradients, cost = torch.func.grad_and_value(cost_of)(parameters)
        for (w, b), (dw, db) in zip(parameters, gradients, strict=True):
            w.sub_(net.rate * (dw + net.decay * w) if net.decay else net.rate * dw)
            b.sub_(net.rate * db)
        return cost

    def run(self, steps: int) -> NDArray[Any]:
        batch, result = self._workload.batch, torch.empty(0)
        if self._workload.infer:
            guard: Any = torch.inference_mode()
        else:
            guard = torch.no_grad() if self._compiled else torch.enable_grad()
        with guard:
            for _ in range(steps):
                rows = slice(self._next * batch, (self._next + 1) * batch)
                self._next = (self._next + 1) % self._batches
                result = self._step(self._parameters, self._x[rows], self._y[rows])
        return np.atleast_1d(result.detach().numpy())
