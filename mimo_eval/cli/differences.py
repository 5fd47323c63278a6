"""A comparison as it is shown: JSON, CSV, Markdown, and tables in the terminal with what they cannot show."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from mimo_eval.markdown import escaped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mimo_eval.comparison import Difference, Report

WIDTH = 100
"""Columns of the output; in a narrower terminal lines are broken rather than numbers cut off."""
SIDE_BY_SIDE = 6
"""Most settings beside each other in a table by language."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NAME = 18
"""Columns that a name of a setting or corpus is given before it is broken."""
TEXT = 150
"""Most characters of a query that are printed."""


def as_json(report: Report) -> str:
    """Return everything as JSON; what is not finite is null."""
    return json.dumps(report.document(), ensure_ascii=False, indent=1, allow_nan=False)


def as_csv(report: Report) -> str:
    """Return the differences as CSV with full precision."""
    return report.frame().to_csv(index=False).rstrip("\n")


def as_markdown(report: Report) -> str:
    """Return the differences as a Markdown table."""
    several = len({(row.first, row.second) for row in report.differences}) > 1
    head = ["pair"] * several + ["setting", "of", "measure", "first", "second", "difference", _interval_name(report)]
    head += ["p", "p (t-test)", "p (Holm)", "", "d", "better", "win/tie/loss"]
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join([":--"] * (3 + several) + ["--:"] * 11) + "|"]
    for row in report.differences:
        pair = [f"{row.second} − {row.first}"] * several
        means = [_number(row.first_mean), _number(row.second_mean), _signed(row.difference), _interval(row)]
        tests = [_p(row.p), _p(row.p_t), _p(row.p_holm), row.stars, _effect(row.effect), row.better or ""]
        cells = [*pair, _setting(report, row), row.name or "all", row.measure, *means, *tests]
        lines.append("| " + " | ".join(map(escaped, [*cells, f"{row.win}/{row.tie}/{row.loss}"])) + " |")
    return "\n".join(lines)


FORMATS: dict[str, Callable[[Report], str]] = {"json": as_json, "csv": as_csv, "markdown": as_markdown}


def terminal(report: Report, console: Console) -> None:
    """Print the report.

    :param report: what was found.
    :param console: where to print.
    """
    letter = {result["label"]: _letter(i) for i, result in enumerate(report.results)}
    for number, result in enumerate(report.results):
        console.print(f"{letter[result['label']]}  ", end="", style="bold")
        console.print(f"{result['label']}{'  (baseline)' * (not number)}", markup=False, highlight=False)
        console.print(f"   {result['path']}", style="dim", markup=False, highlight=False, soft_wrap=True)
    for note in report.notes:
        console.print(f"note: {note}", style="yellow", markup=False, highlight=False)
    for first, second in dict.fromkeys((row.first, row.second) for row in report.differences):
        rows = [row for row in report.differences if (row.first, row.second) == (first, second)]
        for measure in dict.fromkeys(row.measure for row in rows):
            for table in _tables(report, [row for row in rows if row.measure == measure], letter):
                _print_table(table, console)
        _print_moved(report, (first, second), letter, console)
    _print_footer(report, console)


def _letter(number: int) -> str:
    return LETTERS[number] if number < len(LETTERS) else f"#{number + 1}"


def _tables(report: Report, rows: Sequence[Difference], letter: dict[str, str]) -> Iterator[Table]:
    """Yield the tables of one pair and one measure."""
    names = letter[rows[0].first], letter[rows[0].second]
    which = {"none": "neither more nor less is better"}.get(rows[0].direction, f"{rows[0].direction} is better")
    title = f"{rows[0].measure} ({which}), {names[1]} − {names[0]}"
    settings = [row for row in rows if row.scope == "setting"]
    yield _rows_table(report, settings, letter, title, "setting")
    languages = [row for row in rows if row.scope == "language"]
    if len(settings) == 1 and languages:
        yield _rows_table(report, languages, letter, f"{title}, by query language", "query")
    elif languages:
        for start in range(0, len(settings), SIDE_BY_SIDE):
            yield _language_table(report, settings[start : start + SIDE_BY_SIDE], languages, f"{title}, by query language")
    for setting in settings:
        pools = [r for r in rows if r.scope == "corpus" and (r.collection, r.mix) == (setting.collection, setting.mix)]
        if pools:
            yield _rows_table(report, pools, letter, f"{title}, corpora of {_setting(report, setting)}", "corpus")


def _rows_table(report: Report, rows: Sequence[Difference], letter: dict[str, str], title: str, first: str) -> Table:
    from rich.markup import escape

    names = letter[rows[0].first], letter[rows[0].second]
    least, most = min(row.groups for row in rows), max(row.groups for row in rows)
    table = _table(f"{title}; {f'{least:,} to ' if least < most else ''}{most:,} questions")
    label = max(len(row.name or _setting(report, row)) for row in rows)
    table.add_column(first, overflow="fold", min_width=min(label, NAME))
    difference = f"{names[1]} − {names[0]}    "
    wins = "win/tie/\nloss, %" if rows[0].direction != "none" else "up/same/\ndown, %"
    better = ["better"] if rows[0].direction != "none" else []
    for name in (*names, difference, _interval_name(report), "p\n(Holm)", "d", *better, wins):
        table.add_column(name, justify="center" if name == "better" else "right", no_wrap=True)
    for row in rows:
        colour = _colour(row)
        table.add_row(
            escape(row.name or _setting(report, row)),
            _number(row.first_mean),
            _number(row.second_mean),
            f"[{colour}]{_signed(row.difference)} {row.stars:<3}[/]",
            _interval(row),
            _p(row.p_holm),
            _effect(row.effect),
            *([f"[{colour}]{letter[row.better] if row.better else '–'}[/]"] if better else []),
            "/".join(f"{100 * n / row.queries:.0f}" for n in (row.win, row.tie, row.loss)),
        )
    return table


def _language_table(report: Report, settings: Sequence[Difference], rows: Sequence[Difference], title: str) -> Table:
    """Return differences with stars: a row per query language, a column per setting."""
    table = _table(title)
    table.add_column("query", no_wrap=True)
    cells = {(row.collection, row.mix, row.name): row for row in rows}
    for setting in settings:
        table.add_column(f"{_setting(report, setting)}    ", justify="right", overflow="fold")
    for lang in sorted({row.name for row in rows}):
        found = [cells.get((s.collection, s.mix, lang)) for s in settings]
        table.add_row(lang, *("–    " if row is None else _starred(row) for row in found))
    return table


def _table(title: str) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    return Table(title=escape(title), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)


def _print_table(table: Table, console: Console) -> None:
    """Print a table below its title, which may be wider than the table."""
    title, table.title = table.title, None
    console.print()
    console.print(f"[bold]{title}[/bold]", highlight=False)
    console.print(table)


def _starred(row: Difference) -> str:
    return f"[{_colour(row)}]{_signed(row.difference)} {row.stars:<3}[/]"


def _print_moved(report: Report, pair: tuple[str, str], letter: dict[str, str], console: Console) -> None:
    """Print the queries that moved most in the first setting that has any; JSON has all settings."""
    from rich.markup import escape

    moved = [m for m in report.moved if (m.first, m.second) == pair]
    if not moved:
        return
    here = [m for m in moved if (m.collection, m.mix) == (moved[0].collection, moved[0].mix)]
    names = letter[pair[0]], letter[pair[1]]
    for up in (True, False):
        rows = [m for m in here if (m.better if m.better is not None else m.difference > 0) == up]
        if not rows:
            continue
        verb = (
            ("gains most over" if up else "loses most to")
            if rows[0].better is not None
            else f"is most {'above' if up else 'below'}"
        )
        table = _table(f"Queries on which {names[1]} {verb} {names[0]}: {rows[0].measure}, {rows[0].mix}")
        for name in (names[0], names[1], f"{names[1]} − {names[0]}"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("query", ratio=1, overflow="fold")
        for m in rows:
            text = "" if m.text is None else "\n" + escape(m.text if len(m.text) <= TEXT else m.text[: TEXT - 1] + "…")
            scores = _number(m.first_score), _number(m.second_score), _signed(m.difference)
            table.add_row(*scores, f"[dim]{escape(m.query_id)}[/dim]{text}")
        _print_table(table, console)
    if len(moved) > len(here):
        console.print("The queries of the other settings: --format json", style="dim")


def _print_footer(report: Report, console: Console) -> None:
    lines = [
        f"* p < 0.05, ** p < 0.01, *** p < 0.001, after Holm over the {report.family} comparisons of this report; "
        f"{report.permutations:,} permutations, seed {report.seed}. Questions (groups) are exchanged and drawn as a whole, "
        "with all their translations. Intervals are not adjusted.",
        *report.cautions,
    ]
    left_out: dict[tuple[str, str], Difference] = {}
    for row in report.differences:
        key = row.measure, _setting(report, row)
        if row.scope == "setting" and row.excluded > (left_out[key].excluded if key in left_out else 0):
            left_out[key] = row
    lines += [
        f"{measure}, {setting}: {row.excluded:,} of {row.excluded + row.queries:,} queries are left out, "
        f"{row.first} or {row.second} has no value for them"
        for (measure, setting), row in left_out.items()
    ]
    data = ", ".join(f"{name}@{revision[:12]}" for name, revision in report.collections.items())
    lines.append(f"benchmark {report.benchmark}, depth {report.depth}, data {data}")
    console.print()
    for line in lines:
        console.print(line, style="dim", markup=False, highlight=False)


def _setting(report: Report, row: Difference) -> str:
    """Name a setting as briefly as is clear."""
    name = row.mix if "(" in row.mix else row.setting
    return f"{row.collection} {name}" if len(report.collections) > 1 else name


def _interval_name(report: Report) -> str:
    return f"{100 * report.level:g} % interval"


def _colour(row: Difference) -> str:
    if not row.better:
        return "default"
    return "green" if row.better == row.second else "red"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"


def _signed(value: float) -> str:
    from mimo_eval.statistics import TIE

    if abs(value) < TIE:
        return "0"
    text = f"{value:+.4f}" if abs(value) < 100 else f"{value:+,.0f}"
    return text.replace("-", "−")


def _interval(row: Difference) -> str:
    return "–" if math.isnan(row.low) else f"{_signed(row.low)} {_signed(row.high)}"


def _effect(value: float) -> str:
    return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞") if math.isinf(value) else f"{value:.2f}".replace("-", "−")


def _p(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}" if value >= 0.00005 else "<0.0001"
