"""MFCC, the front end of the paper."""

from tinyflow.frontend.mfcc.config import MfccConfig

FRONT_END = MfccConfig
