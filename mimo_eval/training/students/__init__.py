"""Students: what is trained. A recipe's `student` is one of these records; `build` makes the model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mimo_eval.training.students.pretrained import PretrainedStudent
from mimo_eval.training.students.static import StaticStudent
from mimo_eval.training.students.transplant import TransplantedStudent

__all__ = ["PretrainedStudent", "StaticStudent", "Student", "TransplantedStudent"]

Student = Annotated[StaticStudent | PretrainedStudent | TransplantedStudent, Field(discriminator="kind")]
"""Any of them; `kind` says which."""
