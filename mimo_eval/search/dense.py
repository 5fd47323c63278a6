"""Exact search of one block of documents by stored vectors: the best k of each query, and exact counts for ranks.

A score is the float32 rounding of the dot product of the stored vectors computed in float64. Fast engines give it to within
an error; wherever two neighbours are closer than twice that, `eps`, both are computed exactly, so the order never depends
on the engine, the batch size or the number of tiles. Documents whose vectors are equal tie exactly, and ids decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mimo_eval.embeddings import TILE_ROWS, VectorStore
from mimo_eval.errors import ModelError
from mimo_eval.search import keys
from mimo_eval.search.arithmetic import exact_products
from mimo_eval.search.block_search import Found, longest_norm, search_block
from mimo_eval.search.counts import Counts
from mimo_eval.search.flat import Engine, engine
from mimo_eval.threads import ahead

SPARE = 32
"""Documents fetched beyond k, so that a tie at the cut can be seen."""
BEYOND = 8
"""Documents of a merged list looked at beyond the cut, for the same reason."""
QUERY_ROWS = 16_384


@dataclass
class DenseScorer:
    """Scores of queries and documents by their stored vectors.

    :param queries: vectors of queries.
    :param documents: vectors of documents.
    """

    queries: VectorStore
    documents: VectorStore
    search: Engine = field(default_factory=engine)
    tile: int = TILE_ROWS

    def __post_init__(self) -> None:
        widths = self.queries.width, self.documents.width
        if None not in widths and widths[0] != widths[1]:
            raise ModelError(f"vectors of queries have {widths[0]} dimensions, those of documents {widths[1]}")
        self.longest = 0.0
        self.engines: set[str] = set()
        """Libraries that have ranked documents so far; what is settled exactly is NumPy's beside them."""
        self.place = self.documents.texts.id_order
        self._error = np.full(len(self.queries.texts), np.nan)

    def saw(self, longest: float) -> None:
        """Remember that a document's vector is so long: errors grow with it."""
        self.longest = max(self.longest, longest)

    def eps(self, query_rows: np.ndarray, longest: float) -> np.ndarray:
        """Return the difference of two scores from which on their order is sure, per query; see `error_bound`.

        :param query_rows: (n,) rows of queries.
        :param longest: largest norm of a document's vector.
        :return: (n,) float64.
        """
        new = np.unique(query_rows[np.isnan(self._error[query_rows])])
        for start in range(0, len(new), QUERY_ROWS):
            part = new[start : start + QUERY_ROWS]
            self._error[part] = error_bound(self.queries.gather(part), 1.0)
        return np.asarray(self._error[query_rows] * longest + TINY)

    def exact(self, query_rows: np.ndarray, document_rows: np.ndarray) -> np.ndarray:
        """Return the scores of some pairs.

        :param query_rows: (n,) rows of queries.
        :param document_rows: (n,) rows of documents.
        :return: (n,) float32.
        """
        result = np.empty(len(query_rows), np.float32)
        order = np.argsort(document_rows, kind="stable")  # so that each vector is read once
        for start in range(0, len(order), TILE_ROWS):
            part = order[start : start + TILE_ROWS]
            result[part] = self._exact(query_rows[part], document_rows[part])
        return result

    def _exact(self, query_rows: np.ndarray, document_rows: np.ndarray) -> np.ndarray:
        queries, which_query = np.unique(query_rows, return_inverse=True)
        documents, which_document = np.unique(document_rows, return_inverse=True)
        return exact_products(self.queries.gather(queries), which_query, self.documents.gather(documents), which_document)

    def table(self, query_rows: np.ndarray, document_rows: np.ndarray) -> np.ndarray:
        """Return the scores of all pairs of some queries and documents, to the precision of a float32 product.

        :param query_rows: (q,) rows of queries.
        :param document_rows: (n,) rows of documents.
        :return: (q, n) float32.
        """
        queries, result = self.queries.gather(query_rows), np.empty((len(query_rows), len(document_rows)), np.float32)
        for start in range(0, len(document_rows), self.tile):
            part = slice(start, start + self.tile)
            result[:, part] = queries @ self.documents.gather(document_rows[part]).T
        return result

    def top(self, lang: str, rows: np.ndarray, query_rows: np.ndarray, k: int) -> np.ndarray:
        """Find the best documents of one block, and some more.

        :param lang: language of the block.
        :param rows: its documents, ascending.
        :param query_rows: rows of the queries.
        :param k: how many are needed.
        :return: (q, min(k + SPARE, documents)) keys, descending; the best k are among them, near ties not yet settled.
        """
        parts = [
            self._top(lang, rows, query_rows[start : start + QUERY_ROWS], k) for start in range(0, len(query_rows), QUERY_ROWS)
        ]
        return np.concatenate(parts) if parts else np.empty((0, min(k + SPARE, len(rows))), np.uint64)

    def _top(self, lang: str, rows: np.ndarray, query_rows: np.ndarray, k: int) -> np.ndarray:
        queries = self.queries.gather(query_rows)

        def search(tile: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, float]:
            tile_rows, vectors = tile
            self.engines.add(self.search.name)
            found, at = self.search.top(queries, vectors, min(k + SPARE, len(vectors)))
            return keys.encode(found, self.place[tile_rows][at]), longest_norm(vectors)

        best = np.zeros((len(query_rows), 0), np.uint64)
        for new, longest in ahead(search, self.documents.tiles(lang, rows, self.tile), self.search.lanes):
            best = keys.largest(np.concatenate([best, new], axis=1), k + SPARE)
            self.saw(longest)
        return self._sure(best, lang, rows, query_rows, k)

    def find(
        self, lang: str, rows: np.ndarray, query_rows: np.ndarray, k: int, at: np.ndarray, document_keys: np.ndarray
    ) -> Found:
        """Find the best documents of one block, and count those that stand above given ones.

        :param lang: language of the block.
        :param rows: its documents, ascending.
        :param query_rows: (q,) rows of the queries.
        :param k: how many are needed.
        :param at: (n,) the position in `query_rows` of the query of each given document, ascending.
        :param document_keys: (n,) exact keys of given documents, of this block or another.
        :return: keys as `top` returns them, and (n,) counts.
        """
        if not len(at) or len(rows) <= k + SPARE:  # lists tell everything
            lists = self.top(lang, rows, query_rows, k)
            counts = Counts(self, query_rows, at, document_keys)
            counts.add_lists(np.arange(len(at)), lists, counts.bounds(self.longest))
            return Found(lists, counts.result(), self.longest)
        found = search_block(self, lang, rows, query_rows, k + SPARE, at, document_keys)
        self.saw(found.longest)
        return found._replace(lists=self._sure(found.lists, lang, rows, query_rows, k))

    def _sure(self, best: np.ndarray, lang: str, rows: np.ndarray, query_rows: np.ndarray, k: int) -> np.ndarray:
        """Replace lists at the cut of which more documents may tie than were fetched."""
        if best.shape[1] == len(rows):
            return best
        eps = self.eps(query_rows, self.longest)
        score = keys.scores(best[:, [k - 1, -1]])
        open_ = np.flatnonzero(score[:, 0] - score[:, 1] <= eps)
        if len(open_):
            best[open_] = self.exact_lists(lang, rows, query_rows[open_], best.shape[1], eps[open_])
        return best

    def exact_lists(self, lang: str, rows: np.ndarray, query_rows: np.ndarray, k: int, eps: np.ndarray) -> np.ndarray:
        """Find the best documents of one block by exact scores.

        :param lang: language of the block.
        :param rows: its documents, ascending.
        :param query_rows: (q,) rows of the queries.
        :param k: length of the lists.
        :param eps: (q,) as `eps` returns it.
        :return: (q, min(k, documents)) keys, descending.
        """
        queries = self.queries.gather(query_rows)
        found = [self._exact_top(lang, rows, row, queries[i], k, eps[i]) for i, row in enumerate(query_rows.tolist())]
        return np.stack(found) if found else np.empty((0, min(k, len(rows))), np.uint64)

    def _exact_top(self, lang: str, rows: np.ndarray, query_row: int, query: np.ndarray, k: int, eps: float) -> np.ndarray:
        best = np.zeros(0, np.uint64)
        for tile_rows, vectors in self.documents.tiles(lang, rows, self.tile):
            rough = vectors @ query
            floor = keys.scores(best[-1:])[0] if len(best) == k else -np.inf
            near = tile_rows[rough >= floor - eps]
            found = keys.encode(self.exact(np.full(len(near), query_row), near), self.place[near])
            best = keys.largest(np.concatenate([best, found])[None], k)[0]
        return best

    def settle(self, best: np.ndarray, query_rows: np.ndarray, keep: int) -> np.ndarray:
        """Order merged lists as exact scores would, and cut them.

        :param best: (q, m) keys, descending, from one block or several.
        :param query_rows: (q,) rows of the queries.
        :param keep: how many to keep.
        :return: (q, min(m, keep)) keys, descending.
        """
        if best.shape[1] < 2 or not len(best):
            return best[:, :keep]
        eps = self.eps(query_rows, self.longest)
        settled = self._settle(best[:, : keep + BEYOND], query_rows, eps)
        if best.shape[1] > keep + BEYOND:
            with np.errstate(invalid="ignore"):
                open_ = np.flatnonzero(np.subtract(*keys.scores(best[:, [keep - 1, keep + BEYOND - 1]]).T) <= eps)
            settled[open_] = self._settle(best[open_], query_rows[open_], eps[open_])[:, : keep + BEYOND]
        return np.ascontiguousarray(settled[:, :keep])

    def _settle(self, best: np.ndarray, query_rows: np.ndarray, eps: np.ndarray) -> np.ndarray:
        """Compute exactly the scores of neighbours that are closer than the engine's error, and order by them."""
        score = keys.scores(best)
        with np.errstate(invalid="ignore"):
            close = (score[:, :-1] - score[:, 1:] <= eps[:, None]) & (best[:, 1:] != keys.EMPTY)
        marked = np.zeros(best.shape, bool)
        marked[:, :-1] |= close
        marked[:, 1:] |= close
        row, column = np.nonzero(marked)
        best = best.copy()
        if not len(row):
            return best
        places = keys.places(best[row, column])
        best[row, column] = keys.encode(self.exact(query_rows[row], self.documents.texts.row_at[places]), places)
        touched = np.unique(row)
        best[touched] = np.sort(best[touched], axis=1)[:, ::-1]
        return best


TINY = float(np.finfo(np.float32).tiny)


def error_bound(queries: np.ndarray, longest: float) -> np.ndarray:
    """Return twice how far an engine's float32 dot product may be from the exact one, per query.

    Rounding errors of sums of unequal terms add up like a random walk; this is four times its size, nearly twice the largest
    error seen. Equal terms are rounded alike, so their errors add up straight: values that repeat in the query count with
    the square of their number. No order of summation errs by more than one rounding per term.

    :param queries: (q, d) float32.
    :param longest: largest norm of a document's vector.
    :return: (q,) float64.
    """
    values = np.sort(np.abs(queries), axis=1)
    terms = np.count_nonzero(values, axis=1)
    row, start = np.nonzero(np.diff(values, axis=1, prepend=-1.0))
    repeats = np.diff(np.append(row * values.shape[1] + start, values.size)) * (values[row, start] > 0)
    walk = np.sqrt(np.bincount(row, repeats.astype(np.float64) ** 2, len(values)))
    norms = np.sqrt(np.einsum("nd,nd->n", queries, queries, dtype=np.float64))
    error = 2.0**-24 * np.minimum(2 * walk + 2, terms + 2) * norms * longest
    return np.asarray(2 * error + TINY * (1 + terms))
