"""Encoding a collection before it is evaluated: all of it, or one share of it per process of a cluster."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from mimo_eval.collections import Collection
from mimo_eval.embeddings import Filled, Share
from mimo_eval.errors import ConfigError
from mimo_eval.models.loading import Model, model_name
from mimo_eval.protocols import Combination, Derived, Encoder, Role
from mimo_eval.shared import shared_store
from mimo_eval.systems import ROLES, Progress, Work, encode

AUTO = "auto"
"""The share that a launcher has given to this process. It is asked for: an array may as well run over checkpoints."""


def encode_collection(
    model: Model,
    collection: Collection,
    roles: Sequence[Role] = ROLES,
    share: Share | None = None,
    progress: Progress | None = None,
) -> Filled:
    """Encode every text of a collection that is not encoded yet, so that an evaluation encodes nothing.

    :param model: an encoder with a fingerprint, or what is made of such.
    :param collection: the texts.
    :param roles: `query`, `document` or both.
    :param share: encode the chunks of this share only.
    :param progress: told what goes on.
    :return: how many texts were encoded, and how many vectors of the share were there already.
    :raises ConfigError: if nothing of the model is kept on disk.
    :raises CacheError: if vectors cannot be written, or not be put into the store that machines share.
    """
    with TemporaryDirectory(prefix="mimo-eval-") as temporary:
        work = Work(progress or Progress(), Path(temporary), depth=1)
        for encoder in stored_encoders(model):
            for role in roles:
                texts = collection.queries if role == "query" else collection.documents
                name, total = f"encode {collection.name}, {role}", -(-len(texts) // (share or Share()).of)
                with work.progress.phase(name, total, "texts") as advance:
                    encode(encoder, role, texts, texts.by_language(), work, advance, share)
    shared_store().settle()
    return Filled(work.encoded["encoded"], work.encoded["read"])


def stored_encoders(model: Model) -> list[Encoder]:
    """Return the encoders that a model is made of, each once.

    :param model: of any kind.
    :raises ConfigError: if there is none, or one has no fingerprint: then its vectors are not kept.
    """
    found = list({model_name(encoder): encoder for encoder in _encoders(model)}.values())
    if not found:
        raise ConfigError(
            f"{model_name(model)} has no vectors that could be encoded beforehand; `run` indexes and keeps the index"
        )
    for encoder in found:
        if not hasattr(encoder, "fingerprint"):
            raise ConfigError(f"{model_name(encoder)} has no fingerprint, so its vectors are kept for one run only")
    return found


def _encoders(model: Model) -> Iterator[Encoder]:
    if isinstance(model, Combination):
        for base in model.bases:
            yield from _encoders(base)
    elif isinstance(model, Derived):
        yield model.base
    elif isinstance(model, Encoder):
        yield model


def parse_share(text: str, environ: Mapping[str, str] = os.environ) -> Share:
    """Read a share as users write it.

    :param text: `i/n`, i from 0 to n - 1; or `auto`, the share that a launcher has given to this process.
    :param environ: environment variables.
    :raises ConfigError: if it is neither, or there is no launcher.
    """
    if text.strip() == AUTO:
        if (given := share_of_environment(environ)) is None:
            raise ConfigError(
                f"--shard {AUTO}: no launcher has numbered this process: neither torchrun's RANK and WORLD_SIZE are set, "
                "nor SLURM_ARRAY_TASK_ID; give --shard i/n"
            )
        return given
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if not match or int(match[1]) >= int(match[2]):
        raise ConfigError(f"'{text}' is no share: give i/n with i from 0 to n - 1, such as 0/4, 1/4, 2/4, 3/4; or {AUTO}")
    return Share(int(match[1]), int(match[2]))


def share_of_environment(environ: Mapping[str, str] = os.environ) -> Share | None:
    """Return the share that a launcher has given to this process; None if there is no launcher.

    Read are torchrun's RANK and WORLD_SIZE, then the number, least number, step and count of a SLURM array.

    :param environ: environment variables.
    :raises ConfigError: if the numbers contradict each other.
    """
    if "RANK" in environ and "WORLD_SIZE" in environ:
        return parse_share(f"{environ['RANK']}/{environ['WORLD_SIZE']}")
    if "SLURM_ARRAY_TASK_ID" in environ:
        try:
            least, step = int(environ.get("SLURM_ARRAY_TASK_MIN", "0")), int(environ.get("SLURM_ARRAY_TASK_STEP", "1"))
            number = (int(environ["SLURM_ARRAY_TASK_ID"]) - least) // step
            return parse_share(f"{number}/{environ['SLURM_ARRAY_TASK_COUNT']}")
        except (KeyError, ValueError, ZeroDivisionError) as error:
            raise ConfigError(f"the SLURM array's variables are not whole ({error}); give --shard i/n") from error
    return None


def offered_share(environ: Mapping[str, str] = os.environ) -> Share | None:
    """Return the share that `auto` would be; None if that is everything, or there is no telling.

    :param environ: environment variables.
    """
    try:
        given = share_of_environment(environ)
    except ConfigError:
        return None
    return given if given is not None and given.of > 1 else None
