"""`mimo-eval encode`: encode a collection before it is evaluated, all of it or a share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mimo_eval.cli.options import data_option, languages_option, load_models, model_options


@click.command()
@click.argument("model")
@click.option("-c", "--collection", required=True, help="Collection: a name, with options if need be, or a folder.")
@data_option
@languages_option
@click.option(
    "--role",
    type=click.Choice(["both", "query", "document"]),
    default="both",
    show_default=True,
    help="Encode queries, documents, or both.",
)
@click.option("--shard", metavar="I/N|auto", help="Only this share, 0/N to N-1/N; 'auto': as torchrun or a SLURM array say.")
@model_options
def command(
    model: str, collection: str, data: Path | None, languages: str | None, role: str, shard: str | None, **options: Any
) -> None:
    """Encode a collection by MODEL; `mimo-eval run` then finds the vectors.

    N processes with the shares 0/N to N-1/N encode everything, each text once, on one machine or on several, with one cache or
    with a store that $MIMO_EVAL_STORE names, such as s3://bucket/prefix.
    """
    from mimo_eval import encoding
    from mimo_eval import languages as codes
    from mimo_eval.cli.progress import Bars
    from mimo_eval.collections import load
    from mimo_eval.models.loading import model_name
    from mimo_eval.systems import ROLES

    share = encoding.parse_share(shard) if shard else None
    if share is None and (offered := encoding.offered_share()):
        only = f"only the share {offered.number}/{offered.of} that its launcher gives to this process"
        click.echo(f"every text is encoded here; with --shard auto {only}", err=True)
    loaded = load_models((model,), **options)
    with Bars(collection).phase("read", 1, "collections"):
        texts = load(collection, data=data, languages=codes.parse_languages(languages))
    roles = ROLES if role == "both" else tuple(name for name in ROLES if name == role)
    for one in loaded:
        name = model_name(one)
        filled = encoding.encode_collection(one, texts, roles, share, Bars(name))
        part = f", share {share.number}/{share.of}" if share else ""
        click.echo(f"{name}: {texts.name}{part}: {filled.encoded:,} texts encoded, {filled.read:,} there already", err=True)
