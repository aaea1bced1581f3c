"""A firmware in a child process (an emulator, or the host build): its console on stdin and stdout."""

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _die_with_parent():
    """What the child does first: an emulator whose parent was killed would spin for ever. None where it cannot be asked
    for.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class ProcessTransport:
    """Runs ``command`` in a private temporary folder, which also gets what it writes for itself; stderr is kept for
    error texts.
    """

    def __init__(self, name: str, command: list[str], environment: dict[str, str] | None = None):
        self.name = name
        self._folder = tempfile.TemporaryDirectory(prefix="tinyflow-")
        self._stderr = open(Path(self._folder.name, "stderr"), "w+b")
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                cwd=self._folder.name,
                # Renode deletes what other Renodes keep in a shared TMPDIR, and writes its settings.
                env={
                    **os.environ,
                    "TMPDIR": self._folder.name,
                    "XDG_CONFIG_HOME": self._folder.name,
                    **(environment or {}),
                },
                start_new_session=True,  # Ctrl-C reaches us, not the emulator; close() ends it
                preexec_fn=_die_with_parent(),
                bufsize=0,
            )
        except BaseException:
            self._stderr.close()
            self._folder.cleanup()
            raise
        self._selector = selectors.DefaultSelector()
        assert self._process.stdout
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._end = ""
        self._closed = False

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._process.stdin.write(view) :]

    def read(self, seconds: float) -> bytes:
        if not self._selector.select(seconds):
            return b""
        data = os.read(self._process.stdout.fileno(), 65536)
        if not data:
            raise EOFError
        return data

    def post_mortem(self) -> str:
        if self._end:
            return self._end
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            return ""
        self._stderr.seek(0)
        stderr = self._stderr.read()[-4000:].decode(errors="replace").strip()
        status = self._process.returncode
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        return f"{how}; stderr: {stderr}" if stderr else how

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # the command may be a script that waits for the emulator
            self._process.wait()
        self._end = self.post_mortem()
        self._selector.close()
        self._process.stdin.close()
        self._process.stdout.close()
        self._stderr.close()
        self._folder.cleanup()
