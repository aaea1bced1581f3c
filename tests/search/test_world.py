"""Two local processes over gloo against one."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tone_dataset import tone_dataset
from torch import nn
from torch.nn import functional as F

from tinyflow.errors import Interrupted, TinyflowError
from tinyflow.progress import silent
from tinyflow.recipe import Search
from tinyflow.search.searching import run_search
from tinyflow.search.world import World, current_world, launch

PATHS = (  # for scripts of their own
    f"import sys; sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}\n"
)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def normalised(x: torch.Tensor, world: World) -> torch.Tensor:
    """Batch norm as the search writes it: sums over the processes, then mean and variance."""
    sums = world.sum(torch.cat([x.sum(0), (x * x).sum(0), x.new_tensor([len(x)])]))
    mean, square = sums[:5] / sums[-1], sums[5:10] / sums[-1]
    return (x - mean) / torch.sqrt(square - mean * mean + 1e-5)


def step(clips: int, progress=silent) -> dict:
    """One training step on this process's share of a batch; what every rank then holds."""
    world = current_world()
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(clips, 5, generator=generator, dtype=torch.float64) * 2 + 1
    labels = torch.randint(3, (clips,), generator=generator)
    model = network(seed=world.rank)  # differs until the broadcast
    world.broadcast(model)
    extra = nn.Parameter(torch.ones(2, dtype=torch.float64))  # a gradient on rank 0 alone
    unused = nn.Parameter(torch.ones(4, dtype=torch.float64))
    share = x[world.rank :: world.size].requires_grad_()
    logits = model(normalised(share, world))
    loss = F.cross_entropy(logits, labels[world.rank :: world.size], reduction="sum") / clips
    (loss + (extra.sum() if world.main else 0)).backward()
    parameters = [*model.parameters(), extra, unused]
    world.sum_gradients(parameters)
    progress("step", 1, 1, f"rank {world.rank}")
    grads = [None if parameter.grad is None else parameter.grad.tolist() for parameter in parameters]
    loss = world.sum(loss.detach())
    inputs = [None] * world.size
    if world.size > 1:
        torch.distributed.all_gather_object(inputs, (share.grad, grads))
    return {
        "loss": float(loss),
        "grads": grads,
        "shares": inputs,
        "input": share.grad,
        "world": (world.rank, world.size),
    }


@pytest.mark.parametrize("clips", [7])  # shares of 4 and 3
def test_two_processes_take_the_step_of_one(clips):
    notes = []
    one = step(clips)
    two = launch(step, 2, clips, progress=lambda task, done, total, note="": notes.append((task, done, total, note)))
    assert one["world"] == (0, 1) and two["world"] == (0, 2)
    assert notes == [("step", 1, 1, "rank 0")]
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-12)
    for expected, found in zip(one["grads"], two["grads"]):
        assert (expected is None) == (found is None)
        if expected is not None:
            torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), rtol=1e-9, atol=1e-12)
    assert two["grads"][-1] is None and two["grads"][-2] == [1.0, 1.0]
    assert two["shares"][0][1] == two["shares"][1][1], "both ranks hold the same sums"
    for rank in range(2):  # through the statistics of the whole batch
        torch.testing.assert_close(two["shares"][rank][0], one["input"][rank::2], rtol=1e-9, atol=1e-12)


def test_one_process_sums_nothing():
    x = torch.ones(3)
    assert World().sum(x) is x and World().main and not World(1, 2).main
    assert current_world() == World()
    assert launch(step, 1, 4)["world"] == (0, 1)
    with pytest.raises(TinyflowError, match="0 processes"):
        launch(step, 0, 4)


def fails(rank: int, kind: str, progress=silent) -> None:
    if current_world().rank == rank:
        if kind == "tinyflow":
            raise TinyflowError("the loss is nan", "lower search.learning_rate")
        if kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError("a bug")
    torch.distributed.barrier()


@pytest.mark.parametrize("rank", [1])
def test_what_a_process_raises_is_raised_here(rank):
    with pytest.raises(TinyflowError) as caught:
        launch(fails, 2, rank, "tinyflow")
    assert caught.value.message == "the loss is nan" and caught.value.hint == "lower search.learning_rate"


def test_a_bug_and_a_death_name_their_process():
    with pytest.raises(TinyflowError, match="process 1 of 2 failed: ValueError: a bug"):
        launch(fails, 2, 1, "bug")
    with pytest.raises(TinyflowError, match="process 1 of 2 ended with exit code -9"):
        launch(fails, 2, 1, "killed")


def waits(folder: Path, progress=silent) -> None:
    """A search that is interrupted: rank 0 saves, the other hangs in a collective."""
    (folder / f"pid-{current_world().rank}").write_text(str(os.getpid()))
    if not current_world().main:
        torch.distributed.barrier()
    try:
        (folder / "ready").touch()
        time.sleep(60)
    except KeyboardInterrupt:
        (folder / "saved").touch()
        raise Interrupted("interrupted; saved", "the same command resumes it") from None


def interruptible(folder: str) -> None:
    try:
        launch(waits, 2, Path(folder))
    except Interrupted as error:
        print(error.message)
        sys.exit(130)


def parent(folder: Path) -> subprocess.Popen:
    code = f"{PATHS}from test_world import interruptible\nif __name__ == '__main__': interruptible({str(folder)!r})"
    script = folder / "script.py"
    script.write_text(code)
    # A suite started in the background has SIGINT ignored, and its children would inherit that.
    deaf = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, deaf)
    until(lambda: (folder / "ready").exists())
    return process


def until(condition, seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_ctrl_c_lets_rank_0_save(tmp_path):
    process = parent(tmp_path)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=40)
    assert process.returncode == 130 and "interrupted; saved" in output
    assert (tmp_path / "saved").exists()


def test_children_end_with_their_parent(tmp_path):
    process = parent(tmp_path)
    process.kill()
    process.communicate(timeout=20)
    pids = [int((tmp_path / f"pid-{rank}").read_text()) for rank in range(2)]
    until(
        lambda: (
            not any(
                Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]
                for pid in pids
            )
        ),
        20,
    )


def test_torchrun_is_honoured(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"{PATHS}from test_world import launch, step\n"
        "result = launch(step, 1, 8)\n"
        f"open({str(tmp_path)!r} + '/' + str(result['world'][0]), 'w').write(str(result['loss']))\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    losses = [float((tmp_path / str(rank)).read_text()) for rank in range(2)]
    assert losses == [pytest.approx(step(8)["loss"], rel=1e-12)] * 2


SEARCH = Search(
    frontends=("640/640/20/mfcc10", "640/320/20/mfcc10", "400/400/20/mfcc8"), channels=8, cells=2, stem_stride=2,
    batch_size=7, epochs=3, warmup_epochs=1, arch_learning_rate=0.01, gamma_learning_rate=0.05, device="cpu", seed=1,
)  # fmt: skip
KINDS = {  # batches of 7 are shares of 4 and 3
    "preprocess": SEARCH,
    "zero pad": replace(
        SEARCH, alignment="zero_pad", operations="mcu", gamma_mode="collapse", gamma_stop_ratio=1.01, beta_decay=1.0
    ),
}


@pytest.mark.parametrize("kind", ["preprocess", pytest.param("zero pad", marks=pytest.mark.slow)])
def test_a_search_by_two_processes_is_that_of_one(kind, tmp_path):
    tone_dataset(tmp_path / "data", training=14, held_out=8)
    one, two = (
        run_search(tmp_path / "data", KINDS[kind], tmp_path / f"{count}", None, count, silent) for count in (1, 2)
    )
    assert two.history["processes"] == 2 and len(two.history["epochs"]) == 3
    for alone, shared in zip(one.history["epochs"], two.history["epochs"], strict=True):
        for key in ("loss", "architecture_loss"):
            assert shared[key] == (alone[key] and pytest.approx(alone[key], rel=1e-4))
        for key in ("alpha_normal", "alpha_reduction", "beta_normal", "beta_reduction", "gamma"):
            torch.testing.assert_close(torch.tensor(shared[key]), torch.tensor(alone[key]), rtol=1e-3, atol=1e-5)
        assert shared["clips"] == alone["clips"]
    last = one.history["epochs"][-1]
    assert last["architecture_loss"] > 0 and len(set(last["gamma"])) > 1, "there was something to compare"
    for key in ("normal", "reduction", "frontend", "alignment", "alignment_layer", "channels", "cells"):
        assert getattr(two.genotype, key) == getattr(one.genotype, key)
    assert two.history["data_stop"] == one.history["data_stop"] == (2 if kind == "zero pad" else None)
