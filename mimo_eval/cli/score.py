"""`mimo-eval score`: anybody's TREC run, with effectiveness and language measures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimo_eval.cli.options import data_option, format_option

if TYPE_CHECKING:
    from mimo_eval.integrations.run_scores import ScoredRun

FILE = click.Path(path_type=Path)


@click.command()
@click.argument("run", type=FILE)
@click.option("--qrels", required=True, type=FILE, help="File of judgements in TREC's or BEIR's layout.")
@click.option(
    "--measures", default="nDCG@10 R@100 RR@10", show_default=True, help="Measures as ir-measures writes them, and ours."
)
@click.option(
    "--languages",
    metavar="SOURCE",
    help="Where documents' languages come from: a table (document id, language), a collection, 'ids' for ids that read "
    "{lang}:{id}, or 'none'. If not given, ids that all read so are taken.",
)
@click.option(
    "--query-languages",
    type=FILE,
    metavar="FILE",
    help="Table of the queries' languages; --languages is then the whole corpus.",
)
@click.option("--queries", "per_query", type=FILE, metavar="FILE", help="Write the scores of each query to this CSV file.")
@format_option("table", "json", "csv")
@data_option
def command(
    run: Path,
    qrels: Path,
    measures: str,
    languages: str | None,
    query_languages: Path | None,
    per_query: Path | None,
    layout: str,
    data: Path | None,
) -> None:
    """Score RUN, a TREC run file (plain, .gz or .zst), and say what cannot be computed from it."""
    from mimo_eval.files import atomic_write
    from mimo_eval.integrations.trec import score_files

    scored = score_files(run, qrels, measures, languages=languages, query_languages=query_languages, data=data)
    if per_query is not None:
        with atomic_write(per_query, "w") as stream:
            scored.queries.to_csv(stream, index=False)
    click.echo(FORMATS[layout](scored))
    for line in _said(scored):
        click.echo(line, err=True)


def _said(scored: ScoredRun) -> list[str]:
    lines = [f"left out: {name}: {why}" for name, why in scored.left_out.items()]
    excluded = [f"{name}: {n:,} of {len(scored.queries):,} queries have no value" for name, n in scored.excluded.items()]
    return [*lines, *(f"note: {text}" for text in (*excluded, *scored.notes))]


def as_table(scored: ScoredRun) -> str:
    """Return the means as a table in text: a row per measure."""
    table = scored.frame().set_index("of").T
    lines = [["measure", *table.columns]]
    lines += [
        [name, *("–" if value is None or value != value else f"{value:.4f}" for value in row)]
        for name, *row in table.itertuples()
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def as_json(scored: ScoredRun) -> str:
    """Return everything but the scores of each query as JSON; what has no value is null."""
    import json

    content = {
        "queries": len(scored.queries),
        "means": scored.means,
        "mean_of_languages": scored.macro,
        "languages": scored.languages,
        "excluded": scored.excluded,
        "left_out": scored.left_out,
        "notes": scored.notes,
    }
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)


def as_csv(scored: ScoredRun) -> str:
    """Return the means as CSV with full precision."""
    return scored.frame().to_csv(index=False).rstrip("\n")


FORMATS = {"table": as_table, "json": as_json, "csv": as_csv}
