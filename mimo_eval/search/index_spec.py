"""Which FAISS index searches: `FACTORY` or `FACTORY:name=value,name=value`, as the option `--index` takes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from mimo_eval.errors import ConfigError
from mimo_eval.search.flat import faiss_module

HELP = "for example HNSW32:efSearch=128 or IVF1264,Flat:nprobe=32"
EXACT = "Flat"
TRIAL_WIDTH = 768
"""Width of the vectors by which a factory string is tried before anything is encoded."""
BUILD = ("efConstruction",)
"""Parameters that change an index when it is built; all others change only how it is searched."""
_PARAMETER = re.compile(r"\s*(\w+)\s*=\s*(\d+(?:\.\d+)?)\s*", re.ASCII)


@dataclass(frozen=True)
class IndexSpec:
    """A factory string of FAISS and parameters of FAISS's ParameterSpace."""

    factory: str
    parameters: tuple[tuple[str, str], ...] = ()
    """(name, value), sorted by name."""

    def __str__(self) -> str:
        return f"{self.factory}:{self._settings()}" if self.parameters else self.factory

    def _settings(self) -> str:
        return ",".join(f"{name}={value}" for name, value in self.parameters)

    @classmethod
    def parse(cls, text: str) -> IndexSpec | None:
        """Read and try what a user typed.

        :param text: factory string, and parameters behind a colon.
        :return: the index; None for `Flat`, which is exact search.
        :raises ConfigError: if FAISS does not know it or is not installed.
        """
        factory, colon, rest = (part.strip() for part in text.partition(":"))
        items = [_PARAMETER.fullmatch(item) for item in rest.split(",")] if colon else []
        if not factory or any(item is None or float(item[2]) == 0 for item in items):
            raise ConfigError(f"cannot read the index '{text}'; write FACTORY or FACTORY:name=value,name=value, {HELP}")
        pairs = tuple(sorted((item[1], item[2]) for item in items if item is not None))
        if len(dict(pairs)) < len(pairs):
            raise ConfigError(f"cannot read the index '{text}': a parameter is given twice")
        if (factory, pairs) == (EXACT, ()):
            return None
        spec = cls(factory, pairs)
        try:
            spec.make(TRIAL_WIDTH)
        except ConfigError as error:
            if "multiple" not in str(error):  # what fits the width of the vectors shows when they are there
                raise
        return spec

    @property
    def building(self) -> dict[str, str]:
        """The parameters that change the index itself."""
        return {name: value for name, value in self.parameters if name.removeprefix("quantizer_") in BUILD}

    def make(self, width: int) -> Any:
        """Return an empty index for inner products with the parameters set.

        :param width: of the vectors.
        :return: a FAISS index.
        :raises ConfigError: if FAISS refuses it.
        """
        faiss = faiss_module()
        try:
            index = faiss.index_factory(width, self.factory, faiss.METRIC_INNER_PRODUCT)
        except RuntimeError as error:
            raise ConfigError(
                f"FAISS has no index '{self.factory}' for {width} dimensions: {said(error)}; write {HELP}"
            ) from error
        self.set_parameters(index)
        return index

    def set_parameters(self, index: Any) -> None:
        """Set the parameters of an index.

        :param index: one that `make` returned, or that was read from disk.
        :raises ConfigError: if the index has no such parameter.
        """
        if self.parameters:
            try:
                faiss_module().ParameterSpace().set_index_parameters(index, self._settings())
            except RuntimeError as error:
                raise ConfigError(f"the index '{self.factory}' cannot be searched so: {said(error)}; write {HELP}") from error


def said(error: Exception) -> str:
    """Return what an error of FAISS says, without the place in its source.

    :param error: the error.
    :return: one line.
    """
    text = re.sub(r"^.*?\.(?:cpp|h|cu):\d+: ?(?:Error: )?", "", " ".join(str(error).split()))
    return re.sub(r"^'.*?' failed: (?=\S)", "", text)


def centroids(index: Any) -> int:
    """Return the size of the largest clustering by which an index, or a part of it, is trained; 0 if there is none.

    :param index: a FAISS index.
    """
    found = faiss_module().downcast_index(index)
    inner = [part for name in ("index", "base_index", "quantizer", "storage") if (part := getattr(found, name, None))]
    own = getattr(found, "nlist", 0), getattr(getattr(found, "pq", None), "ksub", 0)
    return max([*map(int, own), *map(centroids, inner)])
