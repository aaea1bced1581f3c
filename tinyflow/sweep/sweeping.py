"""Many searches: seeds x budgets x boards x any keys of the recipe, and the Pareto front of what they found.

Every point is a run folder of its own with the stages data (shared by all points of equal data), search and train. Ray
runs points side by side, each with a share of the CPUs and GPUs; without it they run one after the other, to the same
rows. Accuracy is that of the trained network on the part of validation that no search reads; the test split is not
read.
"""

import itertools
import logging
import os
import random
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tinyflow.artefacts import MANIFEST, RunFolder, fingerprint, read_json, write_json, write_text
from tinyflow.board import load_board
from tinyflow.errors import Interrupted, TinyflowError
from tinyflow.pipeline import RecipeRun, recipe_run
from tinyflow.progress import Progress, silent
from tinyflow.recipe import Recipe, Search, override
from tinyflow.sweep.pareto import pareto_front, pareto_picture

FORMAT = 1  # of row.json
ROW, RESULT, PICTURE = "row.json", "sweep.json", "pareto.png"


@dataclass(frozen=True)
class SweepResult:
    folder: Path
    rows: list[dict[str, Any]]  # in the order of the points; a failed one has "error" and "hint" and no figures
    front: list[int]  # rows that none beats in accuracy, instructions and RAM together


@dataclass(frozen=True)
class Point:
    """One combination of values."""

    name: str  # of its run folder
    values: dict[str, Any]  # as the axes wrote them
    recipe: Recipe


def sweep(
    recipe: Recipe, axes: dict[str, list], out: Path | str, progress: Progress = silent,
    parallel: int = 1, samples: int | None = None, train: bool = True, seed: int = 0,
) -> SweepResult:  # fmt: skip
    """A search for every combination of ``axes``, or for ``samples`` random ones of them; ``out/sweep.json`` and a
    picture.

    ``axes``: dotted keys of the recipe, {"search.seed": [0, 1], "search.board": ["nucleo-l4r5zi"], "search.channels":
    [8, 16]}, or "board.instruction_budget" for keys of the point's board. ``parallel`` above 1: so many Ray workers.
    ``train``: train every network found; without it accuracy is the search's own (the supernet proxy). Finished points
    are not run again, a failing one is reported in its row and does not end the others.
    """
    out = Path(out).resolve()
    points = _points(recipe, axes, samples, seed, out)
    out.mkdir(parents=True, exist_ok=True)
    found = {point.name: row for point in points if (row := _before(point, out, train, progress))}
    todo = [point for point in points if point.name not in found]
    if found:
        progress(
            "sweep",
            len(found),
            len(points),
            f"{len(found)} of {len(points)} points are not run: finished before, or without data",
        )
    runs = (
        _by_ray(todo, out, train, parallel)
        if parallel > 1 and todo
        else ((point, _row(point, out, train, progress)) for point in todo)
    )
    for point, row in runs:
        found[point.name] = row
        progress("sweep", len(found), len(points), f"{point.name}: {row.get('error') or _brief(row)}")
    rows = [found[point.name] for point in points]
    result = SweepResult(out, rows, pareto_front(rows))
    write_json(
        out / RESULT,
        {
            "recipe": recipe.name,
            "axes": axes,
            "samples": samples,
            "trained": train,
            "rows": rows,
            "front": result.front,
        },
    )
    pareto_picture(rows, out / PICTURE, f"{recipe.name}: {sum('error' not in row for row in rows)} searches")
    return result


def run_point(point: Point, out: Path, train: bool = True, progress: Progress = silent) -> dict[str, Any]:
    """The row of one point in ``out``: the one that lies there, or made now. "error" and "hint" when it failed."""
    return _before(point, out, train, progress) or _row(point, out, train, progress)


def held_out_accuracy(model, dataset, config: Search) -> float:
    """Accuracy of a trained model on the validation clips that a search with ``config`` did not see, on the CPU."""
    import numpy as np
    import torch

    from tinyflow.search.data import SearchData
    from tinyflow.train.batches import scaled_features

    rows = SearchData(dataset, (), config, "cpu").held_out_rows
    split, right = dataset.split("validation"), 0
    for start in range(0, len(rows), 256):
        part = rows[start : start + 256]
        audio = np.asarray(split.audio[part])
        features = torch.from_numpy(scaled_features(model.genotype.frontend, model.scaler, audio))
        with torch.no_grad():
            right += int((model.network(features.unsqueeze(1)).argmax(1).numpy() == split.labels[part]).sum())
    return right / len(rows)


def measure(run: RecipeRun, board_name: str, train: bool) -> dict[str, Any]:
    """What ``run``'s search found, and cost on the board; its stages are made before. Instructions: network and front
    end, estimated, per second of audio; RAM estimated around a planned arena.
    """
    from tinyflow.cost.genotype_fit import exact_fit
    from tinyflow.search.artefact import load_search
    from tinyflow.search.derive import skip_connections
    from tinyflow.train.artefact import load_trained

    result, model = load_search(run.folder.search), load_trained(run.folder.train) if train else None
    genotype, history = model.genotype if model else result.genotype, result.history
    fit = exact_fit(genotype, load_board(board_name))
    row = {
        "frontend": genotype.frontend.name,
        "data_choice": result.data_choice,
        "warnings": list(result.warnings),
        "proxy_accuracy": history.get("proxy_accuracy", history.get("accuracy")),
        "skips": skip_connections(genotype.normal),
        "parameters": fit.parameters,
        "macs": fit.macs,
        "instructions": fit.instructions + fit.frontend_instructions,
        "ram_bytes": fit.ram_bytes,
        "flash_bytes": fit.flash_bytes,
        "fits": fit.fits,
        "board": fit.board,
        "search_seconds": history["seconds"],
    }
    accuracy = held_out_accuracy(model, run.dataset(), run.search) if model else row["proxy_accuracy"]
    return {"accuracy": accuracy, **row}


# --- points


def _points(recipe: Recipe, axes: dict[str, list], samples: int | None, seed: int, out: Path) -> list[Point]:
    _search(recipe)  # first of all: whether there is one
    for key, values in axes.items():
        if not isinstance(values, (list, tuple)) or not values:
            raise TinyflowError(f"axis {key} is {values!r}", "a list of at least one value")
    combinations = [dict(zip(axes, values)) for values in itertools.product(*axes.values())]
    if samples is not None and samples < len(combinations):
        combinations = [
            combinations[index]
            for index in sorted(random.Random(seed).sample(range(len(combinations)), max(samples, 1)))
        ]
    points = []
    for chosen in combinations:
        text = "-".join(f"{key.rpartition('.')[2]}={value}" for key, value in chosen.items())
        name = f"{re.sub(r'[^A-Za-z0-9._=-]+', '_', text)[:80]}-{fingerprint(chosen)[:8]}"
        point = override(
            recipe, {key: value for key, value in chosen.items() if not key.startswith("board.")} | {"name": name}
        )
        changes = {key.removeprefix("board."): value for key, value in chosen.items() if key.startswith("board.")}
        if changes:
            point = override(point, {"search.board": _changed_board(_search(point).board, changes, out)})
        load_board(_board(point))  # a wrong name is an error now
        points.append(Point(name, chosen, point))
    return points


def _changed_board(name: str, changes: dict[str, Any], out: Path) -> str:
    """The folder of a board like ``name`` with other values, such as instruction_budget."""
    import yaml

    if not name:
        raise TinyflowError(f"{', '.join(changes)} of which board?", "set search.board, or give it an axis")
    board = load_board(name)
    text = yaml.safe_dump(yaml.safe_load((Path(board.folder) / "board.yaml").read_text()) | changes)
    folder = out / "boards" / f"{board.name}-{fingerprint(text)[:8]}"
    write_text(folder / "board.yaml", text)
    load_board(str(folder))  # a wrong key is an error now
    return str(folder)


def _folder(point: Point, out: Path) -> Path:
    return out / "points" / point.name


def _share_data(point: Point, out: Path, progress: Progress) -> None:
    """Makes the data stage once for all points of equal data, and links it into the point's run folder."""
    name = f"data-{fingerprint(asdict(point.recipe.data))[:8]}"
    # "up to date" once per point says little
    report = silent if (out / name / "data" / MANIFEST).is_file() else progress
    recipe_run(replace(point.recipe, name=name), out, report).make("data")
    link = _folder(point, out) / "data"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(Path("../..") / name / "data")


def _key(point: Point, out: Path, train: bool) -> str:
    from tinyflow.data import load_dataset

    recipe = point.recipe.to_dict()
    for part in ("base", "compile", "deploy", *([] if train else ["train"])):
        del recipe[part]
    for where in ("device", "checkpoint_minutes"):
        del recipe["search"][where]
    board = load_board(_board(point.recipe)).facts()
    return fingerprint(
        {
            "format": FORMAT,
            "recipe": recipe,
            "board": board,
            "data": load_dataset(_folder(point, out) / "data").fingerprint,
            "train": train,
        }
    )


def _search(recipe: Recipe) -> Search:
    if recipe.search is None:
        raise TinyflowError(
            f"the recipe {recipe.name!r} has no search section",
            "--recipe demo-search, or another *-search; docs/scale.md",
        )
    return recipe.search


def _board(recipe: Recipe) -> str:
    """Whose costs are counted: the search's board, else the first that the recipe deploys to."""
    return _search(recipe).board or recipe.deploy.boards[0]


def _before(point: Point, out: Path, train: bool, progress: Progress) -> dict[str, Any] | None:
    """Sees to the point's data; the row, if the point need not run."""
    try:
        _share_data(point, out, progress)
    except Interrupted:
        raise
    except Exception as error:
        return _failure(point, error)
    path = _folder(point, out) / ROW
    written = read_json(path) if path.is_file() else {}
    return written["row"] if written.get("fingerprint") == _key(point, out, train) else None


def _row(point: Point, out: Path, train: bool, progress: Progress = silent) -> dict[str, Any]:
    """Runs one point and writes its row; what fails becomes a row with an error."""
    started = time.monotonic()
    try:
        run = RecipeRun(RunFolder(_folder(point, out)), progress, recipe=point.recipe)
        run.make("train" if train else "search")
        row = {
            "name": point.name,
            "values": point.values,
            **measure(run, _board(point.recipe), train),
            "seconds": round(time.monotonic() - started, 3),
        }
        write_json(_folder(point, out) / ROW, {"fingerprint": _key(point, out, train), "row": row})
        return row
    except Interrupted:
        raise
    except Exception as error:
        return _failure(point, error)


def _failure(point: Point, error: Exception) -> dict[str, Any]:
    message = error.message if isinstance(error, TinyflowError) else f"{type(error).__name__}: {error}"
    return {"name": point.name, "values": point.values, "error": message, "hint": getattr(error, "hint", "")}


def _brief(row: dict[str, Any]) -> str:
    return (
        f"{100 * row['accuracy']:.1f} %, {row['frontend']}, {row['instructions'] / 1e6:.1f} M instructions,"
        f" {row['ram_bytes'] / 1024:.0f} KiB RAM"
    )


# --- Ray


def _by_ray(points: list[Point], out: Path, train: bool, parallel: int) -> Iterator[tuple[Point, dict[str, Any]]]:
    """Points and their rows as they finish, from ``parallel`` local worker processes."""
    import ray
    import torch

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # it counts the whole machine's memory, also what is not ours
    os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")
    threads, gpus = max(1, torch.get_num_threads() // parallel), torch.cuda.device_count()
    share = float(gpus // parallel) if gpus >= parallel else gpus / parallel
    folder = tempfile.mkdtemp(prefix="ray-")  # short: it holds sockets
    try:
        ray.init(
            address="local",
            num_cpus=parallel,
            num_gpus=gpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=100 * 2**20,
            _temp_dir=folder,
        )
        work = ray.remote(num_cpus=1, num_gpus=share, max_retries=0)(_worker)
        running = {work.remote(point, out, train, threads): point for point in points}
        while running:
            (ready,), _ = ray.wait(list(running), num_returns=1)
            point = running.pop(ready)
            try:
                row = ray.get(ready)
            except ray.exceptions.RayError as error:  # the worker died
                row = _failure(point, error)
            yield point, row
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _worker(point: Point, out: Path, train: bool, threads: int) -> dict[str, Any]:
    import torch

    torch.set_num_threads(threads)
    return _row(point, out, train)
