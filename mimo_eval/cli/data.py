"""`mimo-eval data`: validate, describe and mix collections."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mimo_eval.cli.options import data_option, languages_option


@click.group()
def command() -> None:
    """Validate, describe and mix collections."""


@command.command()
@click.argument("collection")
@data_option
@languages_option
@click.option("--check-languages", is_flag=True, help="Also note texts that look like another language than declared.")
def validate(collection: str, data: Path | None, languages: str | None, check_languages: bool) -> None:
    """Check COLLECTION, a folder or a name; exit with 3 if it has errors."""
    from mimo_eval import languages as codes
    from mimo_eval.collections import validate as check

    problems = check(collection, data=data, languages=codes.parse_languages(languages), check_languages=check_languages)
    for line in problems.lines():
        click.echo(line)
    errors, warnings = sum(problems.errors.values()), sum(problems.warnings.values())
    click.echo(f"{collection}: {errors:,} errors, {warnings:,} warnings")
    if errors:
        sys.exit(3)


@command.command()
@click.argument("collection")
@data_option
@languages_option
def show(collection: str, data: Path | None, languages: str | None) -> None:
    """Say what COLLECTION is: licence, languages, counts, content hash."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from mimo_eval import languages as codes
    from mimo_eval.cli.console import stdout
    from mimo_eval.collections import load

    loaded = load(collection, data=data, languages=codes.parse_languages(languages))
    counts = loaded.counts()
    console = stdout()
    console.print(f"[bold]{escape(loaded.info.title)}[/bold]", f"licence {escape(loaded.info.licence)}", sep="  ")
    console.print(escape(loaded.info.provenance))
    console.print(
        f"{counts['document_groups']:,} groups of documents, {counts['query_groups']:,} of queries, "
        f"{counts['judgements']:,} judgements, revision {loaded.revision[:12]}"
    )
    table = Table("language", "documents", "queries", box=box.SIMPLE_HEAD)
    for lang in loaded.languages:
        table.add_row(lang, f"{counts['documents'].get(lang, 0):,}", f"{counts['queries'].get(lang, 0):,}")
    console.print(table)
    for kind, number in loaded.problems.items():
        console.print(f"warning: {kind}: {number:,}")


@command.command()
@click.argument("collection")
@click.option("--mix", required=True, help="Such as parallel, 'partition(en=0.7,de=0.3,seed=1)', monolingual.")
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="New folder to write.")
@data_option
@languages_option
def mix(collection: str, mix: str, output: Path, data: Path | None, languages: str | None) -> None:
    """Write COLLECTION under a mix as BEIR folders with TREC qrels that other tools can read, and a manifest."""
    from mimo_eval import languages as codes
    from mimo_eval.collections import load
    from mimo_eval.export import export_mix
    from mimo_eval.mixing import Mix

    loaded = load(collection, data=data, languages=codes.parse_languages(languages))
    manifest = export_mix(loaded, Mix.parse(mix), output)
    click.echo(f"{output}: {len(manifest['corpora'])} corpora of {loaded.name} under {manifest['mix']}")
