"""The official archive, downloaded."""

from pathlib import Path

from tinyflow.artefacts import atomic_folder, sha256
from tinyflow.errors import TinyflowError
from tinyflow.progress import Progress

NAME = "speech_commands_v0.02"  # torchaudio's
SHA256 = "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"  # as torchaudio publishes it


def download(folder: Path, progress: Progress) -> None:
    """The official archive, through torchaudio, checked by its SHA-256 and unpacked into ``folder``, whole or not at
    all.
    """
    if folder.exists() and any(folder.iterdir()):
        raise TinyflowError(
            f"{folder} is not empty and holds no Speech Commands recordings",
            "name an empty or a new folder for the download",
        )
    progress("download", 0, 0, "Speech Commands v0.02, 2.3 GB")
    with atomic_folder(folder) as temporary:
        archive = temporary / f"{NAME}.tar.gz"
        try:
            fetch(temporary)
        except (OSError, RuntimeError) as error:  # urllib's errors are OSErrors; torch's hash check raises RuntimeError
            raise TinyflowError(
                f"cannot download Speech Commands: {error}",
                "check the network connection, or fetch the archive elsewhere, unpack it and give --data FOLDER",
            ) from None
        found = sha256(archive)
        if found != SHA256:
            raise TinyflowError(
                f"the downloaded {archive.name} has SHA-256 {found}, not {SHA256}",
                "try again; if it persists, the archive was changed or damaged on the way",
            )
        archive.unlink()
    progress("download", 1, 1)


def fetch(root: Path) -> None:
    """torchaudio downloads and unpacks: <root>/<archive>.tar.gz and <root>/SpeechCommands/<archive>/."""
    from torchaudio.datasets import SPEECHCOMMANDS

    SPEECHCOMMANDS(root, url=NAME, download=True)
