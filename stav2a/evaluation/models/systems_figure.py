"""Figure of a table of systems: how well each is on time against how close it is to real sound."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

TIMING, LIKENESS = "onset_f1_50ms", "fd_bank"


def figure(report: Mapping[str, Mapping[str, dict]]) -> Figure:
    """{set: {system: row of `systems`}} -> a panel a set, a dot a system with its 95 % intervals.

    Right is better timing (the gain over chance of onset F1 at ±50 ms), up is a lower Fréchet distance (FD_bank).
    """
    drawn = Figure(figsize=(5.2 * len(report), 4.2), layout="constrained")
    for panel, (title, rows) in zip(drawn.subplots(1, len(report), squeeze=False)[0], report.items(), strict=True):
        _panel(panel, title, rows)
    return drawn


def _panel(panel: Axes, title: str, rows: Mapping[str, dict]) -> None:
    for name, row in rows.items():
        timing, likeness = (row["metrics"].get(key) for key in (TIMING, LIKENESS))
        if not timing or not likeness or timing["gain"] is None:
            continue
        x, y = timing["gain"], likeness["mean"]
        bars = {"xerr": _around(x, timing["gain_ci95"]), "yerr": _around(y, likeness["ci95"])}
        panel.errorbar(x, y, fmt="o", capsize=2, elinewidth=0.8, **bars)
        panel.annotate(name, (x, y), xytext=(5, 5), textcoords="offset points", fontsize=9)
    counts = sorted({row["n"] for row in rows.values()})
    panel.axvline(0, color="grey", linewidth=0.8, linestyle=":")  # chance
    panel.invert_yaxis()
    panel.set(
        title=f"{title}, n = {', '.join(map(str, counts))}",
        xlabel="onset F1 ±50 ms above chance: on time →",
        ylabel="FD_bank: like real sound →",
    )


def _around(value: float, ci95: tuple[float, float] | None) -> list[list[float]] | None:
    """Distances to both ends of an interval, as matplotlib takes them."""
    return None if ci95 is None else [[max(value - ci95[0], 0.0)], [max(ci95[1] - value, 0.0)]]
