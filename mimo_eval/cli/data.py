"""`mimo-eval data`: list, fetch, describe, validate, mix and remove collections."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimo_eval.cli.options import data_option, format_option, languages_option

if TYPE_CHECKING:
    from mimo_eval.collections import Remote
    from mimo_eval.collections.overview import Overview

STATES = {"not": "not downloaded", "partly": "partly downloaded", "--data": "needs --data"}
"""States of an overview whose words say too little where they stand alone."""


@click.group()
def command() -> None:
    """List, fetch, describe, validate, mix and remove collections."""


@command.command("list", short_help="List the collections, and which are on this machine.")
@format_option("table", "json")
def list_(layout: str) -> None:
    """List the collections: size, licence, and whether they are on this machine; nothing is asked of the network."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from mimo_eval.cli.console import print_json, stdout
    from mimo_eval.collections.downloads import readable
    from mimo_eval.collections.overview import overviews

    if layout == "json":
        print_json([record(item) for item in overviews()])
        return
    table = Table("name", "languages", box=box.SIMPLE_HEAD)
    table.add_column("documents", justify="right")
    table.add_column("download", justify="right")
    for title in ("licence", "gated", "state"):
        table.add_column(title)
    for item in overviews():
        licences = dict.fromkeys(licence for _, licence, _ in item.repos)
        gated = "yes" if any(gated for *_, gated in item.repos) else ""
        size = readable(item.size) if item.repos else "–"
        languages = str(len(item.languages) or "?")
        counts = number(sum(item.documents.values()) or None)
        table.add_row(*map(escape, (item.name, languages, counts, size, "; ".join(licences) or "–", gated, state(item))))
    console = stdout()
    console.print(table)
    console.print(
        "hf(org/name) reads any data set in MTEB's layout, ir_datasets(id, lang=…) any of ir_datasets, folder your own"
    )


def state(item: Overview) -> str:
    """Return where a collection is, in words that stand alone."""
    return STATES.get(item.state, item.state)


def record(item: Overview) -> dict[str, Any]:
    """Return what is known of a collection as JSON can hold it.

    :param item: the collection.
    :return: sizes in bytes; what is unknown is None or empty.
    """
    return {
        "name": item.name,
        "state": state(item),
        "languages": item.languages,
        "documents": dict(item.documents),
        "queries": dict(item.queries),
        "counted": item.counted,
        "size": item.size,
        "missing": item.missing,
        "repositories": [{"page": page, "licence": licence, "gated": gated} for page, licence, gated in item.repos],
    }


@command.command(short_help="Download a collection, or the rest of it.")
@click.argument("collection")
@languages_option
@click.option("--update", is_flag=True, help="Ask again what a branch stands for, instead of what was recorded.")
@click.option("--verify", is_flag=True, help="Hash every file that is here again.")
@click.option("--dry-run", is_flag=True, help="Only say what would be downloaded.")
def fetch(collection: str, languages: str | None, update: bool, verify: bool, dry_run: bool) -> None:
    """Download COLLECTION, after saying sizes and licences; a download that broke off goes on."""
    from mimo_eval.collections import downloads

    plan = downloads.plan(_remote(collection, languages), update=update, thorough=verify)
    for line in downloads.lines(collection, plan):
        click.echo(line)
    if not dry_run:
        downloads.fetch(plan, progress=lambda path: click.echo(f"fetching {path}", err=True), thorough=verify)
        click.echo(f"{collection}: here, in {', '.join(str(part.record.folder) for part in plan)}")


@command.command(short_help="Print where a collection lies, or would lie.")
@click.argument("collection")
@languages_option
def where(collection: str, languages: str | None) -> None:
    """Print the folders and commits in which COLLECTION lies, or would lie, and how much of it is here."""
    from mimo_eval.collections import downloads

    remote = _remote(collection, languages)
    for part in downloads.known(remote) or []:
        good = sum(status == "good" for status in part.status.values())
        click.echo(f"{part.record.folder}  {part.repo.name}@{part.commit}  {good} of {len(part.paths)} files")
    if downloads.known(remote) is None:
        for repo in remote.repos:
            click.echo(f"{downloads.root() / repo.folder}  {repo.name}@{repo.revision}  not fetched")


@command.command(short_help="Remove the downloaded files of a collection.")
@click.argument("collection")
@languages_option
def remove(collection: str, languages: str | None) -> None:
    """Remove the downloaded files of COLLECTION, but not what others share; `cache gc` removes converted texts and vectors."""
    from mimo_eval.collections import downloads

    freed = downloads.remove(_remote(collection, languages))
    click.echo(f"{collection}: {downloads.readable(freed)} freed")


def _remote(collection: str, languages: str | None) -> Remote:
    from mimo_eval import languages as codes
    from mimo_eval.collections import remote_of
    from mimo_eval.errors import ConfigError

    remote = remote_of(collection, codes.parse_languages(languages))
    if remote is None or not remote.repos:
        raise ConfigError(f"'{collection}' is not downloaded: it is in the package, or a folder of yours (--data)")
    return remote


def number(count: int | None) -> str:
    """Return a count with separators; a question mark for one that is unknown."""
    return "?" if count is None else f"{count:,}"


@command.command(short_help="Check a collection; exit with 3 if it has errors.")
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


@command.command(short_help="Say what a collection is: licence, languages, counts.")
@click.argument("collection")
@data_option
@languages_option
@format_option("table", "json")
def show(collection: str, data: Path | None, languages: str | None, layout: str) -> None:
    """Say what COLLECTION is: licence, languages, counts, content hash."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from mimo_eval import languages as codes
    from mimo_eval.cli.console import print_json, stdout
    from mimo_eval.collections import load

    loaded = load(collection, data=data, languages=codes.parse_languages(languages))
    if layout == "json":
        print_json(loaded.describe())
        return
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


@command.command(short_help="Write a mixed corpus for other tools, as BEIR and TREC.")
@click.argument("collection")
@click.option("--mix", required=True, help="Mix to write, such as parallel, 'partition(en=0.7,de=0.3,seed=1)', monolingual.")
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="New folder, which is written."
)
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
