"""What a board answered."""

from pathlib import Path
from typing import TYPE_CHECKING

from tinyflow.show.screen import Screen, duration, millions, percent, size

if TYPE_CHECKING:
    from tinyflow.deploy.answers import (
        Agreement,
        FeatureParity,
        Heard,
        Listened,
        Parity,
        RowsAnswered,
        SelfTest,
        Validation,
        Word,
    )
    from tinyflow.deploy.baseline import Change, Comparison
    from tinyflow.deploy.check import Checked, Limits
    from tinyflow.deploy.counts import LayerCount, Profile, SideBySide
    from tinyflow.deploy.flash.flashing import Flashed, PlanSaid

VERDICTS = {"same": "", "within": "", "better": "better", "worse": "WORSE"}
LARGEST = 20  # functions and constants that a profile lists


class OnBoard(Screen):
    def selftest(self, result: "SelfTest") -> None:
        clips = result.clips
        verdict = "PASSED" if result.passed else f"FAILED: {result.reason}"
        self.say(f"self-test on {result.board}: {verdict}")
        self.say(
            f"  features {result.features_equal} of {clips} clips bit for bit, answers {result.answers_equal} of"
            f" {clips}"
        )
        self.say(
            f"  front end {result.frontend_units:,} and network {result.network_units:,} {result.unit} a clip,"
            f" stack {size(result.stack_bytes)}"
        )

    def heard(self, result: "Heard") -> None:
        self.say(f"{result.board} heard: {result.word}")
        best = sorted(result.scores.items(), key=lambda item: -item[1])[:3]
        self.say("  logits: " + ", ".join(f"{label} {value:.2f}" for label, value in best))
        self.say(f"  front end {result.units_of_frontend:,} and network {result.units_per_inference:,} {result.unit}")

    def word(self, word: "Word") -> None:
        """A word the board heard, as it is told."""
        self.say(f"{word.seconds:9.2f} s  {word.word:<12} {word.score:.2f}", now=True)

    def listened(self, result: "Listened") -> None:
        costs = result.costs
        unit, parts = costs.unit, costs.per_second
        self.say(
            f"{result.board} heard {len(result.words)} words in {duration(result.seconds)} of audio"
            + (f", {result.samples_lost} samples lost" if result.samples_lost else "")
        )
        each = ", ".join(
            f"{name} {millions(getattr(parts, key))}"
            for name, key in (
                ("front end", "frontend"),
                ("network", "network"),
                ("smoothing and book-keeping", "detector"),
            )
        )
        self.say(
            f"  {millions(parts.all)} {unit} a second of audio: {each}; the network runs"
            f" {costs.runs_a_second:.3g} times a second"
        )
        for item in costs.budgets:
            of = (
                f"budget of {millions(item.budget)}"
                if item.what == "instruction_budget"
                else f"clock of {millions(item.budget)}Hz"
            )
            self.say(
                f"  {millions(parts.all)} {unit} a second of audio = {100 * item.share:.0f} % of {item.board}'s {of}"
            )

    def rows(self, result: "RowsAnswered") -> None:
        unit = result.unit
        rows = [[f"{unit} per inference (invoke only, second run on)", f"{result.units_per_inference:,}"]]
        rows += [
            [key, size(getattr(result, key))]
            for key in ("arena_bytes", "flash_bytes", "model_bytes", "ram_bytes", "stack_bytes")
        ]
        self.table(
            f"{result.rows} rows on {result.board}" + (f", answers in {result.output}" if result.output else ""),
            ["", ""],
            rows,
            right=(1,),
        )

    def validation(self, result: "Validation") -> None:
        rows = [
            [
                f"network, {result.source}",
                f"{result.equal} of {result.rows} rows bit for bit",
                result.oracle,
            ]
        ]
        rows += parity_rows(result.parity, result.oracle)
        self.table(
            f"{result.model} on {result.board}: {'PASSED' if result.passed else 'FAILED'}",
            ["what", "result", "against"],
            rows,
        )
        if result.reason:
            self.say(result.reason)
        if result.note:
            self.say(result.note)

    def profile(self, result: "Profile", folder: Path) -> None:
        from tinyflow.deploy.pictures import PICTURES

        unit = result.unit
        shape = "x".join
        rows = [
            [
                item.index,
                item.kind,
                f"{shape(map(str, item.input_shape[1:]))} > {shape(map(str, item.output_shape[1:]))}",
                ", ".join(item.kernels),
                _memory(item),
                f"{item.macs:,}",
                f"{item.units:,}",
                "-" if item.units_per_mac is None else f"{item.units_per_mac:.2f}",
                percent(item.share),
            ]
            for item in result.layers
        ]
        per_mac = "-" if result.units_per_mac is None else f"{result.units_per_mac:.2f}"
        rows.append(["", "invoke", "", "", "", f"{result.macs:,}", f"{result.invoke_units:,}", per_mac, ""])
        columns = ["layer", "operator", "shape", "kernel", "memory", "MACs", unit, "per MAC", "share"]
        self.table(f"{result.model} on {result.board}: network", columns, rows, right=(0, 5, 6, 7, 8))
        if frontend := result.frontend:
            rows = [
                [step.name, f"{step.units:,}", f"{step.units_per_second:,.0f}", percent(step.share)]
                for step in frontend.steps
            ]
            rows.append(["all", f"{frontend.frame_units:,}", f"{frontend.units_per_second:,.0f}", ""])
            self.table(
                f"front end, {frontend.frames} frames a clip",
                ["step", f"{unit} a frame", "per second of audio", "share"],
                rows,
                right=(1, 2, 3),
            )
        sizes = result.sizes
        parts = sizes.groups or sizes.sections
        rows = [[name, f"{count:,}", percent(count / result.flash_bytes)] for name, count in parts.items()]
        self.table("flash by part", ["part", "bytes", "share"], rows, right=(1, 2))
        for kind in ("functions", "constants"):
            largest = [
                [item.name, f"{item.bytes:,}", item.group or item.section] for item in getattr(sizes, kind)[:LARGEST]
            ]
            self.table(
                f"flash by {kind[:-1]}, the largest {len(largest)} of {len(getattr(sizes, kind))} (--json has all)",
                [kind[:-1], "bytes", "part"],
                largest,
                right=(1,),
            )
        rows = [
            ["flash", size(result.flash_bytes)],
            ["RAM", size(result.ram_bytes)],
            [
                "arena",
                f"{size(result.arena_bytes)}, "
                + (
                    f"planned (lower bound {size(bound)})"
                    if (bound := result.arena_bound_bytes)
                    else "TFLM's need (its allocator)"
                ),
            ],
            [
                "stack, high-water mark of invoke",
                f"{size(result.stack_bytes)} of {size(result.stack_reserved_bytes)} reserved",
            ],
            ["emulator", result.emulator or "none"],
            ["compiler", f"{result.compiler} {result.flags}"],
            [
                "pictures",
                ", ".join(str(path) for path in (folder / name for name in PICTURES) if path.is_file()) or "none",
            ],
        ]
        self.table("memory", ["", ""], rows)
        if estimate := result.estimate:
            self.say(f"ESTIMATED for {estimate.board} ({estimate.model}):")
            self.say(f"  network {_range(estimate.inference_milliseconds)} an inference")
            if estimate.frontend_milliseconds_per_second:
                self.say(f"  front end {_range(estimate.frontend_milliseconds_per_second)} per second of audio")
            self.say(f"  {estimate.source}")
        for note in result.notes:
            self.say(f"note: {note}")

    def compared(self, comparison: "Comparison | None", limits: "Limits") -> None:
        """A profile against its baseline (deploy/baseline.py)."""
        if comparison:
            self._changes(comparison)
        if limits.write:
            self.say(f"wrote the baseline {limits.write}: commit it")

    def _changes(self, comparison: "Comparison") -> None:
        rows = [
            [change.figure.replace("_", " "), *_figures(change), VERDICTS[change.verdict]]
            for change in comparison.changes
        ]
        self.table(
            f"against {comparison.baseline}",
            ["figure", "was", "now", "change", "allowed", ""],
            rows,
            right=(1, 2, 3, 4),
        )
        for note in comparison.notes:
            self.say(f"note: {note}")
        if any(change.verdict == "better" for change in comparison.changes) and comparison.passed:
            self.say("better than the baseline: keep the gain with --write-baseline, and commit it")

    def checked(self, result: "Checked") -> None:
        proof, test = result.validation, result.selftest
        rows = [
            [
                "self-test",
                "no clips in this firmware" if test is None else "passed" if test.passed else "FAILED",
                "" if test is None else f"{test.clips} clips",
            ]
        ]
        rows.append(["network, random rows", f"{proof.equal} of {proof.rows} bit for bit", proof.oracle])
        rows += parity_rows(proof.parity, proof.oracle)
        if not result.comparison:
            rows += [
                [figure.replace("_", " "), f"{value:,}" if isinstance(value, int) else percent(value), ""]
                for figure, value in sorted(result.figures.items())
            ]
        where = ", ".join(part for part in (result.runtime, result.emulator) if part)
        self.table(
            f"{result.model} on {result.board} ({where}): {'PASSED' if result.passed else 'FAILED'}",
            ["what", "result", "against"],
            rows,
        )
        if proof.note:
            self.say(proof.note)
        if result.comparison:
            self._changes(result.comparison)
        if result.written:
            self.say(f"wrote the baseline {result.written}: commit it")

    def runtimes(self, result: "SideBySide", folder: Path) -> None:
        """aot and tflm side by side (deploy/compare.py)."""
        from tinyflow.deploy.pictures import COMPARISON

        unit, sides = result.unit, [result.aot, result.tflm]
        what = {
            "units": f"{unit} per inference (front end excluded)",
            "flash_bytes": "flash, B (self-test clips excluded)",
            "model_bytes": "model in flash, B",
            "ram_bytes": "RAM, B",
            "arena_bytes": "arena, B",
            "stack_bytes": "stack of an inference, B",
            "operators": "operators",
        }
        rows = [
            [name, *(_count(getattr(side, key)) for side in sides), _ratio(result.ratios[key])]
            for key, name in what.items()
            if getattr(sides[0], key) is not None
        ]
        where = result.board + (f" ({result.emulator})" if result.emulator else "")
        self.table(
            f"{result.model} on {where}: aot, and {result.tflm.by}",
            ["", "aot", "tflm", "tflm/aot"],
            rows,
            right=(1, 2, 3),
        )
        rows = [
            [
                " + ".join(item.tflm),
                " + ".join(item.aot),
                f"{item.macs:,}",
                _count(item.aot_units),
                _count(item.tflm_units),
                _ratio(item.ratio),
            ]
            for item in result.operators
        ]
        self.table(
            "operators, by the tensors that both compute",
            ["tflm", "aot", "MACs", f"aot {unit}", f"tflm {unit}", "tflm/aot"],
            rows,
            right=(2, 3, 4, 5),
        )
        self.say(f"answers: {result.equal} of {result.rows} rows bit for bit the same")
        if (folder / COMPARISON).is_file():
            self.say(f"picture: {folder / COMPARISON}")
        for note in result.notes:
            self.say(f"note: {note}")

    def flashed(self, result: "Flashed") -> None:
        verdict = f"runs: build {result.build} said hello on {result.console}" if result.confirmed else "programmed"
        self.say(f"{result.board} {verdict}")
        self.say(
            f"  {size(result.bytes)} in {result.seconds:.1f} s,"
            f" {'read back and equal' if result.verified else 'not read back'}"
        )
        self.say(f"  through {result.tool} ({result.why})" + (f", probe {result.probe}" if result.probe else ""))
        for key in ("chip", "flash_mode", "log", "note"):
            if said := getattr(result, key):
                self.say(f"  {key.replace('_', ' ')}: {said}")

    def flash_plan(self, plan: "PlanSaid") -> None:
        self.say(f"would program {size(plan.bytes)} at {plan.address:#010x} of {plan.board}, build {plan.build}")
        self.say(f"  through {plan.tool} ({plan.why})" + (f", probe {plan.probe}" if plan.probe else ""))
        self.say(f"  then wait for its hello on {plan.console}" if plan.console else "  without waiting for its hello")


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def parity_rows(parity: "Parity | None", oracle: str) -> list[list[str]]:
    """The parity gate: (a) features, (b) network on Python's features, (c) network on the device's own."""
    if not parity:
        return []
    a, b, c = parity.features, parity.network, parity.end_to_end
    torch = (
        f"{a.differing_from_torch} of {a.values} values differ from torch"
        f" ({percent(a.share_differing_from_torch)}), by at most {a.largest_lsb} LSB"
    )
    return [
        [
            "parity (a): features",
            f"{_verdict(a)}: device = host on {a.identical_on_device_and_host} of {a.clips} clips; {torch}",
            "the same C on the host; torch",
        ],
        [
            "parity (b): network on Python's features",
            f"{_verdict(b)}: {b.equal} of {b.rows} clips bit for bit",
            oracle,
        ],
        [
            "parity (c): network on the device's features",
            f"{_verdict(c)}: {c.equal} of {c.rows} clips bit for bit",
            oracle,
        ],
    ]


def _figures(change: "Change") -> list[str]:
    """was, now, change, allowed: an accuracy in percent and points, anything else as it is and in percent."""
    if change.figure.startswith("accuracy_"):
        return [
            percent(change.was),
            percent(change.now),
            f"{100 * change.change:+.2f} points",
            f"{-100 * change.allowed:+.2f}",
        ]
    return [
        f"{change.was:,}",
        f"{change.now:,}",
        f"{100 * change.change:+.2f} %",
        f"{100 * change.allowed:+.2f} %",
    ]


def _range(milliseconds: list[float] | tuple[float, float]) -> str:
    low, high = milliseconds
    return f"estimated {low:.3g} to {high:.3g} ms"


def _memory(layer: "LayerCount") -> str:
    """How a layer's step lies in the arena."""
    notes = ["in place"] if layer.in_place else []
    return ", ".join([*notes, f"scratch {size(layer.scratch)}"] if layer.scratch else notes)


def _verdict(check: "Agreement | FeatureParity") -> str:
    return "passed" if check.passed else "FAILED"
