"""`python -m tinygrad_mnist` is the command `tinygrad-mnist`."""

import sys

from tinygrad_mnist.cli import main

if __name__ == "__main__":
    sys.exit(main())
