"""Chance by shuffled pairs: every generated sound against the references of other clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stav2a.evaluation.folders.work import Record
from stav2a.metrics.chance import EDGE_S, against_others, inside_edges
from stav2a.metrics.clip_scores import FRAME_S, METRICS, PairMetric
from stav2a.metrics.envelope import without_edges


def shuffled(records: Sequence[Record], trials: int, seed: int = 0) -> list[Record]:
    """The records with trials by shuffled pairs in place of shifts in time, for every metric of pairs."""
    changed = [replace(record, inside=dict(record.inside), trials=dict(record.trials)) for record in records]
    for name, metric in METRICS.items():
        having = [record for record in changed if f"{metric.series}_reference" in record.series and not record.error]
        for record in changed:
            record.trials.pop(name, None)
        if len(having) < 2:  # no other clip to compare with: no chance level
            continue
        own, chance = against_others(len(having), pair_score(metric, having), trials=trials, seed=seed)
        for record, score, row in zip(having, own, chance, strict=True):
            record.inside[name], record.trials[name] = float(score), row.tolist()
    return changed


def pair_score(metric: PairMetric, records: Sequence[Record]):
    """pair(i, j): the metric of clip i's sound and clip j's reference, edges left out, over the shorter length."""

    def of(i: int, j: int) -> float:
        sound, reference = records[i].series, records[j].series
        ours, theirs = reference[f"{metric.series}_reference"], sound[f"{metric.series}_generated"]
        if metric.series == "strength":
            length = min(len(ours), len(theirs))
            return metric.score(*(without_edges(curve[:length], FRAME_S, EDGE_S) for curve in (ours, theirs)))
        duration_s = float(np.minimum(sound["duration_s"], reference["duration_s"]))
        times = [inside_edges(onsets, duration_s, EDGE_S) for onsets in (ours, theirs)]
        extra = {"fps": float(reference["fps"])} if metric.series == "motion" else {}
        return metric.score(*times, **extra)

    return of
