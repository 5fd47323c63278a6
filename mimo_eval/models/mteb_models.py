"""Models of MTEB's: whatever `mteb.get_model` gives, or an object with one of MTEB's protocols, as `mteb:NAME`.

Prompts are chosen by the model as in MTEB, by task: the prompt for the task's name, else for its type, else for queries and
documents, else the task's own instruction. Here the task is a retrieval task without a name that any model knows, unless
`mteb:NAME(task=MIRACLRetrieval)` says which one to take.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from mimo_eval.asking import asking
from mimo_eval.errors import ConfigError, ModelError, require
from mimo_eval.models.mteb_adapters import SPLIT, Described, MtebEncoder, MtebRetriever, PinnedEncoder, PinnedRetriever
from mimo_eval.models.sources import ModelFiles, first_line
from mimo_eval.models.weights import check_weights

GENERIC = "MimoEvalRetrieval"
"""Name of the task whose prompts a model is asked for."""


def load(
    name: str,
    *,
    task: str | None = None,
    revision: str | None = None,
    device: str | None = None,
    batch_size: int = 32,
    embed_dim: int | None = None,
    trust_remote_code: bool = False,
    allow_pickled_weights: bool = False,
) -> MtebEncoder | MtebRetriever:
    """Load a model through mteb.

    :param name: a name that `mteb.get_model` knows, a hub id, or `module:attribute`.
    :param task: the task of MTEB's whose prompts are used; a retrieval task in general if None.
    :param revision: its revision, if not the one that mteb names.
    :param device: such as `cpu` or `cuda:0`; chosen by torch if None.
    :param batch_size: texts per batch.
    :param embed_dim: width of the vectors, for models that have several.
    :param trust_remote_code: allow models whose definition in mteb runs Python code from their repository.
    :param allow_pickled_weights: allow models whose repository holds no safetensors.
    :return: an encoder or a retriever.
    :raises ConfigError: if there is no such model, or it is of a kind that cannot rank a corpus.
    :raises ModelError: if it cannot be loaded.
    """
    mteb = require("mteb", "mteb")
    if ":" in name:
        return _from_module(name, task, batch_size)
    try:
        meta = mteb.get_model_meta(name, revision, fetch_from_hf=True)
    except (KeyError, ValueError) as error:  # the message has near names
        raise ConfigError(f"mteb:{name}: {error.args[0] if error.args else error}") from error
    except Exception as error:  # of the hub
        raise ConfigError(f"mteb:{name}: unknown to mteb, and not found on the hub: {first_line(error)}") from error
    if (meta.loader_kwargs or {}).get("trust_remote_code") and not trust_remote_code:
        raise ConfigError(f"mteb:{name} runs Python code that comes with the model; allow it with --trust-remote-code")
    if meta.open_weights:
        check_weights(ModelFiles(meta.name, meta.revision), f"mteb:{name}", allowed=allow_pickled_weights, wanted=False)
    widths = {} if embed_dim is None else {"embed_dim": embed_dim}
    try:
        model = meta.load_model(device=device, **widths)
    except Exception as error:
        raise ModelError(f"mteb:{name} cannot be loaded: {first_line(error)}") from error
    return adapt(model, name=f"mteb:{name}", task=task, batch_size=batch_size)


def adapt(model: Any, *, name: str | None = None, task: str | None = None, batch_size: int = 32) -> MtebEncoder | MtebRetriever:
    """Return a model of this package's kind from an object with one of MTEB's protocols.

    :param model: an EncoderProtocol or a SearchProtocol.
    :param name: name in tables; the one in its metadata by default.
    :param task: the task of MTEB's whose prompts are used.
    :param batch_size: texts per batch.
    :return: an encoder, or a retriever for models that search by themselves or compare vectors in a way of their own.
    :raises ConfigError: if it has neither protocol.
    """
    require("mteb", "mteb")
    from mteb.models import EncoderProtocol, SearchEncoderWrapper, SearchProtocol

    meta = model.mteb_model_meta
    label = name or f"mteb:{meta.name}"
    described = Described(model, meta, label, task_metadata(task), batch_size)
    if isinstance(model, SearchProtocol):
        return (PinnedRetriever if described.pinned else MtebRetriever)(described, model)
    if not isinstance(model, EncoderProtocol):
        raise ConfigError(
            f"{label} neither encodes nor searches; a cross-encoder ranks what others have found: 'rerank(BASE, MODEL)'"
        )
    if described.similarity is None or "sparse" in meta.model_type:
        return (PinnedRetriever if described.pinned else MtebRetriever)(described, SearchEncoderWrapper(model))
    return (PinnedEncoder if described.pinned else MtebEncoder)(described)


def _from_module(name: str, task: str | None, batch_size: int) -> MtebEncoder | MtebRetriever:
    """Return the model that `module:attribute` names: an object, or a class or function that needs no arguments."""
    from mimo_eval.models.loading import import_typed

    value = import_typed(name)
    with asking(name, "making it"):
        model = value if hasattr(value, "mteb_model_meta") and not isinstance(value, type) else value()
    if not hasattr(model, "mteb_model_meta"):
        raise ConfigError(
            f"mteb:{name} has no mteb_model_meta, so it is no model of MTEB's; without 'mteb:' it may be one of ours"
        )
    return adapt(model, name=f"mteb:{name}", task=task, batch_size=batch_size)


@cache
def task_metadata(name: str | None) -> Any:
    """Return the metadata that MTEB chooses prompts by.

    :param name: one of MTEB's tasks; None for a retrieval task in general.
    :return: a TaskMetadata.
    :raises ConfigError: if mteb has no such task.
    """
    mteb = require("mteb", "mteb")
    if name is not None:
        try:
            return mteb.get_task(name).metadata
        except KeyError as error:
            raise ConfigError(f"task={name}: {error.args[0]}") from error
    from mteb.abstasks.retrieval import AbsTaskRetrieval

    fields = {"type": "Retrieval", "category": "t2t", "eval_splits": [SPLIT], "eval_langs": ["eng-Latn"]}
    found = mteb.TaskMetadata(
        name=GENERIC,
        description="Any collection of mimo-eval.",
        main_score="ndcg_at_10",
        dataset={"path": "mimo-eval/any", "revision": "any"},
        **fields,
    )
    # mteb finds the instruction of last resort by looking for a class with this metadata
    _tasks.append(type(GENERIC, (AbsTaskRetrieval,), {"metadata": found}))
    return found


_tasks: list[type] = []
"""Held, because mteb finds classes through weak references."""
