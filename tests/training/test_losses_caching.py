"""Gradient caching: the gradients of the whole batch at once, from a few texts at a time."""

import gc
import weakref

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from toy_students import SENTENCES, features, gradients, static_student, transformer_student

from mimo_eval.training.losses import Balance, Distillation, Hu2023Loss, InfoNCE, Joint, JsdNce, LaKDA
from mimo_eval.training.losses.embedding import embed, rows

TARGETS = torch.linspace(-1, 1, 80).reshape(16, 5).sin()
LABELS = torch.arange(8)[:, None].repeat(1, 5)
LOSSES = {
    "infonce": (2, lambda model: InfoNCE(model)),
    "negatives": (4, lambda model: InfoNCE(model, negatives=2)),
    "lakda": (3, lambda model: LaKDA(model)),
    "hu2023": (5, lambda model: Hu2023Loss(model, semantic=1, language=1)),
    "jsd-nce": (3, lambda model: JsdNce(model)),
    "distillation": (1, lambda model: Distillation(model, projection=head(), targets=TARGETS)),
    **{
        f"joint-{rule}": (
            2,
            lambda model, rule=rule: Joint(model, projection=head(), targets=TARGETS, balance=Balance(0.3, rule)),
        )
        for rule in ("constant", "gradient", "uncertainty")
    },
}


def head():
    torch.manual_seed(0)
    return nn.Linear(16, 5)


def columns(model, count):
    return features(model, *(SENTENCES[i:] + SENTENCES[:i] for i in range(count)))


def width(loss, batch):
    return len(batch) + isinstance(loss, Joint)


def run(loss, batch, labels=LABELS, scale=1.0):
    parts = loss(batch, labels[:, : width(loss, batch)])
    (scale * sum(parts.values())).backward()
    return {name: part.detach() for name, part in parts.items()}, gradients(loss)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [3, 8])
def test_cached_gradients_are_those_of_the_whole_batch(name, size):
    """Also those of the projection, and of a loss that is scaled, as accumulated gradients and half precision need."""
    student = transformer_student()
    count, make = LOSSES[name]
    plain, cached = make(student), make(student)
    cached.mini_batch_size = size
    parts, expected = run(plain, columns(student, count), scale=0.25)
    again, found = run(cached, columns(student, count), scale=0.25)
    assert parts.keys() == again.keys()
    for part in parts:
        torch.testing.assert_close(again[part], parts[part], atol=1e-5, rtol=1e-5)
    assert found.keys() == expected.keys()
    for parameter in expected:
        torch.testing.assert_close(found[parameter], expected[parameter], atol=1e-5, rtol=1e-5)


def test_the_second_pass_drops_out_what_the_first_did():
    """The oracle embeds the same mini-batches once, keeping everything; other random numbers are drawn before the backward."""
    student = transformer_student(dropout=0.3)
    loss = InfoNCE(student)
    batch = columns(student, 2)
    found = []
    for size in (4, None):
        torch.manual_seed(1)
        if size is None:
            vectors = [torch.cat([student(rows(c, s, s + 4))["sentence_embedding"] for s in (0, 4)]) for c in batch]
        else:
            vectors = embed(student, batch, size)
        total = loss.compute_loss_from_embeddings(vectors, LABELS[:, :1])["infonce"]
        torch.rand(100)
        total.backward()
        found.append((total.item(), gradients(student)))
    assert found[0][0] == found[1][0]
    for parameter, gradient in found[0][1].items():
        torch.testing.assert_close(gradient, found[1][1][parameter], atol=1e-6, rtol=1e-5)


@pytest.fixture
def no_other_objects():
    """Let the collector look at what the test makes alone, and not at all that is in the process, after every layer."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("no_other_objects")
def test_activations_of_one_mini_batch_live_at_a_time():
    student = transformer_student()
    alive, most = weakref.WeakSet(), {}

    def watch(module, given, output):
        alive.add(output)
        gc.collect()
        most[stage] = max(most.get(stage, 0), sum(len(tensor) for tensor in alive))

    student[0].auto_model.encoder.layer[0].intermediate.dense.register_forward_hook(watch)
    for size in (2, None):
        stage = ("forward", size)
        loss = InfoNCE(student, mini_batch_size=size)
        total = loss(columns(student, 2), LABELS[:, :1])["infonce"]
        stage = ("backward", size)
        total.backward()
        alive.clear()
    assert most == {("forward", 2): 2, ("backward", 2): 2, ("forward", None): 16}


def test_without_gradients_the_loss_is_the_same():
    student = transformer_student().eval()
    with torch.no_grad():
        values = [InfoNCE(student, mini_batch_size=size)(columns(student, 2), LABELS[:, :1])["infonce"] for size in (3, None)]
    torch.testing.assert_close(*values)
    assert not values[0].requires_grad


def test_half_precision_models_have_a_loss_in_full():
    student = transformer_student()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = [InfoNCE(student, mini_batch_size=size)(columns(student, 2), LABELS[:, :1])["infonce"] for size in (3, None)]
    assert values[0].dtype == torch.float32
    torch.testing.assert_close(*values, atol=0.05, rtol=0.05)
    values[0].backward()


@pytest.mark.parametrize("sparse", [False, True])
def test_static_students_take_every_loss_and_keep_their_gradients_sparse(sparse):
    student = static_student(sparse, width=16)
    texts = [f"en{i} de{i}" for i in range(8)]
    for name, (count, make) in LOSSES.items():
        loss = make(student)
        loss.mini_batch_size = 2  # of no effect
        batch = features(student, *[texts[i:] + texts[:i] for i in range(count)])
        parts = loss(batch, LABELS[:, : width(loss, batch)])
        sum(parts.values()).backward()
        gradient = student[0].embedding.weight.grad
        assert gradient.is_sparse == sparse, name
        assert set(torch.nonzero(gradient.to_dense().abs().sum(1)).flatten().tolist()) <= {*range(1, 9), *range(13, 21)}
        student.zero_grad()


def test_rows_of_static_features_are_those_texts():
    student = static_student()
    batch = student.preprocess(["en1 en2 en3", "de1", "", "zh4 zh5"])
    whole = student(dict(batch))["sentence_embedding"]
    for begin, end in [(0, 2), (1, 4), (2, 3), (0, 4)]:
        torch.testing.assert_close(student(rows(batch, begin, end))["sentence_embedding"], whole[begin:end])


@pytest.fixture
def process_group(tmp_path):
    """One process is enough for what breaks: a forward pass in the middle of the backward pass."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize("unused", [False, True])
def test_caching_works_within_distributed_training(process_group, unused):
    """BERT's own pooler has no part in mean pooling: frozen, or looked for as the trainer has it by default."""
    student = transformer_student()
    student[0].auto_model.pooler.requires_grad_(unused)
    expected = run(InfoNCE(student), columns(student, 2))[1]
    loss = InfoNCE(student, mini_batch_size=3)
    loss.model = DistributedDataParallel(student, find_unused_parameters=unused)
    calls = []
    loss.model.register_forward_pre_hook(lambda *_: calls.append(None))
    for _ in range(2):  # a reducer left half-way fails at the second step
        found = run(loss, columns(student, 2))[1]
        assert len(calls) == 2 * 3  # mini-batches, once each: the second pass is the student's own
        calls.clear()
        for parameter, gradient in expected.items():
            torch.testing.assert_close(found[parameter.replace("model.", "model.module.", 1)], gradient, atol=1e-5, rtol=1e-5)
