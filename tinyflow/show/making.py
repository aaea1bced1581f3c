"""What the compiler and the build made."""

from typing import Any

from tinyflow.compile.names import brief
from tinyflow.show.screen import Screen, percent, size


class Making(Screen):
    def compiled(self, compiled, boards: list) -> dict[str, Any]:
        """The model, what takes its memory, what would save most, and whether it fits ``boards``; a board without
        memory is left out.
        """
        from tinyflow.cost.board_fit import board_fit

        fits = [board_fit(compiled, board) for board in boards if board.memory]
        facts = {
            "name": compiled.name,
            "macs": compiled.macs,
            "model_bytes": compiled.model_bytes,
            "arena_bytes": compiled.arena_bytes,
            "arena_bound_bytes": compiled.arena_bound_bytes,
            "layers": len(compiled.layers),
            "accuracy": compiled.accuracy,
            "checks": compiled.checks,
            "folder": str(compiled.folder),
            "memory": compiled.memory,
            "by_layer": [
                {key: getattr(layer, key) for key in ("name", "kind", "macs", "bytes", "model_bytes")}
                for layer in compiled.layers
            ],
            "fits": {fit.board: not fit.warnings for fit in fits},
            "boards": {fit.board: fit.to_dict() for fit in fits},
        }
        largest = sorted(
            (layer for layer in compiled.layers if layer.model_bytes), key=lambda layer: -layer.model_bytes
        )[:3]
        rows = [
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
        return facts

    def firmware(self, firmware) -> dict[str, Any]:
        facts = {key: getattr(firmware, key) for key in firmware.__dataclass_fields__ if key != "folder"}
        facts["elf"] = str(firmware.elf)
        rows = [
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
        return facts


def _peak(memory: dict[str, Any]) -> list[list[str]]:
    """Where most of the arena is in use, and by what."""
    if not memory:
        return []
    peak = memory["peak"]
    alive = ", ".join(f"{brief(item['name'])} {size(item['bytes'])}" for item in peak["alive"][:6])
    more = f" and {len(peak['alive']) - 6} smaller" if len(peak["alive"]) > 6 else ""
    return [["  most at step", f"{peak['step']} {peak['kind']} {brief(peak['output'])}: {alive}{more}"]]
