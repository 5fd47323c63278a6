"""Translate, then retrieve: queries are put into another language before the model sees them, documents are not.

The classic baseline of cross-language retrieval. A translator is anything with `translate(texts, *, source, target)`, or such
a function; here is one in a module `mine.py`:

    class Toy:
        words = {"katze": "cat", "hund": "dog"}

        def translate(self, texts, *, source, target):
            return [" ".join(self.words.get(word, word) for word in text.split()) for text in texts]

        def fingerprint(self):
            return {"translator": "toy", "version": 1}

and `mimo-eval run "translate(bm25, mine:Toy, to=en)"` evaluates it. Queries that are in the target language already are left
as they are. Without `fingerprint()` nothing that depends on the translator is kept for another run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mimo_eval.errors import ConfigError, DataError, ModelError
from mimo_eval.languages import normalise
from mimo_eval.models.fusion import combined_name, description, load_bases
from mimo_eval.models.loading import MODULE, Model, import_typed, model_name
from mimo_eval.protocols import Encoder, Hits, Retriever, Role, StoredRetriever


@runtime_checkable
class Translator(Protocol):
    """Translates texts. Used where they exist: `name`; `fingerprint() -> dict`, everything that changes a translation."""

    def translate(self, texts: Sequence[str], *, source: str, target: str) -> list[str]:
        """Translate texts.

        :param texts: n texts.
        :param source: their language, a short BCP 47 code.
        :param target: the language wanted.
        :return: n translations in the order given, none of them empty.
        """


class _Function:
    """A function that translates, as a Translator."""

    def __init__(self, function: Callable[..., list[str]], name: str) -> None:
        self.translate, self.name = function, name


class Queries:
    """Translates queries, each once.

    :param translator: what translates.
    :param name: the translator's name, for messages.
    :param target: the language wanted.
    """

    def __init__(self, translator: Translator, name: str, target: str) -> None:
        self.translator, self.name, self.target = translator, name, target
        self._done: dict[tuple[str, str], str] = {}
        self.counts = {"translated": 0, "known": 0, "in the target language": 0}

    def translated(self, texts: Sequence[str], source: str) -> list[str]:
        """Return translations of queries in one language.

        :param texts: the queries.
        :param source: their language.
        :return: as many translations.
        :raises ModelError: if the translator fails or returns something unusable.
        """
        if source == self.target:
            self.counts["in the target language"] += len(texts)
            return list(texts)
        fresh = [text for text in dict.fromkeys(texts) if (source, text) not in self._done]
        if fresh:
            made = self._checked(fresh, self._ask(fresh, source), source)
            self._done.update(((source, text), done) for text, done in zip(fresh, made, strict=True))
        self.counts["translated"] += len(fresh)
        self.counts["known"] += len(texts) - len(fresh)
        return [self._done[source, text] for text in texts]

    def _ask(self, texts: list[str], source: str) -> Any:
        try:
            return self.translator.translate(list(texts), source=source, target=self.target)
        except Exception as error:
            raise ModelError(
                f"{self.name}: cannot translate from {source} to {self.target}: {type(error).__name__}: {error} "
                f"(first query: '{texts[0][:80]}')"
            ) from error

    def _checked(self, texts: list[str], made: Any, source: str) -> list[str]:
        where = f"from {source} to {self.target}"
        if isinstance(made, str) or not hasattr(made, "__len__") or not hasattr(made, "__iter__"):
            raise ModelError(f"{self.name}: expected a list of translations {where}, got {type(made).__name__}")
        if len(made) != len(texts):
            raise ModelError(
                f"{self.name}: {len(made)} translations {where} for {len(texts)} queries (first query: '{texts[0][:80]}')"
            )
        for text, done in zip(texts, made, strict=True):
            if not isinstance(done, str) or not done.strip():
                what = "is empty" if isinstance(done, str) else f"is no text but {type(done).__name__}"
                raise ModelError(f"{self.name}: the translation {where} of the query '{text[:80]}' {what}")
        return [str(done) for done in made]


class _Translated:
    """What a translated encoder and a translated retriever share.

    :param base: the model.
    :param queries: translates its queries.
    """

    def __init__(self, base: Any, queries: Queries) -> None:
        self.base, self.queries = base, queries
        self.name = combined_name("translate", [model_name(base), queries.name], {"to": (queries.target, "en")})

    def _fingerprint(self, of_base: dict[str, Any]) -> dict[str, Any]:
        """Return the base's fingerprint and the translator's; what the base's store is to read stays where the store looks."""
        translator: Any = self.queries.translator
        return {
            "model": "translate",
            "translator": translator.fingerprint(),
            "name": self.queries.name,
            "to": self.queries.target,
            "base": {name: value for name, value in of_base.items() if name != "reading"},
            **({"reading": of_base["reading"]} if "reading" in of_base else {}),
        }

    def _known(self) -> None:
        """Raise AttributeError, as for an attribute that is not there, if the base or the translator has no fingerprint."""
        if not (hasattr(self.base, "fingerprint") and hasattr(self.queries.translator, "fingerprint")):
            raise AttributeError("the base or the translator has no fingerprint")

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the result wants to know of the model, and how many queries were translated."""
        return {
            "kind": "translate",
            "translator": {"name": self.queries.name, **getattr(self.queries.translator, "describe", dict)()},
            "to": self.queries.target,
            "queries": dict(self.queries.counts),
            "base": description(self.base),
        }


class TranslatedEncoder(_Translated):
    """An encoder whose queries are translated first."""

    @property
    def similarity(self) -> str:
        """The base's, which may have to read its files for it."""
        return str(getattr(self.base, "similarity", "cosine"))

    @property
    def fingerprint(self) -> Callable[[Role], dict[str, Any]]:
        """What returns everything that changes a vector; documents have the base's own, so that they are encoded once."""
        self._known()

        def fingerprint(role: Role) -> dict[str, Any]:
            of_base = self.base.fingerprint(role)
            return self._fingerprint(of_base) if role == "query" else dict(of_base)

        return fingerprint

    def encode(self, texts: Sequence[str], *, role: Role, lang: str) -> np.ndarray:
        """Encode texts, queries after translation.

        :param texts: n texts.
        :param role: queries are translated, documents are not.
        :param lang: their language.
        :return: the base's vectors.
        """
        if role == "query":
            texts, lang = self.queries.translated(texts, lang), self.queries.target
        vectors: np.ndarray = self.base.encode(texts, role=role, lang=lang)
        return vectors


class TranslatedRetriever(_Translated):
    """A retriever whose queries are translated first.

    :param base: the retriever.
    :param queries: translates them.
    """

    def __init__(self, base: Retriever, queries: Queries) -> None:
        super().__init__(base, queries)
        self.per_language = getattr(base, "per_language", True)
        self.merge = getattr(base, "merge", "raw")

    @property
    def fingerprint(self) -> Callable[[], dict[str, Any]]:
        """What returns everything that changes a score; there is none if the base or the translator has none."""
        self._known()
        return lambda: self._fingerprint(self.base.fingerprint())

    def index(self, texts: Sequence[str], *, langs: Sequence[str]) -> Any:
        """Index documents as they are.

        :param texts: the documents.
        :param langs: the language of each.
        :return: the base's index.
        """
        return self.base.index(texts, langs=langs)

    def search(self, index: Any, queries: Sequence[str], *, langs: Sequence[str], k: int) -> Hits:
        """Translate queries, then search.

        :param index: the base's.
        :param queries: n queries.
        :param langs: the language of each.
        :param k: documents wanted per query.
        :return: the base's documents and scores.
        """
        translated = list(queries)
        for lang in dict.fromkeys(langs):
            mine = [i for i, other in enumerate(langs) if other == lang]
            for i, text in zip(mine, self.queries.translated([queries[i] for i in mine], lang), strict=True):
                translated[i] = text
        hits: Hits = self.base.search(index, translated, langs=[self.queries.target] * len(translated), k=k)
        return hits


class StoredTranslatedRetriever(TranslatedRetriever):
    """A retriever whose queries are translated first, and whose indexes are kept: the same ones for any translator."""

    def _fingerprint(self, of_base: dict[str, Any]) -> dict[str, Any]:
        """Return the base's fingerprint, and the translator's among what changes no index."""
        whole = super()._fingerprint(of_base)
        base, reading = whole.pop("base"), whole.pop("reading", {})
        return {**base, "reading": {**whole, "base": reading}}

    def save(self, index: Any, folder: Path) -> None:
        """Write an index, as the base does.

        :param index: what `index` returned.
        :param folder: an empty folder.
        """
        self.base.save(index, folder)

    def load(self, folder: Path) -> Any:
        """Read an index, as the base does.

        :param folder: as `save` wrote it.
        :return: the index.
        """
        return self.base.load(folder)


def translate(
    base: str | Model, translator: str | Translator | Callable[..., list[str]], *, to: str = "en", **options: Any
) -> TranslatedEncoder | TranslatedRetriever:
    """Return a model that sees queries in translation.

    :param base: an encoder or a retriever: a name with arguments, a folder, a hub id, or the model.
    :param translator: `module:attribute`, an object with `translate`, or a function.
    :param to: the language that queries are translated into.
    :param options: options of the command line, for the base.
    :return: an encoder if the base is one, else a retriever.
    :raises ConfigError: if the base is a combination, or the translator none.
    """
    try:
        target = normalise(to)
    except (DataError, AttributeError, TypeError) as error:
        raise ConfigError(f"translate(to={to}): {error}") from error
    (model,) = load_bases("translate", [base], options)
    found, name = load_translator(translator)
    queries = Queries(found, name, target)
    if isinstance(model, Encoder):
        return TranslatedEncoder(model, queries)
    if isinstance(model, StoredRetriever) and hasattr(found, "fingerprint"):
        return StoredTranslatedRetriever(model, queries)
    if isinstance(model, Retriever):
        return TranslatedRetriever(model, queries)
    raise ConfigError(
        f"translate({model_name(model)}, …): what is made of other models is not translated as a whole; translate its parts, "
        f"such as rrf(translate(bm25, {name}), translate(hashing, {name}))"
    )


def load_translator(translator: Any) -> tuple[Translator, str]:
    """Return a translator and its name.

    :param translator: `module:attribute`, a class, an object with `translate`, or a function.
    :return: the translator and the name it has in tables.
    :raises ConfigError: if it is none of them.
    """
    value, shown = translator, str(translator)
    if isinstance(translator, str):
        if not MODULE.fullmatch(translator):
            raise ConfigError(f"translate: '{translator}' is no translator; write module:attribute")
        value = import_typed(translator)
    if inspect.isclass(value):
        try:
            value = value()
        except TypeError as error:
            raise ConfigError(f"'{shown}' cannot be made without arguments: {error}") from error
    if not isinstance(value, Translator) and inspect.isroutine(value):
        value = _Function(value, getattr(value, "__name__", "function"))
    if not isinstance(value, Translator):
        raise ConfigError(f"translate: '{shown}' has no translate(texts, *, source, target)")
    return value, str(getattr(value, "name", None) or type(value).__name__)
