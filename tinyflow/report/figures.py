"""Pictures of a profile: where the time and the flash go. Each function writes one PNG, whole or not at all."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tinyflow.artefacts import atomic_path
from tinyflow.errors import TinyflowError

if TYPE_CHECKING:
    from tinyflow.deploy.profile import FrontendCount, LayerCount
    from tinyflow.deploy.sizes import Sizes

LARGEST = 25  # functions and constants shown by name


def _figure(width: float, height: float, rows: int = 1, ratios: Sequence[float] = (1,)):
    """A matplotlib figure and its axes, without a window system and without pyplot's global state."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise TinyflowError("matplotlib is not installed, and pictures need it", "pip install 'tinyflow[compile]', or make setup") from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, 1, height_ratios=ratios, squeeze=False)[:, 0]


def _save(figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png", metadata={"Software": None})  # equal data, equal bytes


def _colours(kinds: Sequence[str]) -> dict[str, tuple]:
    from matplotlib import colormaps

    names = sorted(set(kinds))
    return {kind: colormaps["tab20"](index % 20) for index, kind in enumerate(names)}


def _bars(axes, names: Sequence[str], values: Sequence[float], notes: Sequence[str], colours) -> None:
    """Horizontal bars from the top down, a note at the end of each."""
    axes.barh(range(len(values)), values, color=colours)
    axes.set_yticks(range(len(values)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25 * max([*values, 1]))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    for row, (value, note) in enumerate(zip(values, notes)):
        axes.text(value, row, f" {note}", va="center", fontsize=6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def layers_figure(layers: "Sequence[LayerCount]", unit: str, title: str, path: Path) -> None:
    """Units per layer in order of execution, coloured by operator."""
    figure, (axes,) = _figure(9, 1.5 + 0.19 * len(layers))
    colours = _colours([layer.kind for layer in layers])
    notes = [f"{layer.share:.1%}" + (f", {layer.units_per_mac:.2f} per MAC" if layer.units_per_mac else "") for layer in layers]
    names = [f"{layer.index} {layer.kind} {'x'.join(map(str, layer.output_shape[1:]))}" for layer in layers]
    _bars(axes, names, [layer.units for layer in layers], notes, [colours[layer.kind] for layer in layers])
    axes.set_xlabel(unit)
    axes.set_title(title, fontsize=9)
    _save(figure, path)


def frontend_figure(frontend: "FrontendCount", unit: str, title: str, path: Path) -> None:
    """Units per second of audio, of each step of the front end."""
    figure, (axes,) = _figure(9, 1.5 + 0.25 * len(frontend.steps))
    colours = _colours([step.name for step in frontend.steps])
    notes = [f"{step.share:.1%}, {step.units:,} a frame" for step in frontend.steps]
    _bars(axes, [step.name for step in frontend.steps], [step.units_per_second for step in frontend.steps], notes, [colours[step.name] for step in frontend.steps])
    axes.set_xlabel(f"{unit} per second of audio")
    axes.set_title(title, fontsize=9)
    _save(figure, path)


def flash_figure(sizes: "Sizes", title: str, path: Path) -> None:
    """Bytes of flash by section, and the largest functions and constants."""
    symbols = sorted((*sizes.functions, *sizes.constants), key=lambda symbol: -symbol.bytes)[:LARGEST]
    sections = [section for section in sizes.sections if section.flash]
    figure, (above, below) = _figure(9, 2.5 + 0.19 * (len(sections) + len(symbols)), 2, (len(sections) + 1, len(symbols) + 1))
    colours = _colours([section.name for section in sections] + [symbol.section for symbol in symbols])
    flash = max(sizes.flash_bytes, 1)
    _bars(above, [section.name for section in sections], [section.bytes for section in sections],
          [f"{section.bytes:,} B, {section.bytes / flash:.1%}" for section in sections], [colours[section.name] for section in sections])
    above.set_title(title, fontsize=9)
    _bars(below, [symbol.name[:48] for symbol in symbols], [symbol.bytes for symbol in symbols],
          [f"{symbol.bytes:,} B" for symbol in symbols], [colours[symbol.section] for symbol in symbols])
    below.set_title("the largest functions and constants", fontsize=8)
    below.set_xlabel("bytes of flash")
    _save(figure, path)
