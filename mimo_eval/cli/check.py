"""`mimo-eval check`: hold a result against a baseline."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimo_eval.errors import ConfigError, MimoEvalError

if TYPE_CHECKING:
    from mimo_eval.gate import Policy, Verdict

PATH = click.Path(path_type=Path)
SHOWN = 12
"""Tests that are shown beside those that failed."""


@click.command()
@click.argument("result", type=PATH)
@click.option("--baseline", type=PATH, required=True, help="A baseline, or any result: folder or JSON file.")
@click.option("--policy", type=PATH, help="YAML file of what is forbidden; see docs/gate.md.")
@click.option("--update", is_flag=True, help="Make RESULT the baseline, after looking at the difference; not in CI.")
@click.option("--format", "layout", type=click.Choice(["table", "json", "markdown"]), default="table")
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
    from mimo_eval.gate import load_policy

    try:
        rules = load_policy(policy)
        if update:
            _update(result, baseline, rules)
        else:
            _check(result, baseline, rules, layout, junit, json_file)
    except MimoEvalError as error:
        _annotate_error(error)
        raise


def _check(result: Path, baseline: Path, policy: Policy, layout: str, junit: Path | None, json_file: Path | None) -> None:
    from mimo_eval.files import atomic_write
    from mimo_eval.gate import check, reports

    verdict = check(result, baseline, policy)
    document = json.dumps(verdict.document(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    for path, text in ((junit, reports.junit), (json_file, lambda _: document)):
        if path is not None:
            with atomic_write(path, "w") as stream:
                stream.write(text(verdict))
    if os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as stream:
            stream.write(reports.markdown(verdict))
    if layout == "table":
        terminal(verdict)
    else:
        click.echo(document if layout == "json" else reports.markdown(verdict), nl=False)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in reports.workflow_commands(verdict):
            click.echo(line, err=True)
    sys.exit(0 if verdict.passed else 1)


def _update(result: Path, baseline: Path, policy: Policy) -> None:
    from mimo_eval.errors import DataError, MissingBaselineError
    from mimo_eval.gate import check, write_baseline

    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        raise ConfigError("a baseline is changed by hand, never in CI ($CI is set); run this on your machine and commit it")
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


def _annotate_error(error: MimoEvalError) -> None:
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from mimo_eval.gate.reports import annotation

        click.echo(annotation(str(error), "mimo-eval: not comparable"), err=True)


def terminal(verdict: Verdict) -> None:
    """Print the verdict: what failed and the largest drops.

    :param verdict: what a check found.
    """
    from rich import box
    from rich.table import Table

    from mimo_eval.cli.console import stdout

    console = stdout()
    rows = sorted(verdict.tested, key=lambda row: (not row.failed, row.p_holm, -row.drop))
    table = Table(box=box.SIMPLE_HEAD)
    for column, justify in (("where", "left"), ("measure", "left"), *((c, "right") for c in COLUMNS)):
        table.add_column(column, justify=justify, no_wrap=column != "where")  # type: ignore[arg-type]
    for row in rows[: sum(row.failed for row in rows) + SHOWN]:
        numbers = f"{row.baseline:.3f}", f"{row.result:.3f}", f"{row.drop:+.3f}", f"{row.tolerance:g}", f"{row.p_holm:.2g}"
        table.add_row(_plain(row.place), row.measure, *numbers, style="bold red" if row.failed else None)
    console.print(table)
    for kept in verdict.kept:
        console.print(f"{kept.what}: {kept.value:.4g} ({kept.limit}){' FAILED' * kept.failed}", markup=False, highlight=False)
    for note in verdict.notes:
        console.print(f"note: {note}", style="yellow", markup=False, highlight=False)
    failed = f"{len(verdict.failures)} of {len(verdict.tested) + len(verdict.kept)} failed"
    style, word = ("green", "passed") if verdict.passed else ("bold red", f"failed: {failed}")
    console.print(f"{verdict.model} on {verdict.benchmark}: {word}", style=style, markup=False, highlight=False)


COLUMNS = ("baseline", "result", "worse by", "tolerance", "p (Holm)")


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
