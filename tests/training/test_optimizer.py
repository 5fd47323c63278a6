"""LazyAdam is torch's AdamW where every row occurs, and leaves rows alone that do not."""

import pytest
import torch
from torch import nn

from mimo_eval.training.optimizer import LazyAdam, clip


def table(sparse):
    torch.manual_seed(0)
    return nn.EmbeddingBag(6, 3, mode="mean", sparse=sparse)


def step(optimizer, module, ids):
    optimizer.zero_grad()
    module(torch.tensor([ids])).pow(2).sum().backward()
    optimizer.step()


def test_rows_that_always_occur_move_as_under_adamw():
    ours, theirs = table(True), table(False)
    lazy, adamw = LazyAdam(ours.parameters(), lr=0.1), torch.optim.AdamW(theirs.parameters(), lr=0.1, weight_decay=0)
    for _ in range(7):
        step(lazy, ours, [0, 1, 2, 3, 4, 5, 5])
        step(adamw, theirs, [0, 1, 2, 3, 4, 5, 5])
    assert torch.allclose(ours.weight, theirs.weight, atol=1e-6)


def test_a_rare_row_moves_as_if_only_its_own_steps_had_been():
    ours, alone = table(True), table(True)
    lazy, oracle = LazyAdam(ours.parameters(), lr=0.1), LazyAdam(alone.parameters(), lr=0.1)
    start = ours.weight.detach().clone()
    for i in range(9):
        step(lazy, ours, [5] if i % 4 == 3 else [0, 1])
        if i % 4 == 3:
            step(oracle, alone, [5])
    assert torch.equal(ours.weight[5], alone.weight[5])
    assert torch.equal(ours.weight[2:5], start[2:5])
    first = table(True)
    once = LazyAdam(first.parameters(), lr=0.1)
    step(once, first, [5])
    assert (first.weight[5] - start[5]).abs().detach().numpy() == pytest.approx(0.1, rel=1e-4)  # bias-corrected: just the rate


def test_dense_parameters_are_adamw_with_decay():
    torch.manual_seed(1)
    ours = nn.Linear(4, 3)
    theirs = nn.Linear(4, 3)
    theirs.load_state_dict(ours.state_dict())
    lazy = LazyAdam(ours.parameters(), lr=0.05, weight_decay=0.1)
    adamw = torch.optim.AdamW(theirs.parameters(), lr=0.05, weight_decay=0.1)
    for i in range(6):
        for module, optimizer in ((ours, lazy), (theirs, adamw)):
            optimizer.zero_grad()
            module(torch.full((2, 4), float(i + 1))).pow(2).sum().backward()
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_state_goes_through_a_file(tmp_path):
    ours = table(True)
    lazy = LazyAdam(ours.parameters(), lr=0.1)
    for _ in range(3):
        step(lazy, ours, [0, 1])
    torch.save(lazy.state_dict(), tmp_path / "o.pt")
    copy = table(True)
    copy.load_state_dict(ours.state_dict())
    again = LazyAdam(copy.parameters(), lr=0.1)
    again.load_state_dict(torch.load(tmp_path / "o.pt", weights_only=True))
    for module, optimizer in ((ours, lazy), (copy, again)):
        step(optimizer, module, [1, 4])
    assert torch.equal(ours.weight, copy.weight)


@pytest.mark.parametrize("most", [0.5, 1e3, float("inf")])
def test_sparse_gradients_are_clipped_as_dense_ones(most):
    norms = []
    for sparse in (True, False):
        module = nn.Sequential(table(sparse), nn.Linear(3, 2, bias=False))
        torch.manual_seed(2)
        module(torch.tensor([[0, 0, 3], [3, 4, 5]])).pow(2).sum().mul(50).backward()
        parameters = list(module.parameters())
        norm = clip(parameters, most) if sparse else nn.utils.clip_grad_norm_(parameters, most)
        norms.append((norm, [p.grad.to_dense() for p in parameters]))
    assert norms[0][0] == pytest.approx(norms[1][0])
    for a, b in zip(norms[0][1], norms[1][1], strict=True):
        assert torch.allclose(a, b, rtol=1e-4)
