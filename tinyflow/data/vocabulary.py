"""The vocabulary: which words are classes, in which order, and what becomes of the other words (`data.task`).

The order of the labels is part of every trained model, so it is fixed: the keywords as listed, then
``_silence_``, then ``_unknown_``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tinyflow import recipe
from tinyflow.errors import TinyflowError

SILENCE = "_silence_"
UNKNOWN = "_unknown_"

# The ten commands of the 12-class task (Warden 2018, section 7), in that paper's order.
COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
NAMES = ("marvin", "sheila")
# Speech Commands v0.02, alphabetically, as torchaudio and others order them.
WORDS = (
    "backward",
    "bed",
    "bird",
    "cat",
    "dog",
    "down",
    "eight",
    "five",
    "follow",
    "forward",
    "four",
    "go",
    "happy",
    "house",
    "learn",
    "left",
    "marvin",
    "nine",
    "no",
    "off",
    "on",
    "one",
    "right",
    "seven",
    "sheila",
    "six",
    "stop",
    "three",
    "tree",
    "two",
    "up",
    "visual",
    "wow",
    "yes",
    "zero",
)
WORD_LISTS = {"gsc12": COMMANDS, "gsc35": WORDS, "names": NAMES}


@dataclass(frozen=True)
class Vocabulary:
    """The classes. ``unknown``: other words form ``_unknown_``; ``silence``: its share of a
    training epoch, 0 for none.
    """

    name: str
    keywords: tuple[str, ...]
    unknown: bool
    silence: float

    @property
    def labels(self) -> tuple[str, ...]:
        return (*self.keywords, *((SILENCE,) if self.silence else ()), *((UNKNOWN,) if self.unknown else ()))

    def label(self, word: str) -> str | None:
        """The class of a recorded word, None when there is no use for it."""
        if word in self.keywords:
            return word
        if word == SILENCE:
            return SILENCE if self.silence else None
        return UNKNOWN if self.unknown else None


def vocabulary_of(data: recipe.Data, words: Sequence[str] = ()) -> Vocabulary:
    """The recipe's. ``words`` are the classes of a folder when no keywords are listed."""
    if data.task == "gsc35":
        return Vocabulary("gsc35", WORDS, unknown=False, silence=0.0)
    if data.task == "gsc12":
        if not data.silence:
            raise TinyflowError(
                "data.silence is 0, and gsc12 has a class _silence_",
                "give it a share, 0.1 as usual, or use data.task=keywords",
            )
        return Vocabulary("gsc12", COMMANDS, unknown=True, silence=data.silence)
    if data.task == "names":
        return Vocabulary("names", NAMES, unknown=True, silence=0.0)
    if not data.keywords:
        if not words:
            raise TinyflowError(
                "data.keywords is empty", "list the words to spot: data: {task: keywords, keywords: ['yes', 'no']}"
            )
        # Every folder is a class; one called _unknown_ is that class and stands last.
        return Vocabulary("keywords", tuple(word for word in words if word != UNKNOWN), UNKNOWN in words, data.silence)
    for word in data.keywords:
        if word in (SILENCE, UNKNOWN) or not word.strip():
            raise TinyflowError(
                f"data.keywords has {word!r}", "list words only: data.silence and data.unknown add those classes"
            )
    if len(set(data.keywords)) != len(data.keywords):
        raise TinyflowError(f"data.keywords names a word twice: {', '.join(data.keywords)}", "list every word once")
    return Vocabulary("keywords", tuple(data.keywords), data.unknown, data.silence)
