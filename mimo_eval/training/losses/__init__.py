"""Training losses, one class each in sentence-transformers' form, as functions of embeddings and labels."""

from mimo_eval.training.losses.balance import Balance
from mimo_eval.training.losses.contrastive import InfoNCE
from mimo_eval.training.losses.distillation import Distillation, SharedProjection
from mimo_eval.training.losses.embedding import EmbeddingLoss
from mimo_eval.training.losses.hu2023 import Hu2023Loss
from mimo_eval.training.losses.joint import Joint
from mimo_eval.training.losses.jsd_nce import JsdNce
from mimo_eval.training.losses.lakda import LaKDA
from mimo_eval.training.losses.maml_align import MamlAlign

__all__ = [
    "Balance",
    "Distillation",
    "EmbeddingLoss",
    "Hu2023Loss",
    "InfoNCE",
    "Joint",
    "JsdNce",
    "LaKDA",
    "MamlAlign",
    "SharedProjection",
]
