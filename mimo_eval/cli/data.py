"""`mimo-eval data`: list, fetch, describe, validate, mix and remove collections."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimo_eval.cli.options import data_option, languages_option

if TYPE_CHECKING:
    from mimo_eval.collections import Remote


@click.group()
def command() -> None:
    """List, fetch, describe, validate, mix and remove collections."""


@command.command("list")
def list_() -> None:
    """List the collections: size, licence, and whether they are on this machine; nothing is asked of the network."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from mimo_eval.cli.console import stdout
    from mimo_eval.collections.downloads import readable
    from mimo_eval.collections.overview import overviews

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
        table.add_row(*map(escape, (item.name, languages, counts, size, "; ".join(licences) or "–", gated, item.state)))
    console = stdout()
    console.print(table)
    console.print(
        "hf(org/name) reads any data set in MTEB's layout, ir_datasets(id, lang=…) any of ir_datasets, folder your own"
    )


@command.command()
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


@command.command()
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


@command.command()
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
