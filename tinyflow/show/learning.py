"""What data, search, train and evaluate found."""

import json
from typing import TYPE_CHECKING, Any

from tinyflow.results import to_json
from tinyflow.show.screen import Screen, percent, size

if TYPE_CHECKING:
    from tinyflow.data.dataset import Summary
    from tinyflow.search.artefact import SearchResult
    from tinyflow.train.evaluation import Evaluation


class Learning(Screen):
    def dataset(self, summary: "Summary") -> None:
        counts = summary.counts
        labels = sorted({label for split in counts.values() for label in split})
        rows: list[list[Any]] = [[label, *(split.get(label, 0) for split in counts.values())] for label in labels]
        rows.append(["all", *(sum(split.values()) for split in counts.values())])
        self.table(f"clips: {summary.description}", ["label", *counts], rows, right=tuple(range(1, 1 + len(counts))))
        for key, value in to_json(summary).items():
            if key not in ("counts", "labels", "description", "warnings") and value not in (None, "", 0, [], {}):
                nested = isinstance(value, (dict, list))
                self.say(f"{key}: {json.dumps(value, ensure_ascii=False) if nested else value}")
        for warning in summary.warnings:
            self.say(f"warning: {warning}")

    def search(self, result: "SearchResult") -> None:
        """What a search found, and whether it chose a front end at all."""
        genotype, history = result.genotype, result.history
        softmax = genotype.provenance.get("gamma") or {}
        gamma = ", ".join(
            f"{name} {percent(share)}" for name, share in sorted(softmax.items(), key=lambda item: -item[1])[:4]
        )
        rows = [["front end", genotype.frontend.name], ["choice", result.data_choice]]
        rows += [["softmax of gamma", gamma]] if gamma else []
        for name in ("normal", "reduction"):
            nodes = [
                " + ".join(f"{edge.operation} of {edge.source}" for edge in node) for node in getattr(genotype, name)
            ]
            rows += [[f"{name} cell, node {index + 2}", text] for index, text in enumerate(nodes)]
        fit = history.get("fit")
        rows += _fit_rows(fit) if fit else []
        rows += [["files", str(result.folder)]]
        self.table(f"search on {history.get('description', '')}", ["", ""], rows)
        for warning in result.warnings:
            self.say(f"warning: {warning}")

    def sweep(self, result: Any) -> None:
        """Every search of a sweep; those on the Pareto front of accuracy, instructions and RAM are marked."""
        rows = []
        for index, row in enumerate(result.rows):
            values = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in row["values"].items())
            if "error" in row:
                rows.append(["failed", values, row["error"], "", "", "", ""])
                continue
            mark = "front" if index in result.front else ""
            rows.append(
                [
                    mark,
                    values,
                    row["frontend"],
                    percent(row["accuracy"]),
                    f"{row['instructions'] / 1e6:,.1f} M",
                    size(row["ram_bytes"]),
                    f"{row['parameters']:,}",
                ]
            )
        columns = ["", "values", "front end", "accuracy", "instructions", "RAM", "parameters"]
        self.table(
            "sweep: accuracy on held-out validation clips; instructions and RAM estimated and planned",
            columns,
            rows,
            right=(3, 4, 5, 6),
        )
        self.say(f"files: {result.folder}/sweep.json, pareto.png")

    def evaluation(self, result: "Evaluation") -> None:
        names = result.names
        rows = [[name, percent(result.recall[name]), *counts] for name, counts in zip(names, result.confusion)]
        title = (
            f"{result.clips} test clips ({result.description}): accuracy {percent(result.accuracy)}, balanced"
            f" {percent(result.balanced_accuracy)}"
        )
        self.table(title, ["said \\ heard", "recall", *names], rows, right=tuple(range(1, 2 + len(names))))


def _fit_rows(fit: dict[str, Any]) -> list[list[str]]:
    """What the network found would cost on a board: counted, planned or estimated, each said so."""
    labels, budget = fit["labels"], fit["budget"]

    def against(key: str, text: str) -> str:
        limit = budget.get(key)
        return f"{text} ({labels[key]})" + (
            f" of {limit / 1e6:,.1f} M" if limit and key == "instructions" else f" of {size(limit)}" if limit else ""
        )

    instructions = fit["instructions"] + fit["frontend_instructions"]
    return [
        [f"on {fit['board']}", "fits" if fit["fits"] else "does NOT fit: " + "; ".join(fit["reasons"])],
        [
            "instructions per second of audio",
            against(
                "instructions",
                f"{instructions / 1e6:,.1f} M, {fit['frontend_instructions'] / 1e6:,.1f} M of them the front end's",
            ),
        ],
        ["parameters, MACs", f"{fit['parameters']:,} and {fit['macs'] / 1e6:,.2f} M (counted)"],
        [
            "RAM",
            against("ram_bytes", size(fit["ram_bytes"]))
            + f"; its arena {size(fit['arena_bytes'])} ({labels['arena_bytes']})",
        ],
        ["flash", against("flash_bytes", size(fit["flash_bytes"]))],
        ["where it goes", "; ".join(fit["savings"])],
    ]
