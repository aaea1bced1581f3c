"""What a person sees: tables on stdout, progress on stderr. With --json stdout is the document and nothing else."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from tinyflow.artefacts import RunFolder
from tinyflow.compile.names import brief

LARGEST = 20  # functions and constants that a profile lists


def size(count: float) -> str:
    """Bytes as people read them."""
    return f"{count:,.0f} B" if count < 10_000 else f"{count / 1024:,.1f} KiB" if count < 1024**2 else f"{count / 1024**2:,.1f} MiB"


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


class Console:
    """Shows results and progress; one for each command."""

    def __init__(self, as_json: bool = False, quiet: bool = False):
        self.as_json, self.quiet = as_json, quiet
        self._bars = None
        self._tasks: dict[str, Any] = {}
        self._last = 0.0

    # --- life of a command ---------------------------------------------------------------------------------

    def __enter__(self) -> "Console":
        return self

    def __exit__(self, *error) -> None:
        if self._bars:
            self._bars.stop()
            self._bars = None

    def finish(self, result: Any) -> None:
        if self.as_json:
            json.dump(result, sys.stdout, indent=2, default=_plain)
            sys.stdout.write("\n")

    # --- progress ------------------------------------------------------------------------------------------

    def progress(self, task: str, done: int, total: int, note: str = "") -> None:
        """The Progress that stages call."""
        if self.quiet:
            return
        if not total:
            self._message(f"{task}: {note}" if note else task)
        elif sys.stderr.isatty():
            self._bar(task, done, total, note)
        elif done >= total or time.monotonic() - self._last > 30:  # a log wants lines now and then, not bars
            self._last = time.monotonic()
            self._message(f"{task}: {done}/{total} {note}".rstrip())

    def _message(self, text: str) -> None:
        if self._bars:
            self._bars.console.print(text, highlight=False, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def _bar(self, task: str, done: int, total: int, note: str) -> None:
        from rich.console import Console as Terminal
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        if self._bars is None:
            columns = ("[progress.description]{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), "left", TimeRemainingColumn())
            self._bars = Progress(*columns, TextColumn("{task.fields[note]}"), console=Terminal(stderr=True))
            self._bars.start()
        if task not in self._tasks:
            self._tasks[task] = self._bars.add_task(task, total=total, note=note)
        self._bars.update(self._tasks[task], completed=done, total=total, note=note)

    # --- results -------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        if not self.as_json and not self.quiet:
            print(text)

    def table(self, title: str, columns: list[str], rows: list[list[Any]], right: tuple[int, ...] = ()) -> None:
        if self.as_json or self.quiet:
            return
        if self._bars:
            self._bars.stop()
            self._bars, self._tasks = None, {}
        from rich import box
        from rich.console import Console as Terminal
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for index, column in enumerate(columns):
            table.add_column(column, justify="right" if index in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(str(cell) for cell in row))
        terminal = Terminal(highlight=False, markup=False)
        if not sys.stdout.isatty():
            terminal = Terminal(highlight=False, markup=False, width=140)
        terminal.print(title)  # not the table's own: that would wrap at a narrow table's width
        terminal.print(table)

    def steps(self, steps: list, dry_run: bool) -> None:
        verb = "would run" if dry_run else "ran"
        rows = [
            [step.stage, verb if step.runs else "skipped", step.reason, duration(step.last_seconds) if step.last_seconds else "-", step.folder]
            for step in steps
        ]
        self.table("stages", ["stage", "", "why", "last took" if dry_run else "took", "folder"], rows, right=(3,))

    def doctor(self, checks: list) -> None:
        rows = [["ok" if item.ok else "optional" if item.optional else "MISSING", item.name, item.found, item.needed_for, "" if item.ok else item.mend] for item in checks]
        self.table("tinyflow doctor", ["", "what", "found", "needed for", "to mend it"], rows)

    def boards(self, boards: list) -> None:
        def memory(board, name: str) -> str:
            return next((size(item.length) for item in board.memory if item.name == name), "-")

        rows = [
            [board.name, board.title, board.core, memory(board, "FLASH"), memory(board, "RAM"), f"{board.counter.unit} ({board.counter.name})", _where(board)]
            for board in boards
        ]
        self.table("boards", ["name", "what", "core", "flash", "RAM", "counts", "runs on"], rows)

    def dataset(self, summary: dict[str, Any]) -> None:
        counts = summary.get("counts", {})
        labels = sorted({label for split in counts.values() for label in split})
        rows = [[label, *(counts[split].get(label, 0) for split in counts)] for label in labels]
        rows.append(["all", *(sum(counts[split].values()) for split in counts)])
        self.table(f"clips: {summary.get('description', '')}", ["label", *counts], rows, right=tuple(range(1, 1 + len(counts))))
        for key, value in summary.items():
            if key not in ("counts", "labels", "description", "warnings") and value not in (None, "", 0, [], {}):
                self.say(f"{key}: {json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, (dict, list)) else value}")
        for warning in summary.get("warnings", ()):
            self.say(f"warning: {warning}")

    def evaluation(self, result: dict[str, Any]) -> None:
        recall = result["recall"]
        names = list(recall) if isinstance(recall, dict) else result["names"]
        values = list(recall.values()) if isinstance(recall, dict) else recall
        rows = [[name, percent(value), *counts] for name, value, counts in zip(names, values, result["confusion"])]
        title = f"{result['clips']} test clips ({result['description']}): accuracy {percent(result['accuracy'])}, balanced {percent(result['balanced_accuracy'])}"
        self.table(title, ["said \\ heard", "recall", *names], rows, right=tuple(range(1, 2 + len(names))))

    def compiled(self, compiled, boards: list) -> dict[str, Any]:
        """The model, what takes its memory, what would save most, and whether it fits ``boards``; a board without memory is left out."""
        from tinyflow.compile.fit import board_fit

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
            "by_layer": [{key: getattr(layer, key) for key in ("name", "kind", "macs", "bytes", "model_bytes")} for layer in compiled.layers],
            "fits": {fit.board: not fit.warnings for fit in fits},
            "boards": {fit.board: fit.to_dict() for fit in fits},
        }
        largest = sorted((layer for layer in compiled.layers if layer.model_bytes), key=lambda layer: -layer.model_bytes)[:3]
        rows = [
            ["MACs (nominal, padding counted)", f"{compiled.macs:,}"],
            ["weights, biases, multipliers", size(compiled.model_bytes)],
            ["  most of them", "; ".join(f"{brief(layer.name)} {size(layer.model_bytes)} ({layer.model_bytes / compiled.model_bytes:.0%})" for layer in largest)],
            ["arena, planned", f"{size(compiled.arena_bytes)} (lower bound {size(compiled.arena_bound_bytes)})"],
            *_peak(compiled.memory),
            *[[f"accuracy {name}", percent(value) if isinstance(value, float) else value] for name, value in compiled.accuracy.items()],
            *[[name, value] for name, value in compiled.checks.items()],
        ]
        self.table(compiled.name, ["", ""], [row for row in rows if row[1] != ""])
        if fits:
            of = lambda used, limit: [size(used), size(limit), f"{used / limit:.1%}"]  # noqa: E731
            rows = [[fit.board, "NO" if fit.warnings else "yes", *of(fit.ram_bytes, fit.ram_limit), *of(fit.flash_bytes, fit.flash_limit)] for fit in fits]
            title = "fits, before any build: RAM = arena (planned), stack (reserved), the application's own (estimated); flash = model (counted), code (estimated)"
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
            ["flash", f"{size(firmware.flash_bytes)} (of it the model {size(firmware.model_bytes)}, self-test clips: {firmware.clips})"],
            ["RAM", f"{size(firmware.ram_bytes)} (arena {size(firmware.arena_bytes)}, stack reserved {size(firmware.stack_reserved_bytes)})"],
            ["build id", firmware.build_id],
            ["compiler", f"{firmware.compiler} {firmware.flags}"],
            ["image", firmware.elf],
        ]
        self.table(f"firmware for {firmware.board}", ["", ""], rows)
        return facts

    # --- what a board answered -----------------------------------------------------------------------------

    def selftest(self, result: dict[str, Any]) -> None:
        clips = result["clips"]
        verdict = "PASSED" if result["passed"] else f"FAILED: {result['reason']}"
        self.say(f"self-test on {result['board']}: {verdict}")
        self.say(f"  features {result['features_equal']} of {clips} clips bit for bit, answers {result['answers_equal']} of {clips}")
        self.say(f"  front end {result['frontend_units']:,} and network {result['network_units']:,} {result['unit']} a clip, stack {size(result['stack_bytes'])}")

    def heard(self, result: dict[str, Any]) -> None:
        self.say(f"{result['board']} heard: {result['word']}")
        best = sorted(result["scores"].items(), key=lambda item: -item[1])[:3]
        self.say("  logits: " + ", ".join(f"{label} {value:.2f}" for label, value in best))
        self.say(f"  front end {result['units_of_frontend']:,} and network {result['units_per_inference']:,} {result['unit']}")

    def search(self, result) -> dict[str, Any]:
        """What a search found, and whether it chose a front end at all."""
        genotype, history = result.genotype, result.history
        softmax = genotype.provenance.get("gamma") or {}
        gamma = ", ".join(f"{name} {percent(share)}" for name, share in sorted(softmax.items(), key=lambda item: -item[1])[:4])
        rows = [["front end", genotype.mfcc.name], ["choice", result.data_choice]]
        rows += [["softmax of gamma", gamma]] if gamma else []
        for name in ("normal", "reduction"):
            nodes = [" + ".join(f"{edge.operation} of {edge.source}" for edge in node) for node in getattr(genotype, name)]
            rows += [[f"{name} cell, node {index + 2}", text] for index, text in enumerate(nodes)]
        fit = history.get("fit")
        rows += _fit_rows(fit) if fit else []
        rows += [["files", str(result.folder)]]
        self.table(f"search on {history.get('description', '')}", ["", ""], rows)
        for warning in result.warnings:
            self.say(f"warning: {warning}")
        return {"folder": str(result.folder), "genotype": genotype.to_dict(), "data_choice": result.data_choice, "warnings": list(result.warnings), "fit": fit}

    def sweep(self, result) -> None:
        """Every search of a sweep; those on the Pareto front of accuracy, instructions and RAM are marked."""
        rows = []
        for index, row in enumerate(result.rows):
            values = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in row["values"].items())
            if "error" in row:
                rows.append(["failed", values, row["error"], "", "", "", ""])
                continue
            mark = "front" if index in result.front else ""
            rows.append([mark, values, row["frontend"], percent(row["accuracy"]), f"{row['instructions'] / 1e6:,.1f} M", size(row["ram_bytes"]), f"{row['parameters']:,}"])
        columns = ["", "values", "front end", "accuracy", "instructions", "RAM", "parameters"]
        self.table("sweep: accuracy on held-out validation clips; instructions and RAM estimated and planned", columns, rows, right=(3, 4, 5, 6))
        self.say(f"files: {result.folder}/sweep.json, pareto.png")

    def rows(self, result: dict[str, Any]) -> None:
        unit = result["unit"]
        rows = [[f"{unit} per inference (invoke only, second run on)", f"{result['units_per_inference']:,}"]]
        rows += [[key, size(result[key])] for key in ("arena_bytes", "flash_bytes", "model_bytes", "ram_bytes", "stack_bytes")]
        self.table(f"{result['rows']} rows on {result['board']}" + (f", answers in {result['output']}" if "output" in result else ""), ["", ""], rows, right=(1,))

    def validation(self, result: dict[str, Any]) -> None:
        rows = [[f"network, {result['source']}", f"{result['equal']} of {result['rows']} rows bit for bit", result["oracle"]]]
        rows += _parity_rows(result.get("parity"), result["oracle"])
        self.table(f"{result['model']} on {result['board']}: {'PASSED' if result['passed'] else 'FAILED'}", ["what", "result", "against"], rows)
        if result["reason"]:
            self.say(result["reason"])

    def profile(self, result: dict[str, Any], folder: Path) -> None:
        unit = result["unit"]
        shape = "x".join
        rows = [
            [item["index"], item["kind"], f"{shape(map(str, item['input_shape'][1:]))} > {shape(map(str, item['output_shape'][1:]))}",
             ", ".join(item["kernels"]), _memory(item), f"{item['macs']:,}", f"{item['units']:,}",
             "-" if item["units_per_mac"] is None else f"{item['units_per_mac']:.2f}", percent(item["share"])]
            for item in result["layers"]
        ]  # fmt: skip
        per_mac = "-" if result["units_per_mac"] is None else f"{result['units_per_mac']:.2f}"
        rows.append(["", "invoke", "", "", "", f"{result['macs']:,}", f"{result['invoke_units']:,}", per_mac, ""])
        columns = ["layer", "operator", "shape", "kernel", "memory", "MACs", unit, "per MAC", "share"]
        self.table(f"{result['model']} on {result['board']}: network", columns, rows, right=(0, 5, 6, 7, 8))
        if frontend := result["frontend"]:
            rows = [[step["name"], f"{step['units']:,}", f"{step['units_per_second']:,.0f}", percent(step["share"])] for step in frontend["steps"]]
            rows.append(["all", f"{frontend['frame_units']:,}", f"{frontend['units_per_second']:,.0f}", ""])
            self.table(f"front end, {frontend['frames']} frames a clip", ["step", f"{unit} a frame", "per second of audio", "share"], rows, right=(1, 2, 3))
        sizes = result["sizes"]
        parts = sizes["groups"] or sizes["sections"]
        rows = [[name, f"{count:,}", percent(count / result["flash_bytes"])] for name, count in parts.items()]
        self.table("flash by part", ["part", "bytes", "share"], rows, right=(1, 2))
        for kind in ("functions", "constants"):
            largest = [[item["name"], f"{item['bytes']:,}", item["group"] or item["section"]] for item in sizes[kind][:LARGEST]]
            self.table(f"flash by {kind[:-1]}, the largest {len(largest)} of {len(sizes[kind])} (--json has all)", [kind[:-1], "bytes", "part"], largest, right=(1,))
        rows = [
            ["flash", size(result["flash_bytes"])],
            ["RAM", size(result["ram_bytes"])],
            ["arena, planned", f"{size(result['arena_bytes'])} (lower bound {size(result['arena_bound_bytes'])})"],
            ["stack, high-water mark of invoke", f"{size(result['stack_bytes'])} of {size(result['stack_reserved_bytes'])} reserved"],
            ["compiler", f"{result['compiler']} {result['flags']}"],
            ["pictures", ", ".join(str(folder / name) for name in ("layers.png", "flash.png", "arena.png"))],
        ]
        self.table("memory", ["", ""], rows)
        for note in result["notes"]:
            self.say(f"note: {note}")

    def flashed(self, result: dict[str, Any]) -> None:
        self.say("flashed: " + ", ".join(f"{key} {value}" for key, value in result.items()))

    def demo(self, result: dict[str, Any]) -> None:
        where = f"{result['clips']} test clips, {result['recordings']}"
        rows = [[f"accuracy, float ({where})", percent(result["accuracy"]["float"])], [f"accuracy, int8 ({where})", percent(result["accuracy"]["int8"])]]
        rows += [[name, value] for name, value in result["checks"].items()]
        for name, facts in result["boards"].items():
            rows.append([f"{name}: flash / RAM / arena", f"{size(facts['flash_bytes'])} / {size(facts['ram_bytes'])} / {size(facts['arena_bytes'])}"])
            if not facts["ran"]:
                rows.append([f"{name}: image", f"linked, not run here: {facts['elf']}"])
                continue
            rows.append([f"{name}: self-test", f"{'passed' if facts['selftest']['passed'] else 'FAILED'}, {facts['selftest']['clips']} clips"])
            rows.append([f"{name}: random rows", f"{facts['validation']['equal']} of {facts['validation']['rows']} bit for bit with {facts['validation']['oracle']}"])
            rows += [[f"{name}: {what}", outcome] for what, outcome, _ in _parity_rows(facts["parity"], "")]
            unit = facts["unit"]
            rows.append([f"{name}: network", f"{facts['inference']:,} {unit} per inference, {facts['per_mac']:.2f} per MAC"])
            rows.append([f"{name}: front end", f"{facts['frontend_per_second']:,.0f} {unit} per second of audio"])
            rows.append([f"{name}: stack", f"{size(facts['stack_bytes'])} high-water mark"])
        rows += [[f"time: {stage}", duration(value)] for stage, value in result["seconds"].items()]
        self.table(f"tinyflow demo: {'PASSED' if result['passed'] else 'FAILED'} ({result['run']})", ["", ""], rows)

    def runs(self, found: list[dict[str, Any]], runs: Path) -> None:
        rows = [
            [entry["name"], ", ".join(f"{name} {duration(item['seconds'])}" for name, item in entry["stages"].items()), size(entry["bytes"]), _accuracy(entry["accuracy"])]
            for entry in found
        ]
        self.table(f"runs in {RunFolder(runs).root}", ["run", "stages", "on disk", "accuracy"], rows, right=(2,))

    def cleaned(self, result: dict[str, Any]) -> None:
        verb = "deleted" if result["deleted"] else "would delete (--yes does it)"
        self.say(f"{verb} {len(result['folders'])} folders, {size(result['bytes'])}")
        for folder in result["folders"]:
            self.say(f"  {folder}")


def _fit_rows(fit: dict[str, Any]) -> list[list[str]]:
    """What the network found would cost on a board: counted, planned or estimated, each said so."""
    labels, budget = fit["labels"], fit["budget"]

    def against(key: str, text: str) -> str:
        limit = budget.get(key)
        return f"{text} ({labels[key]})" + (f" of {limit / 1e6:,.1f} M" if limit and key == "instructions" else f" of {size(limit)}" if limit else "")

    instructions = fit["instructions"] + fit["frontend_instructions"]
    return [
        [f"on {fit['board']}", "fits" if fit["fits"] else "does NOT fit: " + "; ".join(fit["reasons"])],
        ["instructions per second of audio", against("instructions", f"{instructions / 1e6:,.1f} M, {fit['frontend_instructions'] / 1e6:,.1f} M of them the front end's")],
        ["parameters, MACs", f"{fit['parameters']:,} and {fit['macs'] / 1e6:,.2f} M (counted)"],
        ["RAM", against("ram_bytes", size(fit["ram_bytes"])) + f"; its arena {size(fit['arena_bytes'])} ({labels['arena_bytes']})"],
        ["flash", against("flash_bytes", size(fit["flash_bytes"]))],
        ["where it goes", "; ".join(fit["savings"])],
    ]


def _parity_rows(parity: dict[str, Any] | None, oracle: str) -> list[list[str]]:
    """The parity gate: (a) features, (b) network on Python's features, (c) network on the device's own."""
    if not parity:
        return []
    a, b, c = parity["features"], parity["network"], parity["end_to_end"]
    torch = f"{a['differing_from_torch']} of {a['values']} values differ from torch ({percent(a['share_differing_from_torch'])}), by at most {a['largest_lsb']} LSB"
    return [
        ["parity (a): features", f"{_verdict(a)}: device = host on {a['identical_on_device_and_host']} of {a['clips']} clips; {torch}", "the same C on the host; torch"],
        ["parity (b): network on Python's features", f"{_verdict(b)}: {b['equal']} of {b['rows']} clips bit for bit", oracle],
        ["parity (c): network on the device's features", f"{_verdict(c)}: {c['equal']} of {c['rows']} clips bit for bit", oracle],
    ]


def _memory(layer: dict[str, Any]) -> str:
    """How a layer's step lies in the arena."""
    notes = ["in place"] if layer["in_place"] else []
    return ", ".join([*notes, f"scratch {size(layer['scratch'])}"] if layer["scratch"] else notes)


def _verdict(check: dict[str, Any]) -> str:
    return "passed" if check["passed"] else "FAILED"


def _plain(value: Any) -> Any:
    """JSON for what numpy and pathlib leave behind."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _accuracy(accuracy: dict[str, Any]) -> str:
    return ", ".join(f"{name} {percent(value)}" for name, value in accuracy.items() if isinstance(value, float)) or "-"


def _peak(memory: dict[str, Any]) -> list[list[str]]:
    """Where most of the arena is in use, and by what."""
    if not memory:
        return []
    peak = memory["peak"]
    alive = ", ".join(f"{brief(item['name'])} {size(item['bytes'])}" for item in peak["alive"][:6])
    more = f" and {len(peak['alive']) - 6} smaller" if len(peak["alive"]) > 6 else ""
    return [["  most at step", f"{peak['step']} {peak['kind']} {brief(peak['output'])}: {alive}{more}"]]


def _where(board) -> str:
    if board.compiler == "host":
        return "this machine"
    places = (["QEMU " + board.qemu.machine] if board.qemu else []) + (["hardware through OpenOCD"] if board.openocd else [])
    return ", ".join(places) or "-"
