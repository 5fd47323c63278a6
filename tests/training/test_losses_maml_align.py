"""MAML-Align: the known vector, first-order gradients against a loop that copies the model, and tables that stay sparse."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from toy_students import features, gradients, static_student, transformer_student

from mimo_eval.errors import ConfigError
from mimo_eval.training.losses import MamlAlign
from mimo_eval.training.losses.maml_align import trained

SIZES = (2, 1, 2)
QUESTIONS = ["en1", "en2 en3", "en4", "de5", "el6", "en7", "en8", "en1 zh9", "zh10", "de11"]
POSITIVES = ["en5", "en6", "de1", "de2", "zh3 zh4", "en9", "en10", "zh1", "zh2", "el2"]
NEGATIVES = ["en0", "en11", "de7 de8", "de9", "zh7", "en3", "en2", "zh5", "zh6", "el9"]
LABELS = torch.tensor([0] * 5 + [1] * 5)[:, None]


def letters(texts):
    """Return the texts in words that the small BERT knows."""
    return [" ".join(chr(ord("a") + int("".join(c for c in word if c.isdigit()))) for word in text.split()) for text in texts]


def triplets(model, begin, end, texts):
    embedded = [
        nn.functional.normalize(model(f)["sentence_embedding"]) for f in features(model, *(c[begin:end] for c in texts))
    ]
    return nn.TripletMarginLoss(margin=1.0, p=2)(*embedded)


def first_order(student, texts, steps, rate, weight):
    """Return losses and gradient as the released code has them: a copy adapts, its gradient counts as the original's."""
    taught, at_copies, bilingual, multilingual = [], [], [], []
    for start in (0, 5):
        copy = deepcopy(student)
        optimiser = torch.optim.SGD(copy.parameters(), lr=rate)
        for _ in range(steps):
            optimiser.zero_grad()
            triplets(copy, start, start + 2, texts).backward()
            optimiser.step()
        optimiser.zero_grad()
        loss = triplets(copy, start + 2, start + 3, texts)
        loss.backward()
        taught.append(loss.detach())
        at_copies.append(gradients(copy))
        bilingual.append(triplets(student, start + 2, start + 3, texts))
        multilingual.append(triplets(student, start + 3, start + 5, texts))
    difference = sum(taught) - sum(bilingual)
    (sum(multilingual) / 4 + weight * difference.square()).backward()
    found = gradients(student)
    for at_copy in at_copies:
        for name, gradient in at_copy.items():
            found[name] = found[name] + gradient * (1 / 4 + 2 * weight * difference.detach())
    return sum(taught) / 4, sum(multilingual) / 4, weight * difference.square(), found


def check(student, texts, rate):
    """Compare losses and gradients with the loop's, of two tasks."""
    teacher, own, distance, expected = first_order(student, texts, 3, rate, 0.5)
    loss = MamlAlign(student, sizes=SIZES, steps=3, rate=rate)
    parts = loss(features(student, *texts), LABELS)
    for name, value in (("teacher", teacher), ("student", own), ("distillation", distance)):
        torch.testing.assert_close(parts[name], value, atol=1e-5, rtol=1e-4)
    sum(parts.values()).backward()
    found = gradients(student)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-3)
    return parts


def test_the_known_vector():
    loss = MamlAlign(nn.Identity(), sizes=SIZES)
    parts = loss.combine(torch.tensor([0.4]), torch.tensor([0.6]), torch.tensor([0.5]))
    assert parts["distillation"].item() == pytest.approx(0.5 * 0.04)
    assert sum(parts.values()).item() == pytest.approx(0.47)


def test_the_distillation_compares_sums_over_tasks():
    loss = MamlAlign(nn.Identity(), sizes=SIZES, distillation=1)
    parts = loss.combine(torch.tensor([0.4, 0.2]), torch.tensor([0.1, 0.1]), torch.tensor([0.5, 0.7]))
    assert parts["distillation"].item() == pytest.approx(0.4**2)
    assert (parts["teacher"].item(), parts["student"].item()) == pytest.approx((0.15, 0.3))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_static_students_learn_as_by_copying_the_model(sparse, rate):
    student = static_student(width=6)
    student[0].embedding.sparse = sparse
    check(student, (QUESTIONS, POSITIVES, NEGATIVES), rate)


def test_transformer_students_learn_as_by_copying_the_model():
    check(transformer_student(), tuple(letters(c) for c in (QUESTIONS, POSITIVES, NEGATIVES)), 0.05)


def test_without_steps_of_size_the_teacher_is_the_student():
    parts = check(static_student(), (QUESTIONS, POSITIVES, NEGATIVES), 0.0)
    assert parts["distillation"].item() == pytest.approx(0, abs=1e-12)


def test_a_step_costs_the_batchs_tokens_and_gradients_stay_sparse():
    student = static_student(sparse=True)
    batch = features(student, QUESTIONS, POSITIVES, NEGATIVES)
    weights, columns = trained(student, batch)
    tokens = {int(i) for column in batch for i in column["input_ids"]}
    assert {name: len(table) for name, table in weights.items()} == {"0.embedding.weight": len(tokens)}
    table = student[0].embedding.weight
    for before, after in zip(batch, columns, strict=True):
        assert torch.equal(weights["0.embedding.weight"][after["input_ids"]], table[before["input_ids"]])
    sum(MamlAlign(student, sizes=SIZES, rate=0.5)(batch, LABELS).values()).backward()
    assert table.grad.is_sparse
    assert set(table.grad.coalesce().indices()[0].tolist()) == tokens


def test_the_students_weights_are_left_alone_and_evaluation_needs_no_gradient():
    student = static_student()
    before = student[0].embedding.weight.clone()
    with torch.no_grad():
        parts = MamlAlign(student, sizes=SIZES, rate=0.5)(features(student, QUESTIONS, POSITIVES, NEGATIVES), LABELS)
    assert not any(part.requires_grad for part in parts.values())
    assert torch.equal(student[0].embedding.weight, before)


def test_a_batch_that_is_not_whole_tasks_is_refused():
    student = static_student()
    with pytest.raises(ConfigError, match="a batch of 4 rows is not whole meta-tasks of 5 rows; change the batch size"):
        MamlAlign(student, sizes=SIZES)(features(student, QUESTIONS[:4], POSITIVES[:4], NEGATIVES[:4]), LABELS[:4])
