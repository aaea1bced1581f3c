"""What a person sees of each command: one Reporter, its methods by the part of the pipeline."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyflow.artefacts import RunFolder
from tinyflow.show.learning import Learning
from tinyflow.show.making import Making
from tinyflow.show.on_board import OnBoard, parity_rows
from tinyflow.show.screen import duration, percent, size

if TYPE_CHECKING:
    from tinyflow.board import Board
    from tinyflow.deploy.places.readiness import Readiness
    from tinyflow.pipeline import Step
    from tinyflow.runs import Cleaned, RunOnDisk


class Reporter(Learning, Making, OnBoard):
    """Shows results and progress; one for each command."""

    def steps(self, steps: "list[Step]", dry_run: bool) -> None:
        verb = "would run" if dry_run else "ran"
        rows = [
            [
                step.stage,
                verb if step.runs else "skipped",
                step.reason,
                duration(step.last_seconds) if step.last_seconds else "-",
                step.folder,
            ]
            for step in steps
        ]
        self.table("stages", ["stage", "", "why", "last took" if dry_run else "took", "folder"], rows, right=(3,))

    def doctor(self, diagnosis: Any) -> None:
        """A Diagnosis (doctor/)."""
        rows = [
            [
                "ok" if item.ok else "optional" if item.optional else "MISSING",
                item.name,
                item.found,
                item.needed_for,
                "" if item.ok else item.mend,
            ]
            for item in diagnosis.checks
        ]
        self.table("tinyflow doctor", ["", "what", "found", "needed for", "to mend it"], rows)
        self.say(f"installed: {diagnosis.size}")
        for extra in diagnosis.extras:
            if not extra.installed:
                self.say(f"  [{extra.name}], about {extra.megabytes:,} MB, would add: {extra.adds}")
                self.say(f"    {extra.command}")

    def boards(
        self, boards: "list[Board]", places: "dict[str, tuple[Readiness, ...]]", origins: dict[str, str]
    ) -> None:
        def memory(board, name: str) -> str:
            return next((size(item.length) for item in board.memory if item.name == name), "-")

        def where(board) -> str:
            return (
                "\n".join(place.found if place.ready else f"not now: {place.found}" for place in places[board.name])
                or "-"
            )

        def counts(board) -> str:
            from tinyflow.deploy.places.place import choose_place

            return "\n".join(
                dict.fromkeys(
                    f"{there.counter.unit} ({there.counter.name})"
                    for there in (choose_place(board, item.name) for item in places[board.name])
                )
            )

        rows = [
            [
                board.name,
                board.title,
                board.core.name,
                memory(board, "FLASH"),
                memory(board, "RAM"),
                counts(board),
                where(board),
                origins[board.name],
            ]
            for board in boards
        ]
        self.table("boards", ["name", "what", "core", "flash", "RAM", "counts", "runs here now", "from"], rows)

    def demo(self, result: Any) -> None:
        """A Demonstrated (demo.py)."""
        where = f"{result.clips} test clips, {result.recordings}"
        rows = [
            [f"accuracy, float ({where})", percent(result.accuracy["float"])],
            [f"accuracy, int8 ({where})", percent(result.accuracy["int8"])],
        ]
        rows += [[name, value] for name, value in result.checks.items()]
        for name, facts in result.boards.items():
            rows.append(
                [
                    f"{name}: flash / RAM / arena",
                    f"{size(facts.flash_bytes)} / {size(facts.ram_bytes)} / {size(facts.arena_bytes)}",
                ]
            )
            if not facts.ran:
                rows.append([f"{name}: image", f"linked, not run here: {facts.elf}"])
                continue
            rows.append(
                [
                    f"{name}: self-test",
                    f"{'passed' if facts.selftest.passed else 'FAILED'}, {facts.selftest.clips} clips",
                ]
            )
            rows.append(
                [
                    f"{name}: random rows",
                    (f"{facts.validation.equal} of {facts.validation.rows} bit for bit with {facts.validation.oracle}"),
                ]
            )
            rows += [[f"{name}: {what}", outcome] for what, outcome, _ in parity_rows(facts.parity, "")]
            unit = facts.unit
            rows.append([f"{name}: network", f"{facts.inference:,} {unit} per inference, {facts.per_mac:.2f} per MAC"])
            rows.append([f"{name}: front end", f"{facts.frontend_per_second:,.0f} {unit} per second of audio"])
            rows.append([f"{name}: stack", f"{size(facts.stack_bytes)} high-water mark"])
        rows += [[f"time: {stage}", duration(value)] for stage, value in result.seconds.items()]
        self.table(f"tinyflow demo: {'PASSED' if result.passed else 'FAILED'} ({result.run})", ["", ""], rows)

    def runs(self, found: "list[RunOnDisk]", runs: Path) -> None:
        rows = [
            [
                entry.name,
                ", ".join(f"{name} {duration(item.seconds)}" for name, item in entry.stages.items()),
                size(entry.bytes),
                _accuracy(entry.accuracy),
            ]
            for entry in found
        ]
        self.table(f"runs in {RunFolder(runs).root}", ["run", "stages", "on disk", "accuracy"], rows, right=(2,))

    def cleaned(self, result: "Cleaned") -> None:
        verb = "deleted" if result.deleted else "would delete (--yes does it)"
        self.say(f"{verb} {len(result.folders)} folders, {size(result.bytes)}")
        for folder in result.folders:
            self.say(f"  {folder}")


def _accuracy(accuracy: dict[str, Any]) -> str:
    return ", ".join(f"{name} {percent(value)}" for name, value in accuracy.items() if isinstance(value, float)) or "-"
