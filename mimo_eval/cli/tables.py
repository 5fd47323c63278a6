"""Scores as tables: for the terminal, and in formats that other programs read."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pandas as pd
from ir_measures import parse_measure
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mimo_eval.comparison.stored import date, labels
from mimo_eval.markdown import escaped
from mimo_eval.measures import ONE_LANGUAGE, Direction, LanguageMeasure
from mimo_eval.measures import direction as direction_of
from mimo_eval.results import Result, SettingScores

TITLES = {
    "mlir": "mlir: one corpus in every language, every version of the answer is relevant",
    "union": "union: all that the collection has, as judged",
    "multi-monolingual": "multi-monolingual: query and corpus in the same language, mean over languages",
    "cross-lingual": "cross-lingual: query in one language, corpus in another, mean over pairs",
    "bilingual": "bilingual: English and one other language in the corpus, mean over languages",
    "partition": "partition: each document in one language only",
    "away": "away: as partition, but only questions whose answer is in another language than theirs",
}


SHORT = {"MaxR(normalised=True)": "MaxR norm"}


def terminal(results: Sequence[Result], console: Console) -> None:
    """Print a table per setting, then the main measure by query language.

    :param results: one per model, of the same benchmark.
    :param console: where to print.
    """
    names = labels(results)
    for index, setting in enumerate(results[0].settings):
        rows = [result.settings[index] for result in results]
        recipe = f" [{setting.mix}]" if "(" in setting.mix else ""
        console.print(f"[italic]{setting.collection} · {TITLES.get(setting.setting, setting.setting)}{escape(recipe)}[/italic]")
        for table in _setting_tables(rows, names):
            console.print(table)
        for line in _notes(rows, names):
            console.print(f"[dim]{escape(line)}[/dim]")
        console.print()
    for result, name in zip(results, names, strict=True):
        by_language = _language_table(result, name)
        if by_language is not None:
            console.print(by_language)
    for result, name in zip(results, names, strict=True):
        console.print(f"[dim]{escape(f'{name}: {_footnote(result)}')}[/dim]", highlight=False)


def _setting_tables(rows: Sequence[SettingScores], names: Sequence[str]) -> Iterator[Table]:
    """Yield a table of effectiveness, and one of what the models do to languages."""
    measures = list(dict.fromkeys(name for row in rows for name in row.scores))
    of_language = [m for m in measures if isinstance(parse_measure(m), LanguageMeasure)]
    for chosen in ([m for m in measures if m not in of_language], of_language):
        if chosen:
            yield _table(chosen, rows, names)


def _notes(rows: Sequence[SettingScores], names: Sequence[str]) -> Iterator[str]:
    """Say what is missing and why, once for each reason."""
    left_out: dict[str, list[str]] = {}
    for row, name in zip(rows, names, strict=True):
        for measure, why in row.left_out.items():
            if why == ONE_LANGUAGE:  # what the setting is
                continue
            left_out.setdefault(why, []).append(f"{measure} of {name}")
    for why, which in left_out.items():
        yield f"left out: {', '.join(which[:4])}{f' and {len(which) - 4} more' if len(which) > 4 else ''}: {why}"
    if rows[0].unasked and rows[0].pools:
        missing = list(rows[0].unasked)
        more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
        yield f"not in the mean, no question has an answer there: {', '.join(missing[:8])}{more}"
    for row, name in zip(rows, names, strict=True):
        if row.excluded:
            counts = ", ".join(f"{measure} {count:,}" for measure, count in row.excluded.items())
            yield f"{name}: queries without a value: {counts}"


def _table(measures: Sequence[str], rows: Sequence[SettingScores], names: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("model", no_wrap=True)
    for measure in measures:
        chance = rows[0].chance.get(measure)
        header = SHORT.get(measure, measure) + (f"\n[dim]chance {chance:.3f}[/dim]" if chance is not None else "")
        table.add_column(header, justify="right", style="bold" if measure == rows[0].main else "")
    best = {m: _best(m, [v for row in rows if (v := row.scores.get(m)) is not None]) for m in measures}
    for name, row in zip(names, rows, strict=True):
        table.add_row(
            escape(name), *(_cell(value := row.scores.get(m), value is not None and value == best[m]) for m in measures)
        )
    return table


def _best(measure: str, values: Sequence[float]) -> float | None:
    """Return the value to be marked: none where there is nothing to compare, or neither more nor less is better."""
    direction = direction_of(parse_measure(measure))
    if len(values) < 2 or direction is Direction.NONE:
        return None
    return max(values) if direction is Direction.HIGHER else min(values)


def _cell(value: float | None, best: bool = False) -> str:
    if value is None:
        return "–"
    text = f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"
    return f"[green]{text}[/green]" if best else text


def _language_table(result: Result, name: str) -> Table | None:
    """Return one measure by query language, one column per setting: the main one, or the first that was asked for."""
    languages = sorted({lang for s in result.settings for lang in s.table})
    known = [name for s in result.settings for name in s.scores]
    if len(languages) < 2 or not known:
        return None
    measure = result.settings[0].main if result.settings[0].main in known else known[0]
    table = Table(title=f"{escape(name)} · {measure} by query language", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("query")
    for setting in result.settings:
        table.add_column(setting.setting.removeprefix("multi-") if "(" not in setting.mix else setting.mix, justify="right")
    for lang in languages:
        table.add_row(lang, *(_cell(_over_columns(setting, lang, measure)) for setting in result.settings))
    return table


def _over_columns(setting: SettingScores, lang: str, measure: str) -> float | None:
    values = [scores.get(measure) for scores in setting.table.get(lang, {}).values()]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _footnote(result: Result) -> str:
    """Say when, how and on what a result came about: it may be an earlier run's."""
    when = f"evaluated {date(result)} in {result.timings.get('total', 0.0):.1f} s"
    texts = f"{result.encoded['encoded']:,} texts encoded, {result.encoded['read']:,} read from the store"
    revisions = ", ".join(
        f"{c['name']}@{c['revision'][:12]}{' (machine-translated)' if c.get('machine_translated') else ''}"
        for c in result.collections
    )
    how = "".join(f", recall {a.overall.at_depth:.4f} on {a.collection}" for a in result.approximate)
    search = f"{result.search}, {result.searched}{how}" if how else result.search
    return f"{when}, {texts}, search by {search}, data {revisions}"


def geometry(results: Sequence[Result]) -> Iterator[Table | Text]:
    """Yield a table of diagnostics per collection, one column per model, with standard errors, and what is missing.

    :param results: one per model, with `geometry`.
    """
    from mimo_eval.geometry import DIAGNOSTICS

    for collection in dict.fromkeys(name for result in results for name in result.geometry):
        table = Table(title=f"{collection} · geometry of the documents' vectors", box=box.SIMPLE_HEAD, title_justify="left")
        table.add_column("diagnostic", no_wrap=True)
        table.add_column("better")
        for result in results:
            table.add_column(escape(result.model["name"]), justify="right")
        found = [result.geometry.get(collection, {}) for result in results]
        for name in DIAGNOSTICS.names():
            diagnostic = DIAGNOSTICS.get(name)
            table.add_row(name, diagnostic.direction.value, *(_diagnostic(f, name) for f in found))
            for detail in diagnostic.beside:
                cells = [_cell(f.get("diagnostics", {}).get(name, {}).get(detail)) for f in found]
                table.add_row(f"  {detail.replace('_', ' ')}", "", *cells, style="dim")
        yield table
        for result, content in zip(results, found, strict=True):
            entries = content.get("diagnostics", {})
            reasons = [entry["reason"] for entry in entries.values() if entry.get("reason")]
            for reason in [content["reason"]] if "reason" in content else reasons:
                yield Text(f"{result.model['name']}: {reason}", style="dim")


def _diagnostic(found: dict[str, Any], name: str) -> str:
    entry = found.get("diagnostics", {}).get(name, {})
    if entry.get("value") is None:
        return "–"
    error = f" ± {entry['standard_error']:.3f}" if entry.get("standard_error") is not None else ""
    return f"{entry['value']:.3f}{error}"


def frame(results: Sequence[Result]) -> pd.DataFrame:
    """Return the averages of several results as one table; results of one name are told apart by a number."""
    named = zip(results, labels(results), strict=True)
    return pd.concat([result.frame().assign(model=name) for result, name in named], ignore_index=True)


def as_json(results: Sequence[Result]) -> str:
    """Return the results as one JSON array."""
    return json.dumps([r.model_dump(mode="json") for r in results], ensure_ascii=False, indent=1, allow_nan=False)


def as_csv(results: Sequence[Result]) -> str:
    """Return the averages as CSV with full precision."""
    return frame(results).to_csv(index=False).rstrip("\n")


def as_markdown(results: Sequence[Result]) -> str:
    """Return the averages as a Markdown table."""
    table = frame(results)
    rows: list[Iterable[Any]] = [table.columns, *table.itertuples(index=False)]
    lines = [f"| {' | '.join(escaped(_plain(value)) for value in row)} |" for row in rows]
    lines.insert(1, f"|{'|'.join(_align(table[c]) for c in table.columns)}|")
    return "\n".join(lines)


def as_latex(results: Sequence[Result]) -> str:
    """Return the averages as a LaTeX tabular with booktabs rules."""
    table = frame(results)
    columns = "".join("r" if pd.api.types.is_numeric_dtype(table[c]) else "l" for c in table.columns)
    rows = [" & ".join(_latex(_plain(value)) for value in row) + r" \\" for row in table.itertuples(index=False)]
    head = " & ".join(_latex(str(c)) for c in table.columns) + r" \\"
    return "\n".join(
        [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"]
    )


def _align(column: pd.Series) -> str:
    return "--:" if pd.api.types.is_numeric_dtype(column) else ":--"


def _plain(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4f}"
    return str(value)


SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {c: f"\\{c}" for c in "&%$#_{}"}


def _latex(text: str) -> str:
    return "".join(SPECIAL.get(character, character) for character in text)


FORMATS: dict[str, Callable[[Sequence[Result]], str]] = {
    "json": as_json,
    "csv": as_csv,
    "markdown": as_markdown,
    "latex": as_latex,
}
