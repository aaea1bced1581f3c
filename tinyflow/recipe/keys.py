"""What a recipe key is: its default, what it means, and what it may be, side by side."""

import math
import re
from collections.abc import Callable
from dataclasses import Field, dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Rule:
    """What a value must be, and the words that say so: in the error, and in the recipe of `tinyflow init`."""

    holds: Callable[[Any], bool]
    says: str


@dataclass(frozen=True)
class Key:
    """What a recipe key means (with its unit), and its rule, if its type is not rule enough."""

    means: str = ""
    rule: Rule | None = None
    how: bool = False  # it says where or how something is made, not what: changing it makes nothing stale
    later: bool = False  # networks had been trained before it came: at its default it makes none of them stale


def key(default: T, means: str = "", rule: Rule | None = None, how: bool = False, later: bool = False) -> T:
    """A field of a section. null, where its type allows that, needs no rule."""
    made: T = field(default=default, metadata={"key": Key(means, rule, how, later)})
    return made


def key_of(item: "Field[Any]") -> Key:
    found = item.metadata.get("key", Key())
    assert isinstance(found, Key)
    return found


def at_least(low: float, says: str = "") -> Rule:
    return Rule(lambda value: low <= value and math.isfinite(value), says or f"{low:g} or more")


def within(low: float, high: float, says: str = "") -> Rule:
    return Rule(lambda value: low <= value <= high, says or f"from {low:g} to {high:g}")


def filled(says: str) -> Rule:
    """A list with something in it."""
    return Rule(bool, says)


ABOVE_0 = at_least(1e-12, "above 0")
UP_TO_1 = Rule(lambda value: 0 <= value < 1, "from 0 up to 1")
BETWEEN_0_AND_1 = Rule(lambda value: 0 < value < 1, "a share above 0 and below 1")
RISING = Rule(lambda pair: len(pair) == 2 and pair[0] <= pair[1] < math.inf, "two numbers, the lower first")
DEVICE = Rule(lambda value: re.fullmatch(r"auto|cpu|cuda(:\d+)?", value) is not None, "auto, cpu, cuda or cuda:1")
