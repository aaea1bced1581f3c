"""What words.ipynb works on: trains the network of words.yaml and keeps its int8 model, and a few clips as features.

    python docs/examples/words.py

About three minutes on one core; wants tinyflow-mcu[train,convert] and espeak-ng, which speaks.
"""

from pathlib import Path

import numpy as np

import tinyflow

HERE = Path(__file__).resolve().parent

if __name__ == "__main__":
    with tinyflow.compile_recipe(HERE / "words.yaml", runs=None) as model:
        print(model, model.report.accuracy)
        made = model.folder / "compile"
        (HERE / "words.tflite").write_bytes((made / "model_int8.tflite").read_bytes())
        clips = np.load(made / "selftest.npz")
        np.savez_compressed(
            HERE / "words.npz",
            features=clips["features"].reshape(-1, *model.input.shape[1:]),
            words=clips["words"],
            labels=np.array(model.labels),
        )
