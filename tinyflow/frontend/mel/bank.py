"""Features of many front ends at once, sharing what they have in common."""

from collections.abc import Sequence

import torch

from tinyflow.errors import TinyflowError
from tinyflow.frontend.mel.front_end import MelFrontEnd
from tinyflow.frontend.mel.module import full_float32
from tinyflow.frontend.mel.tables import LOG_OFFSET, hann_window, mel_bank
from tinyflow.frontend.protocol import FrontEnd

PIECE = 4  # clips per thread that a CPU takes at a time: their spectra stay in its cache, which doubles the speed

Numbered = tuple[int, MelFrontEnd]


class FeatureBank(torch.nn.Module):
    """Waveforms float32 (N, samples) to the features (N, frames, features) of every one of ``configs``, as its
    ``module()`` gives them, to rounding. Kinds may be mixed.

    Frame t of a front end covers samples [t*hop, t*hop + window), so with the same window and n_fft a front end whose
    hop is k times another's is every k-th frame of it: one STFT serves both. The log mel energies of a number of bands
    are likewise computed once. Table 1 needs 2 STFTs and 4 mel banks for its 8 front ends. What is not made of mel
    energies is computed on its own.
    """

    def __init__(self, configs: Sequence[FrontEnd]):
        super().__init__()
        self.configs = tuple(configs)
        self.alone = torch.nn.ModuleDict()
        for index, config in enumerate(self.configs):
            if not isinstance(config, MelFrontEnd):
                self.alone[str(index)] = config.module()
                continue
            tables = {_window(config): hann_window(config), _bank(config): mel_bank(config)}
            matrix = config.matrix()
            if matrix is not None:
                tables[_matrix(config)] = matrix
            for name, table in tables.items():  # equal ones are registered once, under the name of what they depend on
                if not hasattr(self, name):
                    self.register_buffer(name, torch.from_numpy(table), persistent=False)

    def forward(self, waveform: torch.Tensor, only: Sequence[int] | None = None) -> list[torch.Tensor | None]:
        """One entry per configuration; with ``only``, None for those whose index is not in it, and no work for them."""
        wanted = range(len(self.configs)) if only is None else sorted(only)
        longest = max((self.configs[index].window for index in wanted), default=0)
        if waveform.dim() != 2 or waveform.dtype != torch.float32 or waveform.shape[1] < longest:
            raise TinyflowError(
                f"the feature bank got {waveform.dtype} of shape {tuple(waveform.shape)}",
                f"waveforms are float32 (N, samples) with at least {longest} samples",
            )
        numbered = [(index, self.configs[index]) for index in wanted]
        groups = stft_groups([(index, config) for index, config in numbered if isinstance(config, MelFrontEnd)])
        piece_size = PIECE * torch.get_num_threads()
        pieces = torch.split(waveform, piece_size) if waveform.device.type == "cpu" else (waveform,)
        found: list[list[torch.Tensor]] = [[] for _ in self.configs]
        with full_float32(waveform.device):
            for piece in pieces:
                for members in groups:
                    self._group(piece, members, found)
                for index in wanted:
                    if str(index) in self.alone:
                        found[index].append(self.alone[str(index)](piece))
        return [torch.cat(parts) if parts else None for parts in found]

    def _group(self, waveform: torch.Tensor, members: list[Numbered], found: list[list[torch.Tensor]]) -> None:
        """The front ends of one STFT; the first has the shortest hop."""
        base = members[0][1]
        frames = waveform.unfold(1, base.window, base.hop) * getattr(self, _window(base))  # (N, frames, window)
        squares = torch.view_as_real(torch.fft.rfft(frames, n=base.n_fft)).square()
        power = squares[..., 0] + squares[..., 1]  # on CPUs five times as fast as a sum over an axis of 2
        known: dict[str, torch.Tensor] = {}  # log mel energies and what is made of them, at the frames of the base
        for index, config in members:
            bank, matrix = _bank(config), _matrix(config)
            if bank not in known:
                known[bank] = torch.log(power @ getattr(self, bank) + LOG_OFFSET)
            if matrix not in known:
                known[matrix] = known[bank] @ getattr(self, matrix) if hasattr(self, matrix) else known[bank]
            found[index].append(known[matrix][:, :: config.hop // base.hop])


def stft_groups(configs: Sequence[Numbered]) -> list[list[Numbered]]:
    """Numbered front ends by the STFT that serves them: same window and n_fft, hops that are
    multiples of the first's.
    """
    groups: list[list[Numbered]] = []
    for index, config in sorted(configs, key=lambda item: item[1].hop):
        for group in groups:
            base = group[0][1]
            same = (config.sample_rate, config.window, config.n_fft) == (base.sample_rate, base.window, base.n_fft)
            if same and config.hop % base.hop == 0:
                group.append((index, config))
                break
        else:
            groups.append([(index, config)])
    return groups


def _window(config: MelFrontEnd) -> str:
    return f"window_{config.window}"


def _bank(config: MelFrontEnd) -> str:
    return f"bank_{config.sample_rate}_{config.n_fft}_{config.n_mels}"


def _matrix(config: MelFrontEnd) -> str:
    return f"{config.kind}_{config.n_mels}_{config.features}"
