"""Distillation, the joint loss and the balance of its two parts."""

import math

import pytest
import torch
from sentence_transformers.sentence_transformer.losses import EmbedDistillLoss
from torch import nn
from toy_students import features, gradients, static_student

from mimo_eval.errors import ConfigError
from mimo_eval.training.losses import Balance, Distillation, InfoNCE, Joint, SharedProjection


def head(width, out=None, bias=True):
    torch.manual_seed(3)
    return nn.Linear(width, out or width, bias=bias).double()


def identity(width):
    linear = nn.Linear(width, width, bias=False).double()
    linear.weight.data.copy_(torch.eye(width))
    return linear


def at_cosine(vectors, cosine):
    """Return vectors that have this cosine to others."""
    units = nn.functional.normalize(vectors, dim=-1)
    torch.manual_seed(1)
    across = torch.randn_like(units)
    across = nn.functional.normalize(across - (across * units).sum(-1, keepdim=True) * units, dim=-1)
    return cosine * units + math.sqrt(1 - cosine**2) * across


def test_projected_cosines_of_08_and_06_make_03():
    vectors = torch.randn(2, 3, dtype=torch.float64)
    targets = torch.cat([at_cosine(vectors[:1], 0.8), at_cosine(vectors[1:], 0.6)])
    loss = Distillation(nn.Identity(), projection=identity(3), targets=targets)
    labels = torch.tensor([[0], [1]])
    assert loss.compute_loss_from_embeddings([vectors], labels)["distillation"].item() == pytest.approx(0.3)
    scaled = loss.compute_loss_from_embeddings([7 * vectors], labels)["distillation"]
    assert scaled.item() == pytest.approx(0.3)  # without a bias, length does not count


def test_equal_vectors_have_loss_0_and_opposite_ones_2():
    vectors = torch.randn(4, 3, dtype=torch.float64)
    loss = Distillation(nn.Identity(), projection=identity(3), targets=torch.cat([vectors, -vectors]))
    rows = torch.arange(8)[:, None]
    assert loss.compute_loss_from_embeddings([vectors], rows[:4])["distillation"].item() == pytest.approx(0)
    assert loss.compute_loss_from_embeddings([vectors], rows[4:])["distillation"].item() == pytest.approx(2)


def test_a_vector_of_zeros_gives_no_nan():
    vectors = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    loss = Distillation(nn.Identity(), projection=identity(3), targets=torch.eye(3, dtype=torch.float64))
    value = loss.compute_loss_from_embeddings([vectors], torch.tensor([[0], [1]]))["distillation"]
    value.backward()
    assert value.item() == 1
    assert vectors.grad.isfinite().all()
    assert vectors.grad.abs().max() <= 1


@pytest.mark.parametrize("distance", ["cosine", "mse", "l2"])
def test_distances_are_the_librarys(distance):
    torch.manual_seed(0)
    projection, targets = head(3, 5), torch.randn(9, 5, dtype=torch.float64)
    columns, labels = [torch.randn(4, 3, dtype=torch.float64) for _ in range(2)], torch.randint(9, (4, 2))
    ours = Distillation(nn.Identity(), projection=projection, targets=targets, distance=distance)
    theirs = EmbedDistillLoss(static_student(width=3), distance_metric=distance)
    expected = theirs.compute_loss_from_embeddings([projection(v) for v in columns], [targets[rows] for rows in labels.T])
    torch.testing.assert_close(ours.compute_loss_from_embeddings(columns, labels)["distillation"], expected)


def test_student_and_head_are_trained_and_the_teacher_is_not():
    student = static_student()
    targets = torch.randn(3, 4, requires_grad=True)
    loss = Distillation(student, projection=SharedProjection(0)(student, targets), targets=targets)
    loss(features(student, ["en1 en2", "de3"]), torch.tensor([[0], [2]]))["distillation"].backward()
    assert targets.grad is None
    found = gradients(loss)
    assert set(found) == {"model.0.embedding.weight", "projection.weight", "projection.bias"}
    assert all(gradient.abs().sum() > 0 for gradient in found.values())
    assert "projection" not in "".join(student.state_dict())  # the head is the loss's, so no saved student has it


def test_one_head_for_all_stages_the_same_for_equal_seeds():
    student, targets = static_student(), torch.ones(3, 4)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    shared = SharedProjection(1)
    assert shared(student, targets) is shared(student, targets)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(SharedProjection(1)(student, targets).weight, shared(student, targets).weight)
    assert not torch.equal(SharedProjection(2)(student, targets).weight, shared(student, targets).weight)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match=r"unknown distance 'manhattan' .* cosine, mse, l2"):
        Distillation(nn.Identity(), projection=head(3), targets=torch.ones(1, 3), distance="manhattan")
    with pytest.raises(ConfigError, match=r"the projection gives 3 dimensions and the teacher has 4"):
        Distillation(nn.Identity(), projection=head(3), targets=torch.ones(1, 4))
    with pytest.raises(ConfigError, match=r"from 0 to 1, not 1\.5"):
        Balance(1.5)
    with pytest.raises(ConfigError, match=r"unknown rule 'magic'"):
        Balance(0.5, "magic")


def known_joint(share, rule="constant"):
    """Return the joint loss, embeddings and labels of the known vector: cosines [[.5, .4], [.3, .6]], projected .7 and .9."""
    cosines = torch.tensor([[0.5, 0.4], [0.3, 0.6]], dtype=torch.float64)
    queries = torch.cat([cosines, (1 - cosines.square().sum(1, keepdim=True)).sqrt()], dim=1).requires_grad_()
    passages = torch.eye(2, 3, dtype=torch.float64, requires_grad=True)
    targets = torch.cat([at_cosine(queries, 0.7), at_cosine(passages, 0.9)]).detach()
    loss = Joint(nn.Identity(), projection=identity(3), targets=targets, balance=Balance(share, rule))
    return loss, [queries, passages], torch.tensor([[0, 2, 50], [1, 3, 51]])


def test_joint_loss_of_the_known_vector():
    loss, embeddings, labels = known_joint(0.2)
    parts = loss.compute_loss_from_embeddings(embeddings, labels)
    assert parts["xlco"].item() == pytest.approx(0.2 * 0.064702, abs=1e-6)
    assert parts["distillation"].item() == pytest.approx(0.8 * 0.2)
    assert sum(parts.values()).item() == pytest.approx(0.172940, abs=1e-6)


def test_lambda_1_is_xlco_exactly():
    loss, embeddings, labels = known_joint(1.0)
    total = torch.stack(list(loss.compute_loss_from_embeddings(embeddings, labels).values())).sum()
    alone = InfoNCE(nn.Identity()).compute_loss_from_embeddings(embeddings, labels[:, 2:])["infonce"]
    assert total.item() == alone.item()
    ours, theirs = (torch.autograd.grad(value, embeddings, retain_graph=True) for value in (total, alone))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_lambda_0_leaves_no_contrastive_gradient():
    loss, embeddings, labels = known_joint(0.0)
    total = sum(loss.compute_loss_from_embeddings(embeddings, labels).values())
    alone = Distillation(nn.Identity(), projection=loss.projection, targets=loss.targets)
    expected = alone.compute_loss_from_embeddings(embeddings, labels[:, :2])["distillation"]
    ours, theirs = (torch.autograd.grad(value, embeddings, retain_graph=True) for value in (total, expected))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_the_joint_loss_masks_false_negatives():
    loss, embeddings, labels = known_joint(0.5)
    labels[:, 2] = 50
    assert loss.compute_loss_from_embeddings(embeddings, labels)["xlco"].item() == 0


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_gradient_balance_gives_each_part_its_share_of_the_gradient(share):
    loss, embeddings, labels = known_joint(share, "gradient")
    parts = loss.compute_loss_from_embeddings(embeddings, labels)
    norms = [
        torch.cat([g.flatten() for g in torch.autograd.grad(part, embeddings, retain_graph=True)]).norm()
        for part in parts.values()
    ]
    assert (norms[0] / sum(norms)).item() == pytest.approx(share, rel=1e-5)


def test_uncertainty_balance_gives_each_part_its_share_of_the_loss():
    loss, embeddings, labels = known_joint(0.5, "uncertainty")
    parts = loss.compute_loss_from_embeddings(embeddings, labels)
    assert parts["xlco"].item() == pytest.approx(parts["distillation"].item())
    assert loss.balance.average.tolist() == pytest.approx([0.064702, 0.2], abs=1e-5)


def test_the_balance_is_a_running_mean_that_is_kept_and_evaluation_does_not_move():
    balance = Balance(0.5, "uncertainty")
    first, second = torch.tensor(1.0), torch.tensor(3.0)
    assert balance(first, second, []).item() == pytest.approx(3 / 4)
    balance(second, second, [])
    assert balance.average.tolist() == pytest.approx([0.9 * 1 + 0.1 * 3, 3])
    with torch.no_grad():
        assert balance(first * 100, second, []).item() == pytest.approx(3 / 4.2)
    again = Balance(0.5, "uncertainty")
    again.load_state_dict(balance.state_dict())
    assert torch.equal(again.average, balance.average)


def test_losses_of_zero_leave_the_share():
    assert Balance(0.3, "uncertainty")(torch.tensor(0.0), torch.tensor(0.0), []).item() == pytest.approx(0.3)
    with torch.no_grad():
        assert Balance(0.3, "gradient")(torch.tensor(1.0), torch.tensor(1.0), []).item() == pytest.approx(0.3)
