"""The parity gate for the eight front ends of Table 1 on a dataset of yours: python benchmarks/parity.py runs/demo/data

Per configuration: an untrained network of the demo's cells behind it, the whole compile stage, firmware for
mps2-an386, and on validation clips (a) features, device against host and against torch, (b) and (c) the network
against tflite_micro; beside it the front end's instructions per second of audio, counted under QEMU.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tinyflow.board import load_board
from tinyflow.convert import compile_trained
from tinyflow.convert.trained import choose
from tinyflow.data import load_dataset
from tinyflow.deploy.build import build
from tinyflow.deploy.device import connect
from tinyflow.deploy.places.place import choose_place
from tinyflow.deploy.target import Target
from tinyflow.deploy.validate import validate
from tinyflow.frontend.mfcc.config import TABLE_1
from tinyflow.network.genotype import read_genotype
from tinyflow.network.module import DerivedNetwork
from tinyflow.recipe import Compile
from tinyflow.results import to_json
from tinyflow.train.artefact import load_trained, save_trained
from tinyflow.train.batches import fit_scaler

GENOTYPE = Path(__file__).resolve().parent.parent / "configs" / "genotypes" / "demo.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="folder of the data stage")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--json", type=Path, help="write the results here too")
    args = parser.parse_args()
    dataset, board = load_dataset(args.dataset), load_board("mps2-an386")
    split = dataset.split("validation")
    audio = np.ascontiguousarray(split.audio[choose(split.labels, args.clips)])
    genotype = replace(read_genotype(GENOTYPE).with_task(dataset.task, dataset.labels), channels=4, cells=2)
    print(f"{args.clips} clips of {dataset.description}")
    print(
        "| front end | device = host, clips | differ from torch | at most | network on Python's features | on its own |"
        " instructions / s of audio |\n|---|---|---|---|---|---|---|"
    )
    results = {}
    for config in TABLE_1:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            torch.manual_seed(0)
            of_config = replace(genotype, frontend=config)
            scaler = fit_scaler(dataset, config, 0, torch.device("cpu"))
            network = DerivedNetwork(of_config).eval()
            (folder / "train").mkdir()
            save_trained(
                folder / "train",
                of_config,
                network,
                scaler,
                {"description": dataset.description, "parameters": 0, "macs": 0, "epochs": []},
            )
            compiled = compile_trained(
                load_trained(folder / "train"),
                dataset,
                Compile(calibration_clips=16, selftest_clips=1),
                folder / "compile",
            )
            firmware = build(compiled, board, folder / "build")
            result = validate(Target(firmware, compiled, choose_place(board)), n=2, audio=audio)
            with connect(firmware, choose_place(board)) as device:
                device.recognise(audio[:1])
                counted = device.units(device.frontend_ticks[-1])
        parity = result.parity
        features, network_, own = parity.features, parity.network, parity.end_to_end
        results[config.name] = {
            "passed": result.passed,
            "parity": to_json(parity),
            "frontend_instructions_per_second": counted,
            "board": board.name,
            "clips": dataset.description,
        }
        print(
            f"| {config.name} | {features.identical_on_device_and_host} of {features.clips} |"
            f" {features.differing_from_torch} of {features.values:,}"
            f" ({100 * features.share_differing_from_torch:.4f} %) | {features.largest_lsb} LSB |"
            f" {network_.equal} of {network_.rows} | {own.equal} of {own.rows} | {counted:,} |",
            flush=True,
        )
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
