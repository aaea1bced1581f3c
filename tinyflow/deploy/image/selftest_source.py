"""Self-test clips as C: audio, the features and the answers the firmware must arrive at."""

from pathlib import Path

import numpy as np

from tinyflow.compile.artefact import CompiledModel
from tinyflow.errors import TinyflowError


def load_clips(compiled: CompiledModel, clips: int | None, fixed: bool = False) -> dict[str, np.ndarray] | None:
    """The first ``clips`` (None: all) of compiled.selftest: clips, words, features, answers. None when there are none.

    fixed: features and answers as the fixed-point front end gives them.
    """
    if compiled.frontend is None or clips == 0 or not compiled.selftest.is_file():
        return None
    with np.load(compiled.selftest) as stored:
        found = {key: stored[key][:clips] for key in ("clips", "words")}
        for key in ("features", "answers"):
            name = f"fixed_{key}" if fixed else key
            if name not in stored:
                raise TinyflowError(
                    f"{compiled.selftest} has no {name}: another version of tinyflow wrote it",
                    "run `tinyflow compile` again",
                )
            found[key] = stored[name][:clips]
    count = len(found["clips"])
    sizes = {"clips": np.int16, "features": np.int8, "answers": np.int8}
    if any(found[key].dtype != dtype for key, dtype in sizes.items()) or any(
        len(value) != count for value in found.values()
    ):
        raise TinyflowError(
            f"{compiled.selftest} does not hold int16 clips with int8 features and answers",
            "run `tinyflow compile` again",
        )
    if found["features"][0].size != compiled.input.elements or found["answers"][0].size != compiled.output.elements:
        raise TinyflowError(f"{compiled.selftest} is of another model", "run `tinyflow compile` again")
    return found if count else None


def write_clips(found: dict[str, np.ndarray], folder: Path) -> None:
    """selftest.h and selftest.c into ``folder``."""
    count, samples = found["clips"].shape
    features, answers = (found[key].reshape(count, -1) for key in ("features", "answers"))
    line = "/* SPDX-License-Identifier: Apache-2.0 */\n"
    (folder / "selftest.h").write_text(
        f"{line}#ifndef TINYFLOW_SELFTEST_H\n#define TINYFLOW_SELFTEST_H\n\n#include <stdint.h>\n\n#define"
        f" SELFTEST_SAMPLES {samples}\n\nextern const char *const selftest_words[{count}];\nextern const int16_t"
        f" selftest_audio[{count}][{samples}];\nextern const int8_t"
        f" selftest_features[{count}][{features.shape[1]}];\nextern const int8_t"
        f" selftest_answers[{count}][{answers.shape[1]}];\n\n#endif\n"
    )
    words = ", ".join(
        '"' + "".join(c for c in str(word) if c.isprintable() and c.isascii() and c not in '"\\?') + '"'
        for word in found["words"]
    )
    parts = [f'{line}#include "selftest.h"\n\nconst char *const selftest_words[{count}] = {{{words}}};\n']
    for name, kind, rows in (
        ("audio", "int16_t", found["clips"]),
        ("features", "int8_t", features),
        ("answers", "int8_t", answers),
    ):
        # a section of its own, so that sizes can be told with and without the clips
        parts.append(
            f'__attribute__((section(".selftest"))) const {kind} selftest_{name}[{count}][{rows.shape[1]}] = {{\n'
        )
        parts += ["{" + ",".join(map(str, row.tolist())) + "},\n" for row in rows]
        parts.append("};\n")
    (folder / "selftest.c").write_text("".join(parts))
