"""Stage: recordings or synthetic speech to a Dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tinyflow.progress import Progress, silent
from tinyflow.recipe import Data

if TYPE_CHECKING:
    from tinyflow.data.dataset import Dataset
    from tinyflow.data.store import Corpus
    from tinyflow.data.vocabulary import Vocabulary


class Source(Protocol):
    """A module of this package, named as ``data.source`` names it."""

    def corpus(self, data: Data, base: Path, progress: Progress) -> "tuple[Corpus, Vocabulary]": ...

    def source_fingerprint(self, data: Data, base: Path) -> dict[str, Any]: ...


def prepare(data: Data, base: Path | str, out: Path | str, progress: Progress = silent) -> "Dataset":
    """Makes the dataset that ``data`` describes in the folder ``out``, which appears whole or not at all.

    ``base`` is where relative paths of the recipe start. Raises TinyflowError when recordings are missing or broken.
    """
    from tinyflow.data.store import write_dataset

    corpus, vocabulary = _source(data).corpus(data, Path(base), progress)
    return write_dataset(corpus, vocabulary, data, Path(out), progress)


def load_dataset(folder: Path | str) -> "Dataset":
    """The dataset that `prepare` wrote in ``folder``."""
    from tinyflow.data.dataset import load_dataset as load

    return load(folder)


def source_fingerprint(data: Data, base: Path | str) -> dict[str, Any]:
    """What the recordings are, cheaply, without reading them: when it changes, the dataset is stale. JSON-able.

    Folders: number of files and a hash over names, sizes and times; synthetic: the version of espeak-ng.
    """
    return _source(data).source_fingerprint(data, Path(base))


def source_of(folder: Path | str) -> str:
    """Which ``data.source`` reads ``folder``: "speech_commands" when it is laid out so, else "folder"."""
    from tinyflow.data import speech_commands

    return "speech_commands" if speech_commands.find_layout(Path(folder)) else "folder"


def _source(data: Data) -> Source:
    from importlib import import_module

    module: Any = import_module(f"tinyflow.data.{data.source}")
    return module
