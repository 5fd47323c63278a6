"""A model of this package as MTEB's ModelMeta."""

from __future__ import annotations

import json
from typing import Any

from mimo_eval.asking import fingerprint
from mimo_eval.digests import digest
from mimo_eval.integrations.mteb.names import repository_name
from mimo_eval.models.loading import Model, model_name
from mimo_eval.protocols import Derived, Encoder
from mimo_eval.systems import ROLES

NO_REVISION = "no_revision_available"
"""What MTEB writes where a model has none."""


def live_meta(model: Model) -> Any:
    """Return MTEB's record of a model: its own, for a model of MTEB's, else what the model says of itself.

    :param model: the model.
    :return: a ModelMeta.
    """
    if hasattr(model, "meta"):
        return model.meta if model.meta.revision else model.meta.model_copy(update={"revision": NO_REVISION})
    name = model_name(model)
    identity: dict[str, Any] = {}
    if hasattr(model, "fingerprint"):
        roles = ROLES if isinstance(model, (Encoder, Derived)) else ()
        identity = {role: fingerprint(model, name, role) for role in roles} or {"retriever": fingerprint(model, name)}
    described = model.describe() if hasattr(model, "describe") else {}
    return model_meta(name, described, identity)


def model_meta(name: str, described: dict[str, Any], identity: dict[str, Any]) -> Any:
    """Return MTEB's record of a model of this package.

    :param name: its name in tables.
    :param described: what it says of itself, as in a result.
    :param identity: its fingerprints, as in a result; they decide the revision unless the model has a commit on the hub.
    :return: a ModelMeta.
    """
    from mteb.models.model_meta import ModelMeta, ScoringFunction

    dense = described.get("kind") == "dense"
    dot = described.get("similarity") == "dot"
    overwrites = {
        "name": repository_name(name),
        "revision": model_revision(described, identity),
        "n_parameters": described.get("parameters"),
        "max_tokens": described.get("max_length"),
        "embed_dim": described.get("dimension"),
        "modalities": ["text"],
        "model_type": ["dense"] if dense else ["sparse"],
        "similarity_fn_name": (ScoringFunction.DOT_PRODUCT if dot else ScoringFunction.COSINE) if dense else None,
        "framework": ["Sentence Transformers", "PyTorch"] if dense else [],
    }
    return ModelMeta.create_empty(overwrites={key: value for key, value in overwrites.items() if value is not None})


def model_revision(described: dict[str, Any], identity: dict[str, Any]) -> str:
    """Return the commit of a model on the hub, or the revision that MTEB gives one of its own, else a hash of its fingerprints.

    :param described: what it says of itself.
    :param identity: its fingerprints.
    :return: the revision; MTEB's word for none if nothing is known.
    """
    given = str(described.get("revision") or "")
    if given.startswith("hub:") or (given and "mteb" in described):
        return given.removeprefix("hub:")
    return digest(json.dumps(identity, sort_keys=True, default=str)) if identity else NO_REVISION
