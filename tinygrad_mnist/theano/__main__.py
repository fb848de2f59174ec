"""`python -m tinygrad_mnist.theano script.py arguments`."""

import sys

from tinygrad_mnist.theano.runner import main

if __name__ == "__main__":
    main(sys.argv[1:])
