"""`mimo-eval check`: hold a result against a baseline."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimo_eval.cli.options import format_option
from mimo_eval.errors import ConfigError, MimoEvalError

if TYPE_CHECKING:
    from mimo_eval.gate import Policy, Verdict

PATH = click.Path(path_type=Path)
SHOWN = 12
"""Tests that are shown beside those that failed."""


@click.command()
@click.argument("result", type=PATH)
@click.option("--baseline", type=PATH, required=True, help="Baseline, or any result: its folder or JSON file.")
@click.option("--policy", type=PATH, help="YAML file of what is forbidden; see docs/gate.md.")
@click.option("--update", is_flag=True, help="Make RESULT the baseline, after looking at the difference; not in CI.")
@format_option("table", "json", "markdown")
@click.option("--junit", type=PATH, help="Also write JUnit XML to this file.")
@click.option("--json", "json_file", type=PATH, help="Also write the verdict as JSON to this file.")
def command(
    result: Path, baseline: Path, policy: Path | None, update: bool, layout: str, junit: Path | None, json_file: Path | None
) -> None:
    """Fail if RESULT is worse than a baseline: by more than a tolerance, and significantly.

    Each measure is tested in every setting and query language, by exchanging whole questions (translations together) between
    the two, one-sided, adjusted for all tests of the check (Holm).

    Exit codes: 0 passed, 1 regression, 2 wrong usage, 3 not comparable or bad data, 4 no baseline. Under GitHub Actions a
    summary and annotations are written too.
    """
    from mimo_eval.gate import check, load_policy, reports

    try:
        rules = load_policy(policy)
        if update:
            _update(result, baseline, rules)
            return
        verdict = check(result, baseline, rules)
    except MimoEvalError as error:
        message = str(error)
        if not update:  # a report of an earlier check must not stand for this one
            _write(reports.junit_error(message), reports.json_error(message), reports.markdown_error(message), junit, json_file)
        _annotate([reports.annotation(message, "mimo-eval: not checked")])
        raise
    document, summary = reports.json_verdict(verdict), reports.markdown(verdict)
    _write(reports.junit(verdict), document, summary, junit, json_file)
    if layout == "table":
        terminal(verdict)
    else:
        click.echo(document if layout == "json" else summary, nl=False)
    _annotate(reports.workflow_commands(verdict))
    sys.exit(0 if verdict.passed else 1)


def _write(xml: str, document: str, summary: str, junit: Path | None, json_file: Path | None) -> None:
    """Write the files that were asked for, and GitHub's summary where there is one."""
    from mimo_eval.files import atomic_write

    for path, text in ((junit, xml), (json_file, document)):
        if path is not None:
            with atomic_write(path, "w") as stream:
                stream.write(text)
    if step := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(step).open("a", encoding="utf-8") as stream:
                stream.write(summary)
        except OSError as error:  # a traceback's exit code would say that the model got worse
            raise ConfigError(f"$GITHUB_STEP_SUMMARY cannot be written: {error}") from error


def _annotate(lines: Iterable[str]) -> None:
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in lines:
            click.echo(line, err=True)


def _update(result: Path, baseline: Path, policy: Policy) -> None:
    from mimo_eval.environment import in_ci
    from mimo_eval.errors import DataError, MissingBaselineError
    from mimo_eval.gate import check, write_baseline
    from mimo_eval.gate.baseline import find_baseline

    if in_ci():
        raise ConfigError("a baseline is changed by hand, never in CI ($CI is set); run this on your machine and commit it")
    try:
        folder = find_baseline(baseline).parent
    except MissingBaselineError:
        folder = baseline.parent if baseline.suffix == ".json" else baseline
    try:
        terminal(check(result, baseline, policy))
    except MissingBaselineError:
        click.echo("there was no baseline before", err=True)
    except DataError as error:
        click.echo(f"cannot be compared with the baseline before: {error}", err=True)
    written = write_baseline(result, folder, policy)
    size = sum(path.stat().st_size for path in written.parent.iterdir())
    click.echo(f"baseline written to {written.parent} ({size / 1000:,.0f} kB); look at the diff of summary.tsv and commit it")


def terminal(verdict: Verdict) -> None:
    """Print the verdict: what failed and the largest drops.

    :param verdict: what a check found.
    """
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from mimo_eval.cli.console import stdout

    console = stdout()
    rows = sorted(verdict.tested, key=lambda row: (not row.failed, row.p_holm, -row.drop))
    table = Table(box=box.SIMPLE_HEAD)
    for column, justify in (("where", "left"), ("measure", "left"), *((c, "right") for c in COLUMNS)):
        table.add_column(column, justify=justify, no_wrap=column != "where")  # type: ignore[arg-type]
    shown = min(sum(row.failed for row in rows) + SHOWN, len(rows))
    for row in rows[:shown]:
        numbers = f"{row.baseline:.3f}", f"{row.result:.3f}", f"{row.drop:+.3f}", f"{row.tolerance:g}", f"{row.p_holm:.2g}"
        table.add_row(escape(_line(row.place)), row.measure, *numbers, style="bold red" if row.failed else None)
    if rows:
        console.print(table)
    for kept in verdict.kept:
        style = "bold red" if kept.failed else None
        value = f"{kept.what}: {kept.value:.4g} ({kept.limit}){' FAILED' * kept.failed}"
        console.print(_line(value), style=style, markup=False)
    for note in verdict.notes:
        console.print(_line(f"note: {note}"), style="yellow", markup=False)
    count = len(verdict.tested) + len(verdict.kept)
    style, word = ("green", "passed") if verdict.passed else ("bold red", f"failed: {len(verdict.failures)} of {count} failed")
    hidden = f"; {len(rows) - shown} of {len(rows)} tests not shown" if shown < len(rows) else ""
    console.print(_line(f"{verdict.model} on {verdict.benchmark}: {word}{hidden}"), style=style, markup=False)


COLUMNS = ("baseline", "result", "worse by", "tolerance", "p (Holm)")


def _line(text: str) -> str:
    """Return foreign text as one line that sends nothing to the terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
