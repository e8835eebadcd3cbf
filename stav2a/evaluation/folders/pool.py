"""Measure pairs in many processes. A file that kills a process loses only its own pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context

from stav2a.evaluation.folders.pairs import Pair
from stav2a.evaluation.folders.work import Plan, Record, measure_pair, prepare

DIED = "the process that read it died"


def measure_all(pairs: Sequence[Pair], plan: Plan, workers: int) -> Iterator[Record]:
    """Records of all pairs in any order, by `workers` processes (1: in this one)."""
    workers = min(workers, len(pairs))
    if workers <= 1:
        prepare(plan)
        yield from (measure_pair(pair, plan) for pair in pairs)
        return
    left = list(pairs)
    while left:
        done: set[str] = set()
        try:
            for record in _pooled(left, plan, workers):
                done.add(record.stem)
                yield record
            return
        except BrokenProcessPool:
            left = [pair for pair in left if pair.stem not in done]
        # a decoder took its process down, and with it every pair under way: those again, each in its own process
        again, left = left[: 4 * workers], left[4 * workers :]
        records = [_alone(pair, plan) for pair in again]
        yield from records
        if not done and all(record.error == DIED for record in records):  # not the files' fault: no worker starts
            yield from (Record(pair.stem, error=DIED) for pair in left)
            return


def _pool(workers: int, plan: Plan) -> ProcessPoolExecutor:
    context = get_context("spawn")  # forking after torch has started its threads can hang
    return ProcessPoolExecutor(workers, context, initializer=prepare, initargs=(plan,))


def _pooled(pairs: Sequence[Pair], plan: Plan, workers: int) -> Iterator[Record]:
    """Few pairs under way at a time, in the order given: what a broken pool loses is at most 4 a worker."""
    with _pool(workers, plan) as pool:
        waiting = iter(pairs)
        running = {pool.submit(measure_pair, pair, plan) for pair in islice(waiting, 4 * workers)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
                for pair in waiting:
                    running.add(pool.submit(measure_pair, pair, plan))
                    break


def _alone(pair: Pair, plan: Plan) -> Record:
    with _pool(1, plan) as pool:
        try:
            return pool.submit(measure_pair, pair, plan).result()
        except BrokenProcessPool:
            return Record(pair.stem, error=DIED)
