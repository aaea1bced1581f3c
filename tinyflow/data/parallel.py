"""Reading and rendering clips on all cores without losing their order or holding them all in memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def in_order(function: Callable[[Item], Answer], items: Iterable[Item], ahead: int = 64) -> Iterator[Answer]:
    """``function`` of every item, in the order of ``items``, computed by threads at most ``ahead`` items early.

    Threads suffice: decoding and espeak-ng run outside the interpreter lock.
    """
    executor = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
    waiting: deque[Future[Answer]] = deque()
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)
