"""The version of tinyflow, here alone."""

__version__ = "0.1.0"
