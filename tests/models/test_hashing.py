from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from mimo_eval.errors import ConfigError
from mimo_eval.models.hashing import HashingEncoder
from mimo_eval.models.loading import load_model

TEXT = "Der Zürich-See 東京 ไทย"
DIGEST = "911d95dc7a5d4e85"


def vectors(*texts: str, **kwargs: int) -> np.ndarray:
    return HashingEncoder(**kwargs).encode(texts, role="document", lang="de")


def digest(vector: np.ndarray) -> str:
    return hashlib.sha256(np.round(vector.astype(np.float64), 5).astype("<f4").tobytes()).hexdigest()[:16]


def test_a_vector_is_the_same_on_every_machine() -> None:
    assert digest(vectors(TEXT)[0]) == DIGEST


def test_a_vector_is_the_same_in_another_process() -> None:
    code = (
        "import sys; from mimo_eval.models.hashing import HashingEncoder;"
        f"sys.stdout.buffer.write(HashingEncoder().encode([{TEXT!r}], role='query', lang='de').tobytes())"
    )
    env = {"PYTHONHASHSEED": "123", "PATH": ""}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=env).stdout
    assert other == vectors(TEXT)[0].tobytes()


def test_vectors_have_length_one_and_do_not_depend_on_their_neighbours() -> None:
    found = vectors("a", "some longer text", "東", "x" * 5000)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(4), abs=1e-6)
    assert (found[1] == vectors("some longer text")[0]).all()


def test_case_width_and_spaces_do_not_matter() -> None:
    assert (vectors("ＡＢＣ  Def\n")[0] == vectors("abc def")[0]).all()


def test_what_is_spelt_alike_is_close() -> None:
    query, near, far = vectors("the bridge of Mostar", "Mostar's old bridge", "fermented cabbage")
    assert query @ near > 0.3 > 0.1 > abs(query @ far)


def test_arguments_come_from_the_name_and_are_checked() -> None:
    assert load_model("hashing(dim=64)").encode(["a"], role="query", lang="en").shape == (1, 64)  # type: ignore[union-attr]
    for bad in ("hashing(dim=0)", "hashing(shortest=5)", "hashing(dim=x)", "hashing(longest=99)"):
        with pytest.raises(ConfigError, match="out of range"):
            load_model(bad)


def test_arguments_are_in_the_fingerprint_and_the_role_is_not() -> None:
    assert HashingEncoder().fingerprint("query") == HashingEncoder().fingerprint("document")
    assert len({str(HashingEncoder(**k).fingerprint("query")) for k in ({}, {"dim": 8}, {"shortest": 3}, {"longest": 5})}) == 4
