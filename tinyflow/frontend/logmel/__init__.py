"""Log-mel: the log mel energies themselves, without a DCT. What BC-ResNet and most of the field's networks read."""

from tinyflow.frontend.logmel.config import LogMelConfig

FRONT_END = LogMelConfig
