"""From records of pairs to one table: mean, interval, chance, gain and p of every metric."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stav2a.evaluation.folders.work import Record
from stav2a.metrics.chance import Gain, against_others, bootstrap_ci, pooled_gain
from stav2a.metrics.classifier import inception_score, kl_divergence
from stav2a.metrics.clip_scores import LOWER_IS_BETTER
from stav2a.metrics.distance import frechet_distance, own_ranks

BOOTSTRAP_DIM = 512  # Fréchet distances of larger embeddings cost too much to resample
DRAWS = 100


def summarise(records: Sequence[Record], seed: int = 0) -> dict[str, dict]:
    """{metric: {"mean", "ci95", "chance", "gain", "p", "n", ...}} over the records without error.

    `mean` is over whole clips, as published. `chance`, `gain`, `gain_ci95` and `p` leave the edges out
    (`chance.py`), and so does `mean_inside`: gain is mean_inside - chance, or the other way round where less is
    better. They are None where a metric has no chance level.
    """
    records = [record for record in records if not record.error]
    metrics: dict[str, dict] = {}
    for name in dict.fromkeys(name for record in records for name in record.scores):
        having = [record for record in records if np.isfinite(record.scores.get(name, np.nan))]
        if not having:
            continue
        values = np.array([record.scores[name] for record in having])
        entry = _entry(values.mean(), bootstrap_ci(values, seed=seed) if len(values) > 1 else None, len(values))
        if name in having[0].trials:
            gain = pooled_gain(
                [record.inside[name] for record in having],
                [record.trials[name] for record in having],
                lower_is_better=name in LOWER_IS_BETTER,
                seed=seed,
            )
            entry |= _over_chance(gain)
        metrics[name] = entry
    for network in dict.fromkeys(key.split("_")[0] for record in records for key in record.arrays):
        metrics |= _set_metrics(network, records, seed)
    return metrics


def _spread(score: float, again: Sequence[float]) -> tuple[float, float]:
    """Interval of a score of a set from its bootstrap draws.

    Draws repeat clips, which moves every such score by itself (FD up, IS down); their spread is laid around the
    score, without that shift, which would put the score outside its own interval.
    """
    low, high = np.quantile(again, [0.025, 0.975]) - np.mean(again) + score
    return max(0.0, float(low)), float(high)


def _over_chance(gain: Gain) -> dict:
    return {
        "mean_inside": gain.score,
        "chance": gain.chance,
        "gain": gain.gain,
        "gain_ci95": gain.ci95,
        "p": gain.p,
    }


def _entry(mean: float, ci95: tuple[float, float] | None, n: int, note: str = "") -> dict:
    entry = {"mean": float(mean), "ci95": ci95, "chance": None, "gain": None, "p": None, "n": n}
    return entry | ({"note": note} if note else {})


def _set_metrics(network: str, records: Sequence[Record], seed: int) -> dict[str, dict]:
    """FD (FAD for VGGish), rank of the own sound, IS, and the chance level of KL, of one network's records."""
    key = f"{network}_generated_embeddings"
    records = [record for record in records if key in record.arrays]
    metrics: dict[str, dict] = {}
    rng = np.random.default_rng(seed)
    real = [record.arrays[f"{network}_reference_embeddings"] for record in records]
    made = [record.arrays[key] for record in records]
    n = len(records)

    def draw() -> np.ndarray:  # clips, not windows, are what is drawn again: windows of one clip go together
        return rng.integers(0, n, n)

    if sum(map(len, real)) >= 2 and sum(map(len, made)) >= 2:
        frechet = frechet_distance(np.concatenate(real), np.concatenate(made))
        ci95 = None
        if n > 1 and frechet.dim <= BOOTSTRAP_DIM:
            again = [
                frechet_distance(np.concatenate([real[i] for i in chosen]), np.concatenate([made[i] for i in chosen]))
                for chosen in (draw() for _ in range(DRAWS))
            ]
            ci95 = _spread(frechet.distance, [f.distance for f in again])
        name = "fad_vggish" if network == "vggish" else f"fd_{network}"
        metrics[name] = _entry(frechet.distance, ci95, n, frechet.note)
    if n > 1:
        ranks = own_ranks(*(np.stack([found.mean(0) for found in side]) for side in (real, made)))
        metrics[f"rank_{network}"] = _entry(ranks.mean(), bootstrap_ci(ranks, seed=seed), n) | {"chance": 0.5}

    key = f"{network}_generated_probabilities"
    if n and key in records[0].arrays:
        made = np.stack([record.arrays[key] for record in records])
        real = np.stack([record.arrays[f"{network}_reference_probabilities"] for record in records])
        for name, probabilities in ((f"is_{network}", made), (f"is_{network}_reference", real)):
            again = [inception_score(probabilities[draw()]) for _ in range(DRAWS)]
            score = inception_score(probabilities)
            metrics[name] = _entry(score, _spread(score, again) if n > 1 else None, n)
        if n > 1:  # KL is paired, so other clips' references are its chance
            own, trials = against_others(n, lambda i, j: kl_divergence(real[j], made[i]), trials=20, seed=seed)
            gain = pooled_gain(own, trials, lower_is_better=True, seed=seed)
            metrics[f"kl_{network}"] = _entry(gain.score, bootstrap_ci(own, seed=seed), n) | _over_chance(gain)
    return metrics


def write_csv(path: Path, records: Sequence[Record]) -> None:
    """One row a clip: every score, and what was remarked."""
    names = list(dict.fromkeys(name for record in records for name in record.scores))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["clip", *names, "remarks", "error"])
        for record in records:
            scores = [f"{record.scores[name]:.6g}" if name in record.scores else "" for name in names]
            failed = record.error or "; ".join(record.failures)
            writer.writerow([record.stem, *scores, "; ".join(record.remarks), failed])


def markdown(metrics: dict[str, dict]) -> str:
    """The table of one evaluation."""
    lines = ["| metric | n | mean | 95 % CI | chance | gain | p |", "| --- | ---: | ---: | --- | ---: | ---: | ---: |"]
    for name, entry in metrics.items():
        arrow = " ↓" if is_lower_better(name) else ""
        cells = [_number(entry["mean"]), _interval(entry["ci95"]), *(_number(entry[k]) for k in ("chance", "gain"))]
        p = "" if entry["p"] is None else f"{entry['p']:.2g}"
        lines.append(f"| {name}{arrow} | {entry['n']} | {' | '.join(cells)} | {p} |")
    lines += [f"\n{name}: {entry['note']}." for name, entry in metrics.items() if entry.get("note")]
    return "\n".join(lines) + "\n"


def is_lower_better(name: str) -> bool:
    return name in LOWER_IS_BETTER or name.startswith(("fd_", "fad_", "kl_", "rank_"))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _interval(ci95) -> str:
    return "" if ci95 is None else f"{ci95[0]:.3f} to {ci95[1]:.3f}"
