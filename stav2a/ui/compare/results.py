"""HTML of the results of listening tests: tables and one plot. All names are escaped."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from html import escape
from io import BytesIO

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stav2a.listening import statistics as listening_stats
from stav2a.listening.design import RATED, SCALES, SYSTEM
from stav2a.listening.store import RatingStore

# Shown in a `gr.HTML` without its default style, which would draw a border around every cell.
STYLE = """
<style>
.lr { contain: inline-size; font-size: 14px; }
.lr h3, .lr summary { font-size: 16px; font-weight: 600; margin: 20px 0 6px; }
.lr summary { cursor: pointer; }
.lr p { margin: 4px 0; color: var(--body-text-color-subdued); font-size: 13.5px; line-height: 1.5; }
.lr .lr-wide { overflow-x: auto; }
.lr table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
.lr th, .lr td { padding: 7px 10px; border: 0; border-bottom: 1px solid var(--border-color-primary);
  text-align: right; white-space: nowrap; }
.lr th { font-weight: 600; color: var(--body-text-color-subdued); }
.lr th:first-child, .lr td:first-child, .lr .t { text-align: left; }
.lr td:first-child { font-weight: 600; white-space: normal; min-width: 110px; }
.lr small { color: var(--body-text-color-subdued); font-size: 12px; }
.lr b { font-weight: 700; }
.lr img { display: block; width: 100%; max-width: 1080px; min-width: 620px; margin: 10px 0 0; border-radius: 10px; }
</style>
"""
BLUE, INK, MUTED, RULE = "#0072B2", "#1f2933", "#5b6673", "#d9dee4"
MOST_TESTS = 24
MOST_SYSTEMS = 16  # every pair is tested, so their number must not grow with what visitors compare


def results_html(store: RatingStore, study: str | None, rater: str | None = None) -> str:
    """All results of a study (of one rater, if given)."""
    ratings, choices = store.ratings(study, rater), store.choices(study, rater)
    if ratings.empty and choices.empty:
        return f'{STYLE}<div class="lr"><p>No answers yet.</p></div>'
    ratings, left_out = most_heard(ratings)
    parts = []
    if left_out:
        parts.append(f"<p>Shown are the {MOST_SYSTEMS} systems with the most answers; {left_out} more were rated.</p>")
    for test in RATED:
        if (ratings.test == test).any():
            parts += _rating_parts(ratings[ratings.test == test], RATED[test])
    if (choices.test == "abx").any():
        parts += [_abx_part(listening_stats.abx_table(choices))]
    if (choices.test == "ab").any():
        parts += [_ab_part(listening_stats.ab_table(choices))]
    return f'{STYLE}<div class="lr">{"".join(parts)}</div>'


def most_heard(ratings: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The ratings of the `MOST_SYSTEMS` systems with the most answers, and the number of other systems."""
    answers = ratings.system.value_counts(sort=False).sort_values(ascending=False, kind="stable")
    kept = answers.index[:MOST_SYSTEMS]
    return ratings[ratings.system.isin(kept)], len(answers) - len(kept)


def reveal_html(store: RatingStore, session: str) -> str:
    """Which system each number was, trial by trial, with its answer."""
    parts = []
    for number, trial in enumerate(store.answered_trials(session), start=1):
        again = " <small>again</small>" if trial.repeat_of else ""
        names = ["A", "B", "X"] if trial.test not in RATED else [f"Sound {n + 1}" for n in range(12)]
        pairs = zip(names, trial.presented, strict=False)
        listed = " · ".join(f"{name}: <b>{escape(each.system)}</b>" for name, each in pairs)
        parts.append(f"<p>Trial {number}{again}: {listed}</p>")
    return f'{STYLE}<div class="lr"><h3>What you heard</h3>{"".join(parts)}</div>'


def score_figure(table: pd.DataFrame, best: int = 100) -> Figure:
    """One panel per scale, from 1 to `best`: mean and 95 % interval of each system."""
    figure = Figure(figsize=(10.8, 0.9 + 0.34 * len(table)), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    places = range(len(table))[::-1]
    for number, scale in enumerate(SCALES):
        axes = figure.add_axes(
            (0.2 + 0.2 * number, 0.5 / figure.get_figheight(), 0.185, 1 - 0.85 / figure.get_figheight())
        )
        axes.set_xlim(0, 1.02 * best)
        axes.set_ylim(-0.6, len(table) - 0.4)
        axes.set_xticks([best * share // 5 for share in range(1, 6)])
        axes.tick_params(axis="both", length=0, labelsize=8, labelcolor=MUTED)
        axes.grid(axis="x", color=RULE, linewidth=0.8)
        axes.set_yticks(list(places), short_names(table.system) if number == 0 else [])
        for label in axes.get_yticklabels():
            label.set(color=INK, fontsize=9, parse_math=False)  # a "$" in a name is not math
        axes.set_title(f"{scale.key}", fontsize=10, color=INK, loc="left")
        for side in axes.spines.values():
            side.set_visible(False)
        errors = table[f"{scale.key}_ci"].fillna(0)
        for place, mean, error, role in zip(places, table[scale.key], errors, table.role, strict=True):
            axes.errorbar(
                mean, place, xerr=error, fmt="o" if role == SYSTEM else "s", color=BLUE if role == SYSTEM else MUTED,
                markersize=5.5, capsize=3, linewidth=1.6,
            )  # fmt: skip
    return figure


def _rating_parts(ratings: pd.DataFrame, best: int) -> list[str]:
    table = listening_stats.score_table(ratings)
    tests = listening_stats.paired_tests(ratings)
    people = listening_stats.consistency(ratings)
    listeners = ratings.rater.nunique()
    highest = {s.key: table[table.role == SYSTEM][s.key].max() for s in SCALES}
    rows = [
        [escape(row.system), *(_mean(row[s.key], row[f"{s.key}_ci"], highest[s.key]) for s in SCALES), row.n]
        for _, row in table.iterrows()
    ]
    head = ["System", *(f"{s.key}" for s in SCALES), "n"]
    names = "; ".join(f"{s.key}: {s.name.lower()}" for s in SCALES)
    return [
        f"<h3>Mean opinion, 1–{best}, ± 95 % confidence interval</h3>{_table(head, rows)}"
        f"<p>{names}. n: opinions, one per listener and clip ({_count(listeners, 'listener')}, "
        f"{_count(ratings['clip'].nunique(), 'clip')}); a repeated trial is averaged with its first time.</p>",
        _image(score_figure(table, best), "Mean and 95 % confidence interval of each system on each scale"),
        _tests_part(tests),
        _people_part(people),
    ]


def _tests_part(tests: pd.DataFrame) -> str:
    known = tests.dropna(subset="p").sort_values(["p_holm", "p"], kind="stable")
    if known.empty:
        return "<p>Paired tests need at least two opinions on the same pair of systems.</p>"
    rows = [
        [f"{escape(row['first'])} − {escape(row['second'])}", row.scale, _signed(row.difference, row.ci), row.n,
         _p(row.p), _p(row.p_holm)]
        for _, row in known.head(MOST_TESTS).iterrows()
    ]  # fmt: skip
    rest = len(known) - len(rows)
    more = f" Not shown: {rest} with larger p." if rest > 0 else ""
    head = ["Difference", "Scale", "Mean ± CI", "n", "p", "p (Holm)"]
    note = f"Wilcoxon's signed-rank test over opinions; Holm's correction over all {len(tests)} comparisons."
    found = int((known.p_holm < 0.05).sum())
    title = f"Significant differences: {found} of {len(known)} after correction"
    return f"<details><summary>{title}</summary>{_table(head, rows)}<p>{note}{more}</p></details>"


def _people_part(people: pd.DataFrame) -> str:
    rows = [
        [f"<code>{escape(row.rater[:8])}</code>", row.trials, _number(row.difference), _number(row.within_sd),
         _number(row.correlation, 2), _share(row.reference_low), "yes" if row.reliable else "<b>no</b>"]
        for _, row in people.iterrows()
    ]  # fmt: skip
    head = ["Listener", "Trials", "Repeat difference", "Within s.d.", "Correlation", "Reference < 90", "Passes BS.1534"]
    note = (
        "Repeat difference: mean change of a score when the same trial came again. "
        "ITU-R BS.1534 excludes a listener who rates the hidden reference below 90 in more than 15 % of the trials."
    )
    title = "Consistency of the listeners"
    return f"<details><summary>{title}</summary>{_table(head, rows)}<p>{note}</p></details>"


def _abx_part(table: pd.DataFrame) -> str:
    rows = [
        [f"{escape(row['first'])} / {escape(row['second'])}", f"{row.correct} of {row.n}",
         f"{100 * row.share:.0f} % <small>({100 * row.low:.0f}–{100 * row.high:.0f})</small>", _p(row.p)]
        for _, row in table.nlargest(MOST_TESTS, "n").iterrows()
    ]  # fmt: skip
    note = "p: the chance of as many right answers by guessing (binomial, one-sided)."
    return f"<h3>ABX: can they be told apart?</h3>{_table(['Pair', 'Right', 'Share', 'p'], rows)}<p>{note}</p>"


def _ab_part(table: pd.DataFrame) -> str:
    rows = [
        [f"{escape(row['first'])} / {escape(row['second'])}", row.first_won, row.second_won, row.ties, _p(row.p)]
        for _, row in table.iterrows()
    ]  # fmt: skip
    head = ["Pair", "First preferred", "Second preferred", "No preference", "p"]
    note = "Two-sided sign test without those who had no preference."
    return f"<h3>AB: which is preferred?</h3>{_table(head, rows)}<p>{note}</p>"


def _table(head: list, rows: list[list]) -> str:
    top = "".join(f"<th scope='col'>{name}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class='lr-wide'><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def _image(figure: Figure, alt: str) -> str:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<div class="lr-wide"><img alt="{escape(alt)}" src="data:image/png;base64,{data}"></div>'


def _mean(mean: float, ci: float, best: float) -> str:
    text = f"{mean:.1f}" if mean != best else f"<b>{mean:.1f}</b>"
    return text if math.isnan(ci) else f"{text} <small>± {ci:.1f}</small>"


def _signed(mean: float, ci: float) -> str:
    return f"{mean:+.1f}" if math.isnan(ci) else f"{mean:+.1f} <small>± {ci:.1f}</small>"


def _p(p: float) -> str:
    if math.isnan(p):
        return "–"
    text = "&lt; 0.001" if p < 0.001 else f"{p:.3f}"
    return f"<b>{text}</b>" if p < 0.05 else text


def _number(value: float, digits: int = 1) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.0f} %"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def short_names(names: Iterable[str], most: int = 26) -> list[str]:
    """Names cut to `most` characters at the end, or at the beginning if only the ends differ."""
    names = list(names)
    cut = [name if len(name) <= most else f"{name[: most - 1]}…" for name in names]
    return [f"…{name[1 - most :]}" if cut.count(one) > 1 else one for name, one in zip(names, cut, strict=True)]
