"""`mimo-eval cache`: what lies in the cache, whether it is whole, and what can go."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from typing import Any

import click

from mimo_eval.cli.options import format_option


@click.group()
def command() -> None:
    """List, verify and clear what is kept between runs."""


@command.command()
def path() -> None:
    """Print the cache folder, which $MIMO_EVAL_CACHE can name."""
    from mimo_eval.files import cache_dir

    click.echo(cache_dir())


def of_a_folder(function: Callable[..., None]) -> Callable[..., None]:
    """Let a command look at the cache folder only if it is one, and say so where nothing was kept yet."""

    @wraps(function)
    def with_folder(**options: Any) -> None:
        from mimo_eval.cache import cache_folder
        from mimo_eval.files import cache_dir

        if cache_folder() is None and options.get("layout") != "json":
            click.echo(f"{cache_dir()}: nothing was kept yet; another cache folder can be named by MIMO_EVAL_CACHE")
        else:
            function(**options)

    return with_folder


@command.command("ls", short_help="List what is kept: what, of what, size, last use.")
@click.option("--paths", is_flag=True, help="Also print where each thing lies; json always does.")
@format_option("table", "json")
@of_a_folder
def list_(paths: bool, layout: str) -> None:
    """List what lies there: what, of which model or collection, how large, when last used."""
    import time

    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from mimo_eval import cache
    from mimo_eval.cli.console import print_json, stdout
    from mimo_eval.collections.downloads import readable
    from mimo_eval.files import cache_dir

    if layout == "json":
        print_json([{**asdict(entry), "path": str(entry.path)} for entry in cache.entries()])
        return
    table = Table("what", "of", "detail", box=box.SIMPLE_HEAD)
    table.add_column("size", justify="right")
    table.add_column("last used", justify="right")
    found, now = cache.entries(), time.time()
    for entry in found:
        where = f"\n{entry.path}" if paths else ""
        table.add_row(entry.kind, escape(entry.name), escape(entry.detail + where), readable(entry.size), ago(now - entry.used))
    console = stdout()
    console.print(table)
    console.print(f"{escape(str(cache_dir()))}: {readable(sum(entry.size for entry in found))}")
    for line in outdated_lines():
        click.echo(line)


def outdated_lines() -> list[str]:
    """Return what is to be said of what this version does not read: nothing where there is nothing."""
    from mimo_eval.cache.entries import FORMATS, outdated
    from mimo_eval.files import cache_dir

    counts = {kind: sum(map(outdated, (cache_dir() / kind).glob("*"))) for kind in FORMATS}
    old = ", ".join(f"{kind} ({count})" for kind, count in counts.items() if count)
    line = f"{old} in the cache: of another format, not read, made anew; to remove: mimo-eval cache gc --outdated"
    return [line] if old else []


def ago(seconds: float) -> str:
    """Return how long ago something was, such as `3 h ago`."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "now"


@command.command(short_help="Compare everything with its checksum.")
@click.option("--repair", is_flag=True, help="Remove what is damaged, and nothing else; the next run makes it again.")
@format_option("table", "json")
@of_a_folder
def verify(repair: bool, layout: str) -> None:
    """Compare everything with its checksum; the exit code is 3 if something is damaged and was not removed."""
    from mimo_eval import cache
    from mimo_eval.cli.console import print_json

    good = unchecked = 0
    damages = []
    for checked in cache.verify():
        if checked.damage is not None:
            damages.append(checked.damage)
            if layout == "table":  # at once: there may be hours to go
                click.echo(f"damaged: {checked.damage.path}: {checked.damage.what}")
        elif checked.unchecked:
            unchecked += 1
        else:
            good += 1
    tried = cache.repair(damages) if repair else {}
    for where, why in tried.items():
        if why is not None or layout == "table":
            click.echo(f"removed: {where}" if why is None else f"not removed, {why}: {where}", err=why is not None)
    if layout == "json":
        found = [{"path": str(d.path), "what": d.what, "removed": tried.get(d.remove, "") is None} for d in damages]
        print_json({"good": good, "unchecked": unchecked, "damaged": found})
    else:
        without = f", {unchecked:,} without a checksum" if unchecked else ""
        click.echo(f"{good:,} good{without}, {len(damages):,} damaged")
    if damages and not repair:
        click.echo("`mimo-eval cache verify --repair` removes what is damaged; the next run makes it again", err=True)
    if any(tried.get(damage.remove, "not tried") for damage in damages):
        sys.exit(3)


@command.command()
@click.option("--older-than", metavar="AGE", help="Remove what was not used for so long, such as 30d.")
@click.option("--max-size", metavar="SIZE", help="Remove what was used longest ago until the rest fits, such as 50GB.")
@click.option("--outdated", is_flag=True, help="Remove what has a format that this version does not read.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@of_a_folder
def gc(older_than: str | None, max_size: str | None, outdated: bool, dry_run: bool) -> None:
    """Remove what is no longer used; what a process uses stays."""
    from mimo_eval import cache
    from mimo_eval.collections.downloads import readable

    age = cache.parse_age(older_than) if older_than else None
    size = cache.parse_size(max_size) if max_size else None
    removed, left = cache.collect(age, size, dry_run, outdated=outdated)
    for entry in removed:
        click.echo(
            f"{'would remove' if dry_run else 'removed'} {entry.kind}: {entry.name}, {entry.detail} ({readable(entry.size)})"
        )
    for entry, why in left:
        click.echo(f"{why}, kept: {entry.kind}: {entry.name}, {entry.detail}", err=True)
    click.echo(f"{readable(sum(entry.size for entry in removed))} {'would become' if dry_run else 'became'} free")
    if any(why != cache.IN_USE for _, why in left):
        sys.exit(3)
