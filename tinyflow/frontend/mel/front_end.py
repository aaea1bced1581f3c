"""MelFrontEnd: a front end whose features are made of log mel energies."""

import re
from abc import abstractmethod
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from tinyflow.errors import TinyflowError
from tinyflow.frontend.mel.config import MelConfig
from tinyflow.frontend.protocol import FrontEnd

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class MelFrontEnd(MelConfig, FrontEnd):
    """What kinds of it share: names, JSON, the torch module."""

    @abstractmethod
    def matrix(self) -> npt.NDArray[np.float32] | None:
        """float32 (n_mels, features), by which the log mel energies are multiplied; None: they are the features."""

    def module(self) -> "torch.nn.Module":
        from tinyflow.frontend.mel.module import MelFeatures

        return MelFeatures(self, self.matrix(), f"{self.title} {self.name}")

    # ---- names
    def _options(self) -> dict[str, tuple[int, int]]:
        """What a name says only where it departs from the usual: word -> (value, usual value)."""
        return {"fft": (self.n_fft, self.window)}

    @property
    def name(self) -> str:
        """window/hop/n_mels, as the paper writes a configuration; the rest only where it departs from the defaults."""
        said = "".join(f"/{word}{value}" for word, (value, usual) in self._options().items() if value != usual)
        return f"{self._prefix()}{self.window}/{self.hop}/{self.n_mels}{said}"

    @classmethod
    def _prefix(cls) -> str:
        return f"{cls.kind}/"

    @classmethod
    def named(cls, name: str) -> Self | None:
        words = {"fft": "n_fft"} | cls._words()
        options = "".join(rf"(?:/{word}(?P<{key}>\d+))?" for word, key in sorted(words.items(), reverse=True))
        match = re.fullmatch(rf"{cls._prefix()}(?P<window>\d+)/(?P<hop>\d+)/(?P<n_mels>\d+){options}", name)
        return cls(**{key: int(value or 0) for key, value in match.groupdict().items()}) if match else None

    @classmethod
    def _words(cls) -> dict[str, str]:
        """Words of a name besides fft -> the fields that they set."""
        return {}

    @property
    def says(self) -> str:
        return f"{self.title}, window {self.window}, hop {self.hop}, {self.n_mels} mels"

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Self:
        known = [item.name for item in fields(cls)]
        said = {key: item for key, item in value.items() if key != "kind"}
        for key in said:
            if key not in known:
                raise TinyflowError(f"{cls.title}: unknown field {key!r}", f"known fields: {', '.join(known)}")
        return cls(**said)
