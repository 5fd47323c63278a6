"""Any sentence-transformers model as a student."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from mimo_eval.errors import ModelError
from mimo_eval.models.prompts import find
from mimo_eval.models.sources import ModelFiles, first_line
from mimo_eval.models.weights import check_weights
from mimo_eval.protocols import Role

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from mimo_eval.training.data import Parallel
    from mimo_eval.training.teacher import Teacher


class PretrainedStudent(BaseModel):
    """A model on the hub or in a folder; one that is no sentence-transformers model gets mean pooling."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["pretrained"] = "pretrained"
    """This student."""
    model: str
    """Hub id or folder."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    pooling: Literal["mean", "cls", "lasttoken"] | None = None
    """How token vectors become one, instead of the model's own way."""
    query_prompt: str | None = None
    """Put before queries, in training and ever after; as `mimo-eval run` asks this model by default."""
    document_prompt: str | None = None
    """Put before passages and parallel text, likewise."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model."""
    allow_pickled_weights: bool = False
    """Load weights that are no safetensors."""

    def build(self, parallel: Parallel | None, teacher: Teacher | None, seed: int) -> SentenceTransformer:
        """Load the model.

        :param parallel: not used.
        :param teacher: not used.
        :param seed: of weights that the model's files do not hold.
        :return: the student, on the device that sentence-transformers chooses.
        :raises ModelError: if it cannot be loaded.
        """
        student = load(self.model, self.revision, self.pooling, self.trust_remote_code, self.allow_pickled_weights, seed)
        given: dict[Role, str | None] = {"query": self.query_prompt, "document": self.document_prompt}
        config = {"prompts": student.prompts, "default_prompt_name": student.default_prompt_name}
        student.prompts = {
            role: find(self.model, config, role).text if prompt is None else prompt for role, prompt in given.items()
        }
        student.default_prompt_name = None
        student.similarity_fn_name = "cosine"  # what every loss trains
        return student


def load(
    model: str,
    revision: str | None = None,
    pooling: str | None = None,
    trust_remote_code: bool = False,
    allow_pickled_weights: bool = False,
    seed: int = 0,
) -> SentenceTransformer:
    """Load a model to be trained, in full precision.

    :param model: hub id or folder.
    :param revision: branch, tag or commit.
    :param pooling: instead of the model's own.
    :param trust_remote_code: run code that comes with it.
    :param allow_pickled_weights: load weights that are no safetensors.
    :param seed: of weights that its files do not hold.
    :return: the model.
    :raises ModelError: if it cannot be loaded, or has no pooling that could be set.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    torch.manual_seed(seed)
    files = ModelFiles(model, revision)
    check_weights(files, model, allowed=allow_pickled_weights)
    safe = {} if allow_pickled_weights else {"use_safetensors": True}
    try:
        student = SentenceTransformer(
            model,
            revision=files.commit,
            trust_remote_code=trust_remote_code,
            model_kwargs={"dtype": torch.float32, **safe},
        )
    except Exception as error:
        raise ModelError(f"student: the model '{model}' cannot be loaded: {first_line(error)}") from error
    if pooling is not None:
        places = [i for i, module in enumerate(student) if isinstance(module, Pooling)]
        if not places:
            raise ModelError(f"student.pooling: '{model}' has no pooling of token vectors")
        student[places[0]] = Pooling(student[places[0]].get_embedding_dimension(), pooling_mode=pooling)
    return student
