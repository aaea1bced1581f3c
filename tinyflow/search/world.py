"""The processes that share one search: data parallelism over GPUs or machines.

Plain ``torch.distributed``, not Lightning Fabric: it is in torch already, and what Fabric would add does not fit here.
Its wrapper averages gradients behind backward(), whereas alpha, beta, gamma and the weights are updated in turn and in
part, and batch norm must sum *masked* statistics itself. Three explicit collectives are all a search needs: statistics
(``World.sum``), gradients (``World.sum_gradients``) and the first weights (``World.broadcast``). They work alike over
gloo (CPUs) and NCCL (GPUs).

Losses are sums over a process's own clips divided by the clips of the *global* batch; so sums, not means, over the
processes give the values and gradients of one process with the whole batch, even where shares are uneven.
"""

import multiprocessing
import os
import pickle
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from queue import Empty
from typing import Any

import torch
from torch import Tensor, distributed, nn

from tinyflow.errors import TinyflowError
from tinyflow.progress import Progress, silent

TIMEOUT = timedelta(minutes=30)  # of one collective: rank 0 may be drawing pictures or waiting for a slow disk
ENVIRONMENT = ("RANK", "WORLD_SIZE", "MASTER_ADDR")  # what torchrun sets


@dataclass(frozen=True)
class World:
    """This process among ``size``; with one process every method is free."""

    rank: int = 0
    size: int = 1

    @property
    def main(self) -> bool:
        """Whether this process writes artefacts and reports."""
        return self.rank == 0

    def sum(self, x: Tensor) -> Tensor:
        """The sum of x over all processes, differentiable: backward sums the gradients of all processes in turn."""
        return x if self.size == 1 else _Sum.apply(x)

    @torch.no_grad()
    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replaces every gradient by its sum over the processes, in one all-reduce.

        A parameter that has a gradient nowhere keeps None (optimisers then skip it); one that has a gradient
        somewhere has the sum everywhere. All processes name the same parameters in the same order.
        """
        parameters = list(parameters)
        if self.size == 1 or not parameters:
            return
        grads = [parameter.grad for parameter in parameters]
        has = torch.tensor([float(grad is not None) for grad in grads], device=parameters[0].device)
        flat = [(torch.zeros_like(p) if grad is None else grad).reshape(-1) for p, grad in zip(parameters, grads)]
        total = torch.cat([*flat, has])
        distributed.all_reduce(total)
        *sums, has = total.split([*map(len, flat), len(has)])
        for index, (parameter, grad, part) in enumerate(zip(parameters, grads, sums)):
            if grad is not None:
                grad.copy_(part.view_as(grad))
            elif has[index] > 0:  # the only look at a value on the host, where gradients differ in kind
                parameter.grad = part.view_as(parameter).to(parameter.dtype).clone()

    @torch.no_grad()
    def broadcast(self, module: nn.Module) -> None:
        """Parameters and buffers of rank 0's ``module`` to all processes."""
        if self.size == 1:
            return
        for tensor in (*module.parameters(), *module.buffers()):
            value = tensor.detach().contiguous()  # NCCL takes no channels-last
            distributed.broadcast(value, 0)
            tensor.copy_(value)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return _reduced(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return _reduced(grad)


def _reduced(x: Tensor) -> Tensor:
    x = x.detach().clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(x)
    return x


def current_world() -> World:
    """The processes of the initialised process group; without one, this process alone."""
    if distributed.is_available() and distributed.is_initialized():
        return World(distributed.get_rank(), distributed.get_world_size())
    return World()


def launch(function: Callable[..., Any], processes: int, *args: Any, progress: Progress = silent) -> Any:
    """``function(*args, progress=...)`` in ``processes`` processes of one process group; returns what rank 0 returned.

    Started by torchrun (RANK, WORLD_SIZE and MASTER_ADDR are set), this process joins that group and ``processes`` is
    not looked at. Else processes are spawned on this machine, each with a GPU of its own when there are enough, and
    ``function``, ``args`` and the result travel by pickle (open a Dataset inside). Only rank 0's progress is heard.
    What a child raises ends the others and is raised here as TinyflowError; Ctrl-C lets rank 0 save and end first.
    """
    if all(name in os.environ for name in ENVIRONMENT):
        return _join(function, args, progress)
    if processes < 1:
        raise TinyflowError(f"{processes} processes", "1 or more")
    if processes == 1:
        return function(*args, progress=progress)
    with tempfile.TemporaryDirectory(prefix="tinyflow-") as folder:
        context = multiprocessing.get_context("spawn")
        messages = context.Queue()
        children = [
            context.Process(target=_child, args=(rank, processes, folder, function, args, messages))
            for rank in range(processes)
        ]
        try:
            for child in children:
                child.start()
            _watch(children, messages, progress)
        finally:
            for child in children:
                if child.is_alive():
                    child.terminate()
            for child in children:
                if child.pid is not None:
                    child.join(10)
                    if child.is_alive():
                        child.kill()
                        child.join()
        _raise_failure(Path(folder), children)
        return pickle.loads((Path(folder) / "result").read_bytes())


def _join(function: Callable[..., Any], args: tuple, progress: Progress) -> Any:
    local = int(os.environ.get("LOCAL_RANK", os.environ["RANK"]))
    _initialise(local, int(os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"])), init_method="env://")
    try:
        return function(*args, progress=progress if current_world().main else silent)
    finally:
        distributed.destroy_process_group()


def _initialise(local_rank: int, local_size: int, **where: Any) -> None:
    """NCCL for tensors on GPUs when each local process has one to itself; gloo for all others."""
    own = torch.cuda.is_available() and torch.cuda.device_count() >= local_size
    if own:
        torch.cuda.set_device(local_rank)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if own else "gloo", timeout=TIMEOUT, **where)


def _child(rank: int, size: int, folder: str, function: Callable[..., Any], args: tuple, messages: Any) -> None:
    os.setpgrp()  # Ctrl-C reaches rank 0 once, through the parent, and no other rank: rank 0 saves the checkpoint
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // size))

    def report(task: str, done: int, total: int, note: str = "") -> None:
        messages.put((task, done, total, note))

    try:
        _initialise(rank, size, init_method=f"file://{folder}/store", rank=rank, world_size=size)
        result = function(*args, progress=report if rank == 0 else silent)
        if rank == 0:
            (Path(folder) / "result").write_bytes(pickle.dumps(result))
        distributed.barrier()  # nobody leaves while another still speaks to it
        distributed.destroy_process_group()
    except BaseException as error:
        text = traceback.format_exc()
        bug = not isinstance(error, TinyflowError)
        if bug:
            error = TinyflowError(f"process {rank} of {size} failed: {text.strip().splitlines()[-1]}", text)
        (Path(folder) / f"error-{rank}").write_bytes(pickle.dumps((int(bug), time.time(), error)))
        os._exit(1)  # the threads of a broken process group may never end


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _watch(children: list, messages: Any, progress: Progress) -> None:
    """Passes progress on until every child has ended, or one has failed."""
    interrupted = False
    while True:
        try:
            running = [child for child in children if child.is_alive()]
            failed = any(child.exitcode not in (None, 0) for child in children)
            try:
                progress(*messages.get(timeout=0.1))
                continue
            except Empty:
                pass
            if failed or not running:
                return
        except KeyboardInterrupt:
            if interrupted:
                raise
            interrupted = True
            os.kill(children[0].pid, signal.SIGINT)


def _raise_failure(folder: Path, children: list) -> None:
    """The cause, not its consequences: a TinyflowError, then a process that was killed, then the
    earliest other error.
    """
    failures = sorted(
        (pickle.loads(path.read_bytes()) for path in folder.glob("error-*")), key=lambda failure: failure[:2]
    )
    for rank, child in enumerate(children):
        if child.exitcode not in (0, 1, -signal.SIGTERM):
            message = f"process {rank} of {len(children)} ended with exit code {child.exitcode} and no message"
            gone = TinyflowError(message, "killed, or out of memory: use fewer processes")
            failures = sorted([*failures, (1, 0.0, gone)], key=lambda failure: failure[:2])
    if failures:
        raise failures[0][2]
