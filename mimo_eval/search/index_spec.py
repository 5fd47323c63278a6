"""Which FAISS index searches: `FACTORY` or `FACTORY:name=value,name=value`, as the option `--index` takes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
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
SIZES = {"HNSW": (2, 1024), "NSG": (16, 1024), "IVF": (1, 2**24)}
"""Least and most of what a part of a factory string may have: links of a graph, lists. With others FAISS ends the process,
takes all memory or never returns; of any other part 0 does."""
_SIZE = re.compile(r"([A-Za-z]*)(\d+)", re.ASCII)
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
        spec.check_sizes()
        try:
            spec.make(TRIAL_WIDTH)
        except ConfigError as error:
            if "multiple" not in str(error):  # what fits the width of the vectors shows when they are there
                raise
        return spec

    def check_sizes(self) -> None:
        """Refuse numbers in the factory string by which FAISS would not raise an error, but end the process.

        :raises ConfigError: naming the number and what it may be.
        """
        for part, number in _SIZE.findall(self.factory):
            least, most = SIZES.get(part, (1, 2**31 - 1))
            if not least <= int(number) <= most:
                after = f"after {part} " if part else ""
                raise ConfigError(
                    f"cannot use the index '{self.factory}': the number {after}must be from {least:,} to {most:,}, not "
                    f"{number}; write {HELP}"
                )

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
        except (RuntimeError, MemoryError) as error:
            raise ConfigError(
                f"FAISS has no index '{self.factory}' for {width} dimensions: {said(error)}; write {HELP}"
            ) from error
        self._check_parts(index)
        self.set_parameters(index)
        return index

    def _check_parts(self, index: Any) -> None:
        """Refuse what could be made, but not filled, or not searched without ending the process."""
        faiss = faiss_module()
        for part in parts(index):
            if isinstance(part, (faiss.IndexIDMap, faiss.IndexIDMap2)):
                raise ConfigError(f"the index '{self.factory}' cannot be filled: vectors have no ids here; leave IDMap out")
            if isinstance(part, faiss.IndexRefine):
                try:
                    part.refine_index.get_distance_computer()
                except RuntimeError as error:
                    raise ConfigError(
                        f"the index '{self.factory}' cannot be searched: what refines its lists must score single vectors, as "
                        f"RFlat and Refine(SQ8) do ({said(error)})"
                    ) from error

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
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    text = re.sub(r"^.*?\.(?:cpp|h|cu):\d+: ?(?:Error: )?", "", " ".join(str(error).split()))
    return re.sub(r"^'.*?' failed: (?=\S)", "", text)


def parts(index: Any) -> Iterator[Any]:
    """Yield an index and what it is made of, each as its own class.

    :param index: a FAISS index.
    """
    found = faiss_module().downcast_index(index)
    yield found
    for name in ("index", "base_index", "refine_index", "quantizer", "storage"):
        if inner := getattr(found, name, None):
            yield from parts(inner)


def centroids(index: Any) -> int:
    """Return the size of the largest clustering by which an index, or a part of it, is trained; 0 if there is none.

    :param index: a FAISS index.
    """
    return max(
        int(size)
        for part in parts(index)
        for size in (getattr(part, "nlist", 0), getattr(getattr(part, "pq", None), "ksub", 0))
    )
