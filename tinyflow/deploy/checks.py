"""The checks of a firmware, in their order: what the demo and a project's CI ask of it, and what validate proves.

Self-test (where the image has clips), the answers and the parity gate against the interpreter, and the counts.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyflow.deploy.answers import SelfTest, Validation
from tinyflow.deploy.profile import Profile, profile
from tinyflow.deploy.run import selftest
from tinyflow.deploy.target import Target
from tinyflow.deploy.validate import validate
from tinyflow.progress import Progress, silent


@dataclass(frozen=True)
class Checks:
    selftest: SelfTest | None  # None: no clips in this firmware
    validation: Validation
    profile: Profile

    @property
    def reasons(self) -> tuple[str, ...]:
        """A line for each check that failed."""
        lines = []
        if self.selftest and not self.selftest.passed:
            lines.append(f"self-test: {self.selftest.reason}")
        if not self.validation.passed:
            lines.append(f"lost parity: {self.validation.reason}")
        return tuple(lines)


def run_checks(
    target: Target,
    audio: np.ndarray | None = None,
    out: Path | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Checks:
    """All of them, whichever fail. audio: int16 (N, samples) for the parity gate; out: the profile's folder.

    Errors: those of the checks.
    """
    return Checks(
        selftest=selftest(target) if target.firmware.clips else None,
        validation=validate(target, seed=seed, audio=audio, progress=progress),
        profile=profile(target, out, progress),
    )
