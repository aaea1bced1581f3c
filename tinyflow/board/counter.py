"""Counter: what a firmware counts with, and what a tick means."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from tinyflow.board.schema import FORBID


@dataclass(frozen=True)
class Counter:
    __pydantic_config__ = FORBID
    name: str  # how the port calls it: cmsdk-timer, sse-counter, dwt, systick, host-clock
    unit: Literal["instructions", "cycles", "nanoseconds"]
    width_bits: int  # wraps at 2**width_bits ticks
    frequency_hz: int
    units_per_tick: str = "1"  # a rational number, "5" or "25/3"
    note: str = ""  # the physical reason, shown beside the number

    @property
    def rate(self) -> Fraction:
        return Fraction(self.units_per_tick)
