"""Pictures of a profile: where the time and the flash go. Each function writes one PNG, whole or not at all."""

from collections.abc import Sequence
from pathlib import Path

from tinyflow.artefacts import atomic_path
from tinyflow.deploy.counts import FrontendCount, LayerCount, SideBySide
from tinyflow.deploy.image.sizes import Sizes
from tinyflow.extras import missing

PICTURES = ("layers.png", "frontend.png", "flash.png", "arena.png")  # of a profile
COMPARISON = "comparison.png"
LARGEST = 25  # functions and constants shown by name


def _figure(width: float, height: float, rows: int = 1, ratios: Sequence[float] = (1,)):
    """A matplotlib figure and its axes, without a window system and without pyplot's global state."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise missing("matplotlib", "pictures need it") from None
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
    notes = [
        f"{layer.share:.1%}" + (f", {layer.units_per_mac:.2f} per MAC" if layer.units_per_mac else "")
        for layer in layers
    ]
    names = [f"{layer.index} {layer.kind} {'x'.join(map(str, layer.output_shape[1:]))}" for layer in layers]
    _bars(axes, names, [layer.units for layer in layers], notes, [colours[layer.kind] for layer in layers])
    axes.set_xlabel(unit)
    axes.set_title(title, fontsize=9)
    _save(figure, path)


def frontend_figure(frontend: FrontendCount, unit: str, title: str, path: Path) -> None:
    """Units per second of audio, of each step of the front end."""
    figure, (axes,) = _figure(9, 1.5 + 0.25 * len(frontend.steps))
    colours = _colours([step.name for step in frontend.steps])
    notes = [f"{step.share:.1%}, {step.units:,} a frame" for step in frontend.steps]
    _bars(
        axes,
        [step.name for step in frontend.steps],
        [step.units_per_second for step in frontend.steps],
        notes,
        [colours[step.name] for step in frontend.steps],
    )
    axes.set_xlabel(f"{unit} per second of audio")
    axes.set_title(title, fontsize=9)
    _save(figure, path)


def flash_figure(sizes: Sizes, title: str, path: Path) -> None:
    """Bytes of flash by section, and the largest functions and constants."""
    symbols = sorted((*sizes.functions, *sizes.constants), key=lambda symbol: -symbol.bytes)[:LARGEST]
    sections = [section for section in sizes.elf_sections if section.flash]
    figure, (above, below) = _figure(
        9, 2.5 + 0.19 * (len(sections) + len(symbols)), 2, (len(sections) + 1, len(symbols) + 1)
    )
    colours = _colours([section.name for section in sections] + [symbol.section for symbol in symbols])
    flash = max(sizes.flash_bytes, 1)
    _bars(
        above,
        [section.name for section in sections],
        [section.bytes for section in sections],
        [f"{section.bytes:,} B, {section.bytes / flash:.1%}" for section in sections],
        [colours[section.name] for section in sections],
    )
    above.set_title(title, fontsize=9)
    _bars(
        below,
        [symbol.name[:48] for symbol in symbols],
        [symbol.bytes for symbol in symbols],
        [f"{symbol.bytes:,} B" for symbol in symbols],
        [colours[symbol.section] for symbol in symbols],
    )
    below.set_title("the largest functions and constants", fontsize=8)
    below.set_xlabel("bytes of flash")
    _save(figure, path)


def comparison_figure(comparison: SideBySide, path: Path) -> None:
    """What each runtime takes, as shares of the larger of the two; below, their units by group of operators."""
    ours, theirs = comparison.aot.figures(), comparison.tflm.figures()
    keys = [key for key in ours if ours[key] is not None and theirs[key] is not None]
    groups = [group for group in comparison.operators if group.aot_units is not None]
    figure, panels = _figure(
        9,
        2 + 0.42 * (len(keys) + len(groups)),
        2 if groups else 1,
        (len(keys) + 1, len(groups) + 1) if groups else (1,),
    )
    names = [name for key in keys for name in (f"{key} aot", "tflm")]
    pairs = [(ours[key] or 0, theirs[key] or 0) for key in keys]
    values = [value / max(*pair, 1) for pair in pairs for value in pair]
    colours = ["tab:blue", "tab:orange"]
    _bars(
        panels[0],
        names,
        values,
        [f"{value:,}" for pair in pairs for value in pair],
        colours * len(keys),
    )
    panels[0].set_xticks([])
    panels[0].set_title(
        f"{comparison.model} on {comparison.board} {comparison.emulator}: aot and tflm\n{comparison.tflm.by}",
        fontsize=9,
    )
    if groups:
        names = [name for group in groups for name in (" + ".join(group.tflm)[:40] + " aot", "tflm")]
        units = [count for group in groups for count in (group.aot_units or 0, group.tflm_units or 0)]
        _bars(panels[1], names, units, [f"{count:,}" for count in units], colours * len(groups))
        panels[1].set_xlabel(comparison.unit)
    _save(figure, path)
