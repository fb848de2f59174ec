"""Export to ONNX: any graph, for other programs to run.

    export("net.onnx", [x], [y])                 # y, computed from x
    export_network(net, "net.onnx")              # a network of network3

It needs the extra `onnx`.
"""

from tinygrad_mnist.onnx.export import export, export_network

__all__ = ["export", "export_network"]
