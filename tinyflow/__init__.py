"""tinyflow: from labelled audio to keyword-spotting firmware for a microcontroller."""

__version__ = "0.1.0"
