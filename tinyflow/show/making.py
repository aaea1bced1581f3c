"""What the compiler and the build made."""

from typing import TYPE_CHECKING, Any

from tinyflow.compile.names import brief
from tinyflow.show.screen import Screen, percent, size

if TYPE_CHECKING:
    from tinyflow.compile.artefact import CompiledModel
    from tinyflow.cost.board_fit import BoardFit
    from tinyflow.deploy.artefact import Firmware


class Making(Screen):
    def compiled(self, compiled: "CompiledModel", fits: "list[BoardFit]") -> None:
        """The model, what takes its memory, what would save most, and whether it fits each board."""
        largest = sorted(
            (layer for layer in compiled.layers if layer.model_bytes), key=lambda layer: -layer.model_bytes
        )[:3]
        rows: list[list[Any]] = [
            ["MACs (nominal, padding counted)", f"{compiled.macs:,}"],
            ["weights, biases, multipliers", size(compiled.model_bytes)],
            [
                "  most of them",
                "; ".join(
                    f"{brief(layer.name)} {size(layer.model_bytes)} ({layer.model_bytes / compiled.model_bytes:.0%})"
                    for layer in largest
                ),
            ],
            ["arena, planned", f"{size(compiled.arena_bytes)} (lower bound {size(compiled.arena_bound_bytes)})"],
            *_peak(compiled.memory),
            *[
                [f"accuracy {name}", percent(value) if isinstance(value, float) else value]
                for name, value in compiled.accuracy.items()
            ],
            *[[name, value] for name, value in compiled.checks.items()],
        ]
        self.table(compiled.name, ["", ""], [row for row in rows if row[1] != ""])
        if fits:
            of = lambda used, limit: [size(used), size(limit), f"{used / limit:.1%}"]  # noqa: E731
            rows = [
                [
                    fit.board,
                    "NO" if fit.warnings else "yes",
                    *of(fit.ram_bytes, fit.ram_limit),
                    *of(fit.flash_bytes, fit.flash_limit),
                ]
                for fit in fits
            ]
            title = (
                "fits, before any build: RAM = arena (planned), stack (reserved), the application's own (estimated);"
                " flash = model (counted), code (estimated)"
            )
            self.table(title, ["board", "fits", "RAM", "of", "", "flash", "of", ""], rows, right=(2, 3, 4, 5, 6, 7))
        for warning in (warning for fit in fits for warning in fit.warnings):
            self.say(f"warning: {warning}")
        for number, saving in enumerate(compiled.memory.get("savings", ()), 1):
            self.say(f"saving {number}: {saving['text']}")

    def firmware(self, firmware: "Firmware") -> None:
        rows: list[list[Any]] = [
            [
                "flash",
                (
                    f"{size(firmware.flash_bytes)} (of it the model {size(firmware.model_bytes)}, self-test clips:"
                    f" {firmware.clips})"
                ),
            ],
            [
                "RAM",
                (
                    f"{size(firmware.ram_bytes)} (arena {size(firmware.arena_bytes)}, stack reserved"
                    f" {size(firmware.stack_reserved_bytes)})"
                ),
            ],
            ["build id", firmware.build_id],
            ["compiler", f"{firmware.compiler} {firmware.flags}"],
            ["image", firmware.elf],
        ]
        self.table(f"firmware for {firmware.board}", ["", ""], rows)


def _peak(memory: dict[str, Any]) -> list[list[str]]:
    """Where most of the arena is in use, and by what."""
    if not memory:
        return []
    peak = memory["peak"]
    alive = ", ".join(f"{brief(item['name'])} {size(item['bytes'])}" for item in peak["alive"][:6])
    more = f" and {len(peak['alive']) - 6} smaller" if len(peak["alive"]) > 6 else ""
    return [["  most at step", f"{peak['step']} {peak['kind']} {brief(peak['output'])}: {alive}{more}"]]
