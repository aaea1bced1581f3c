"""What each remedy and each choice buys: one table, same data, same epochs, every network found trained alike.

    python benchmarks/ablations.py --recipe gsc12-search --seeds 0,1
    python benchmarks/ablations.py --recipe demo-search --only base,collapse,random

Each line changes the recipe in the keys named by SWITCHES and nothing else. Accuracy: the trained network's on the part
of validation that no search reads; the test split is never opened. Seeds are those of the search and of
training. Random search spends the base search's seconds. Finished lines are kept in --out.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinyflow.artefacts import write_json
from tinyflow.errors import TinyflowError
from tinyflow.recipe import Recipe, load_recipe, override
from tinyflow.sweep.sweeping import Point, run_point

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
FIXED = {"names": "512/160/40"}  # the paper's front end of the search that is not data aware; else 640/160/40

SWITCHES: dict[str, dict[str, Any]] = {
    "base": {},
    "collapse": {"search.gamma_mode": "collapse"},
    "zero-pad": {"search.alignment": "zero_pad"},
    "native": {"search.keep_alignment": False},  # pre-process, but the network found reads its front end's own size
    "not data aware": {"search.frontends": ("640/160/40",)},
    "beta-decay": {"search.beta_decay": 10.0},
    "skip-cap": {"search.skip_cap": 2},  # Chen et al., 2019
    "perturbed operations": {"search.operation_selection": "perturbation"},
    "perturbed front end": {"search.frontend_selection": "perturbation"},
    "resource": {"search.resource_weight": 1.0},
    "mcu": {"search.operations": "mcu"},
    "mcu + resource": {"search.operations": "mcu", "search.resource_weight": 1.0},
    "random": {"search.method": "random"},
    "ds-cnn": {"network.architecture": "ds_cnn"},  # the baseline network on the front end that the base search found
}
COLUMNS = (
    "line",
    "seed",
    "front end",
    "chosen",
    "skips",
    "parameters",
    "M MACs",
    "M instructions",
    "RAM, KiB",
    "held out, %",
    "search, s",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--recipe", default="demo-search", help="a YAML file with a search section, or a name in configs/"
    )
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="override a key of the recipe"
    )
    parser.add_argument("--only", default=",".join(SWITCHES), help=f"lines, comma separated: {', '.join(SWITCHES)}")
    parser.add_argument("--seeds", default="0", help="comma separated")
    parser.add_argument("--out", type=Path, help="folder of the run folders [runs/ablations/<recipe>]")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    args = parser.parse_args()
    path = Path(args.recipe) if Path(args.recipe).is_file() else CONFIGS / f"{args.recipe}.yaml"
    try:
        recipe = load_recipe(path, tuple(args.sets))
        lines, seeds = [line.strip() for line in args.only.split(",")], [int(seed) for seed in args.seeds.split(",")]
        rows = ablations(recipe, lines, seeds, args.out or Path("runs/ablations") / recipe.name)
    except TinyflowError as error:
        sys.exit(str(error))
    if args.json:
        write_json(args.json, {"recipe": recipe.to_dict() | {"base": ""}, "rows": rows})


def ablations(recipe: Recipe, lines: list[str], seeds: list[int], out: Path) -> list[dict[str, Any]]:
    """Runs the lines, seed by seed, prints each as it finishes, and returns their rows (tinyflow/sweep/sweeping.py)."""
    out = out.resolve()
    wrong = [line for line in lines if line not in SWITCHES]
    if wrong:
        raise TinyflowError(f"no line {wrong[0]!r}", f"lines: {', '.join(SWITCHES)}")
    if recipe.search is None:
        raise TinyflowError(
            f"the recipe {recipe.name!r} has no search section", "--recipe demo-search, or gsc12-search"
        )
    if not recipe.search.board:
        recipe = override(recipe, {"search.board": recipe.deploy.boards[0]})
    out.mkdir(parents=True, exist_ok=True)
    print(
        f"recipe {recipe.name}, search of {recipe.search.epochs} epochs, training of {recipe.train.epochs}, costs"
        f" estimated for {recipe.search.board}"
    )
    print(_line(COLUMNS) + "\n" + _line(["---"] * len(COLUMNS)))
    rows = []
    for seed in seeds:
        base: dict[str, Any] | None = None
        for line in lines:
            if line in ("random", "ds-cnn"):  # what they take from the base: its cost, its search
                base = base or run_point(_point(recipe, "base", seed, {}), out, progress=_progress)
                if "error" in base:
                    rows.append({**base, "line": line, "seed": seed})
                    print(_shown(rows[-1]), flush=True)
                    continue
            extra = {"search.random_seconds": base["search_seconds"]} if line == "random" else {}
            point = _point(recipe, line, seed, extra)
            if line == "ds-cnn":
                _link(
                    out / "points" / _point(recipe, "base", seed, {}).name / "search",
                    out / "points" / point.name / "search",
                )
            row = run_point(point, out, progress=_progress)
            base = row if line == "base" else base
            rows.append({**row, "line": line, "seed": seed})
            print(_shown(rows[-1]), flush=True)
    return rows


def _point(recipe: Recipe, line: str, seed: int, extra: dict[str, Any]) -> Point:
    values = {**SWITCHES[line], **extra}
    if line == "not data aware":
        values["search.frontends"] = (FIXED.get(recipe.data.task, "640/160/40"),)
    name = f"{line.replace(' ', '-').replace('-+-', '-')}-seed{seed}"
    return Point(
        name, values, replace(override(recipe, {**values, "search.seed": seed, "train.seed": seed}), name=name)
    )


def _link(search: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(search)


def _progress(task: str, done: int, total: int, note: str = "") -> None:
    if sys.stderr.isatty() and total:
        print(f"\r{task} {done}/{total} {note}"[:150].ljust(150), end="", file=sys.stderr, flush=True)


def _shown(row: dict[str, Any]) -> str:
    if "error" in row:
        return _line([row["line"], row["seed"], f"failed: {row['error']}", *[""] * (len(COLUMNS) - 3)])
    costs = (f"{row['macs'] / 1e6:.2f}", f"{row['instructions'] / 1e6:.1f}", f"{row['ram_bytes'] / 1024:.0f}")
    numbers = (*costs, f"{100 * row['accuracy']:.2f}", f"{row['search_seconds']:.0f}")
    choice = row["data_choice"].partition(":")[0]
    return _line([row["line"], row["seed"], row["frontend"], choice, row["skips"], f"{row['parameters']:,}", *numbers])


def _line(cells) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
