"""How a project tests its own model: `pytest --mimo-baseline BASELINES tests/examples/test_my_model.py`."""

import numpy as np
import pytest


class MyModel:
    """Stands for the model that you train: here vectors of character counts, which know only the script."""

    name = "my-model"

    def encode(self, texts, *, role, lang):
        vectors = np.zeros((len(texts), 256), np.float32)
        for row, text in enumerate(texts):
            np.add.at(vectors[row], np.array([ord(c) % 256 for c in text.lower()], int), 1)
        return vectors

    def fingerprint(self, role):
        return {"model": self.name, "version": 1}


@pytest.mark.retrieval(benchmark="mini", languages="en,de,fr", mixes=["parallel", "monolingual"])
def test_no_language_got_worse(retrieval):
    retrieval(MyModel()).check()


@pytest.mark.retrieval(benchmark="mini", languages="en,de,fr", mixes=["monolingual"])
def test_german_questions_find_german_answers(retrieval):
    assert retrieval(MyModel()).score("nDCG@20", setting="monolingual", language="de") > 0.15
