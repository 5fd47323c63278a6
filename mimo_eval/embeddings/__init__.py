"""Vectors on disk: one folder per (encoder fingerprint, role, language), one file per chunk of rows, written atomically."""

from mimo_eval.digests import text_hash
from mimo_eval.embeddings.checking import check_vectors
from mimo_eval.embeddings.chunks import read_chunk
from mimo_eval.embeddings.claims import Share
from mimo_eval.embeddings.shards import TILE_ROWS
from mimo_eval.embeddings.storage import STORAGES
from mimo_eval.embeddings.store import Encode, Filled, VectorStore

__all__ = ["STORAGES", "TILE_ROWS", "Encode", "Filled", "Share", "VectorStore", "check_vectors", "read_chunk", "text_hash"]
