"""The version of Theano whose names these are. Programs compare it with others."""

version = "1.0.5"
