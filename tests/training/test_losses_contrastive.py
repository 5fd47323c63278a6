"""InfoNCE, its mask, LaKDA, Hu et al., JSD + NCE: numbers worked out by hand, losses of sentence-transformers as oracles."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch import nn
from toy_students import static_student

from mimo_eval.training.losses import Hu2023Loss, InfoNCE, JsdNce, LaKDA
from mimo_eval.training.losses.contrastive import false_negatives
from mimo_eval.training.losses.embedding import unit
from mimo_eval.training.losses.hu2023 import language_contrast, nt_xent
from mimo_eval.training.losses.jsd_nce import jensen_shannon
from mimo_eval.training.losses.lakda import neighbour_divergence

DISTINCT = torch.tensor([[0], [1]])


def towards(rows):
    """Return unit vectors with these cosines to the first unit vectors of the axes."""
    rows = torch.tensor(rows, dtype=torch.float64)
    return torch.cat([rows, (1 - rows.square().sum(1, keepdim=True)).sqrt()], dim=1)


def axes(count, width):
    return torch.eye(count, width, dtype=torch.float64)


def test_xlco_of_a_known_cosine_matrix():
    queries, passages = 3 * towards([[0.5, 0.4], [0.3, 0.6]]), 0.2 * axes(2, 3)
    loss = InfoNCE(nn.Identity(), name="xlco")
    assert loss.compute_loss_from_embeddings([queries, passages], DISTINCT)["xlco"].item() == pytest.approx(0.064702, abs=1e-6)
    first = loss.compute_loss_from_embeddings([queries[:1], passages[:1]], DISTINCT[:1])["xlco"]
    assert first.item() == 0  # a batch of one has no negatives


def test_rows_of_the_known_matrix():
    scores = 20 * torch.tensor([[0.5, 0.4], [0.3, 0.6]])
    rows = nn.functional.cross_entropy(scores, torch.arange(2), reduction="none")
    assert rows.tolist() == pytest.approx([0.126928, 0.002476], abs=1e-6)


@pytest.mark.parametrize("negatives", [0, 2])
def test_infonce_is_the_librarys_ranking_loss(negatives):
    torch.manual_seed(0)
    vectors = [torch.randn(5, 4) for _ in range(2 + negatives)]
    labels = torch.arange(5 * (1 + negatives)).reshape(-1, 5).T
    ours = InfoNCE(nn.Identity(), negatives=negatives).compute_loss_from_embeddings(vectors, labels)["infonce"]
    theirs = MultipleNegativesRankingLoss(static_student()).compute_loss_from_embeddings(vectors, None)
    torch.testing.assert_close(ours, theirs)


def test_chance_is_the_logarithm_of_the_batch_size():
    same = torch.ones(8, 3)
    loss = InfoNCE(nn.Identity()).compute_loss_from_embeddings([same, same], torch.arange(8)[:, None])
    assert loss["infonce"].item() == pytest.approx(math.log(8))


def test_the_same_passage_twice_is_no_negative():
    """Rows 0 and 2 have one passage, in two languages perhaps; row 1 stays a negative of both."""
    assert false_negatives(torch.tensor([[7], [8], [7]])).tolist() == [
        [False, False, True],
        [False, False, False],
        [True, False, False],
    ]
    torch.manual_seed(0)
    queries, passages = torch.randn(3, 4), torch.randn(3, 4, requires_grad=True)
    loss = InfoNCE(nn.Identity())
    masked = loss.compute_loss_from_embeddings([queries, passages], torch.tensor([[7], [8], [7]]))["infonce"]
    cosines = 20 * unit(queries) @ unit(passages).T
    rows = [
        -torch.log_softmax(cosines[0, [0, 1]], 0)[0],
        -torch.log_softmax(cosines[1], 0)[1],
        -torch.log_softmax(cosines[2, [2, 1]], 0)[0],
    ]
    torch.testing.assert_close(masked, torch.stack(rows).mean())
    masked.backward()
    assert passages.grad.isfinite().all()


def test_a_batch_of_one_passage_only_has_loss_0_and_no_nan():
    queries = torch.randn(3, 4, requires_grad=True)
    loss = InfoNCE(nn.Identity()).compute_loss_from_embeddings([queries, torch.randn(3, 4)], torch.full((3, 1), 5))["infonce"]
    loss.backward()
    assert loss.item() == 0
    assert (queries.grad == 0).all()


def test_other_passages_that_answer_the_query_are_no_negatives():
    """Query 0 is answered by 4 too; that does not make passage 3 relevant to query 1."""
    assert false_negatives(torch.tensor([[3, 4, -1], [4, -1, -1]])).tolist() == [[False, True], [False, False]]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_mask_is_what_a_loop_finds(data):
    size, columns, more = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 3)), data.draw(st.integers(0, 3))
    groups = np.array(data.draw(st.lists(st.lists(st.integers(-1, 4), min_size=columns + more, max_size=columns + more),
                                         min_size=size, max_size=size)))  # fmt: skip
    found = false_negatives(torch.tensor(groups), columns).numpy()
    for query in range(size):
        relevant = {int(g) for g in (groups[query, 0], *groups[query, columns:]) if g >= 0}
        for column in range(columns):
            for row in range(size):
                own = column == 0 and row == query
                assert found[query, column * size + row] == (not own and int(groups[row, column]) in relevant)


def test_a_vector_of_zeros_gives_no_nan():
    vectors = torch.zeros(2, 3, requires_grad=True)
    loss = InfoNCE(nn.Identity()).compute_loss_from_embeddings([vectors, vectors], DISTINCT)["infonce"]
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2))
    assert vectors.grad.isfinite().all()


def test_divergence_of_lakda_and_its_direction():
    a, b, passages = towards([[0.5, 0.4]]), towards([[0.6, 0.3]]), axes(2, 3)
    assert torch.softmax(unit(a) @ passages.T, -1)[0].tolist() == pytest.approx([0.524979, 0.475021], abs=1e-6)
    assert torch.softmax(unit(b) @ passages.T, -1)[0].tolist() == pytest.approx([0.574443, 0.425557], abs=1e-6)
    assert neighbour_divergence(a, b, passages).item() == pytest.approx(0.004930, abs=1e-6)
    assert neighbour_divergence(b, a, passages).item() == pytest.approx(0.004963, abs=1e-6)


def test_lakda_weighs_its_parts_and_trains_all_three_towers():
    torch.manual_seed(0)
    towers = [torch.randn(4, 5, requires_grad=True) for _ in range(3)]
    labels = torch.arange(4)[:, None]
    parts = LaKDA(nn.Identity(), alpha=0.25).compute_loss_from_embeddings(towers, labels)
    alone = InfoNCE(nn.Identity()).compute_loss_from_embeddings([towers[0], towers[2]], labels)["infonce"]
    torch.testing.assert_close(parts["infonce"], 0.75 * alone)
    torch.testing.assert_close(parts["divergence"], 0.25 * neighbour_divergence(*towers))
    sum(parts.values()).backward()
    assert all(tower.grad.abs().sum() > 0 for tower in towers)


@pytest.mark.parametrize(
    "left, right, temperature, expected", [(0.7, 0.7, 1, 0.693147), (0.8, 0.6, 1, 0.698139), (0.8, 0.6, 0.1, 1.126928)]
)
def test_language_contrast_of_known_cosines(left, right, temperature, expected):
    i, j, third = towards([[left]]), towards([[right]]), axes(1, 2)
    numbers = torch.tensor([0]), torch.tensor([1])
    assert language_contrast(i, j, third, *numbers, temperature).item() == pytest.approx(expected, abs=1e-6)
    assert language_contrast(j, i, third, *numbers, temperature).item() == pytest.approx(expected, abs=1e-6)


def test_a_third_sentence_of_the_pair_itself_does_not_count():
    i, j, third = towards([[0.8]]), towards([[0.6]]), axes(1, 2)
    assert language_contrast(i, j, third, torch.tensor([3]), torch.tensor([3]), 1).item() == 0
    both = torch.cat([third, third])
    assert language_contrast(i, j, both, torch.tensor([3]), torch.tensor([3, 4]), 1).item() == pytest.approx(0.698139, abs=1e-6)


def test_nt_xent_is_what_a_loop_finds():
    torch.manual_seed(0)
    left, right, groups = torch.randn(3, 4), torch.randn(3, 4), torch.tensor([0, 1, 0])
    sentences, owner = unit(torch.cat([left, right])), [0, 1, 0, 0, 1, 0]
    rows = []
    for i in range(6):
        partner = (i + 3) % 6
        kept = [partner, *(k for k in range(6) if owner[k] != owner[i])]
        rows.append(-torch.log_softmax(sentences[i] @ sentences[kept].T / 0.1, 0)[0])
    torch.testing.assert_close(nt_xent(left, right, groups, 0.1), torch.stack(rows).mean())


def test_hu_adds_weighted_parts_and_masks_each_by_its_own_group():
    torch.manual_seed(0)
    vectors = [torch.randn(3, 4) for _ in range(6)]
    labels = torch.tensor([[1, 9, 20, 31, -1], [2, 1, 21, 20, 9], [1, 4, 20, 33, -1]])
    parts = Hu2023Loss(nn.Identity(), negatives=1, semantic=0.5, language=2).compute_loss_from_embeddings(vectors, labels)
    retrieval = InfoNCE(nn.Identity(), negatives=1).compute_loss_from_embeddings(vectors[:3], labels[:, [0, 1, 4]])["infonce"]
    torch.testing.assert_close(parts["retrieval"], retrieval)
    torch.testing.assert_close(parts["semantic"], 0.5 * nt_xent(vectors[3], vectors[4], labels[:, 2], 0.1))
    expected = 2 * language_contrast(*vectors[3:], labels[:, 2], labels[:, 3], 0.1)
    torch.testing.assert_close(parts["language"], expected)


def test_jensen_shannon_is_scipys():
    from scipy.spatial.distance import jensenshannon

    torch.manual_seed(0)
    one, two = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
    expected = jensenshannon(torch.softmax(one, -1).T, torch.softmax(two, -1).T)
    np.testing.assert_allclose(jensen_shannon(one, two).sqrt(), expected)
    assert jensen_shannon(torch.tensor([[100.0, -100.0]]), torch.tensor([[-100.0, 100.0]])).item() == pytest.approx(math.log(2))


def test_jsd_nce_asks_with_the_translated_passage_and_masks_queries_it_answers():
    """Query 0 is answered by the passages of both rows, so neither question is a negative of passage 1."""
    torch.manual_seed(0)
    queries, passages, others = (torch.randn(2, 4, requires_grad=True) for _ in range(3))
    parts = JsdNce(nn.Identity()).compute_loss_from_embeddings([queries, passages, others], torch.tensor([[3, 4], [4, -1]]))
    cosines = 20 * unit(others) @ unit(queries).T
    torch.testing.assert_close(parts["infonce"], -torch.log_softmax(cosines[0], 0)[0] / 2)
    same = JsdNce(nn.Identity()).compute_loss_from_embeddings([queries, passages, passages], DISTINCT)
    sum(same.values()).backward()
    assert same["divergence"].item() < 1e-5
    assert passages.grad.isfinite().all()
