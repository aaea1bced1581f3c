"""tinyflow: from labelled audio to keyword-spotting firmware for a microcontroller."""

from tinyflow.version import __version__ as __version__
