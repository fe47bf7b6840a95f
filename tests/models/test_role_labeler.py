"""Roles as a model: one reading of the sentence, one of each predicate."""

import pytest
import torch
from torch import nn

from regard.models import role_labeler
from regard.models.bio import best_unique_spans
from regard.models.model import Reader
from regard.models.options import RoleOptions
from regard.models.role_labeler import IGNORED, DeepRoleLabeler, DocumentRoleLabeler, RoleSizes

SIZES = RoleSizes(labels=3, senses=4, unique=(0, 1))


class OneHot(Reader):
    """Words read as themselves."""

    width = 6

    def forward(self, batch):
        return nn.functional.one_hot(batch["words"], self.width).float()


class Marked(OneHot):
    """The same, read again for each predicate, as an encoder does with a mark."""

    can_mark = True

    def marked(self, batch, choose):
        read = self(batch)
        return read[choose(read)[0]]


def options(**given):
    return RoleOptions(**{"d_recurrent": 4, "num_heads": 2, "d_indicator": 3} | given)


KINDS = {"deep": (DeepRoleLabeler, OneHot), "marked": (DeepRoleLabeler, Marked), "document": (DocumentRoleLabeler, OneHot)}


@pytest.fixture(params=KINDS)
def model(request):
    torch.manual_seed(0)
    kind, reader = KINDS[request.param]
    return kind(reader(), SIZES, options()).eval()


def batch_of(*propositions):
    """Two sentences of 5 and 3 words; (sentence, predicate) of each proposition."""
    is_predicate = torch.zeros(2, 5, dtype=torch.long)
    for sentence, predicate in propositions:
        is_predicate[sentence, predicate] = 1
    return {
        "words": torch.tensor([[1, 2, 3, 4, 5], [2, 1, 3, 0, 0]]),
        "lengths": torch.tensor([5, 3]),
        "sentences": torch.tensor([sentence for sentence, _ in propositions], dtype=torch.long),
        "predicates": torch.tensor([predicate for _, predicate in propositions], dtype=torch.long),
        "is_predicate": is_predicate,
        "tags": torch.tensor([[0, 1, 4, 0, 2], [1, 0, 2, IGNORED, IGNORED]][: len(propositions)]).reshape(-1, 5),
        "senses": torch.tensor([2, IGNORED][: len(propositions)], dtype=torch.long),
    }


def test_a_proposition_does_not_depend_on_the_others(model):
    together = model(batch_of((0, 1), (1, 2)))
    alone = model(batch_of((1, 2)))
    torch.testing.assert_close(together.tags[1, :3], alone.tags[0, :3])
    torch.testing.assert_close(together.senses[1], alone.senses[0])


def test_the_place_of_the_predicate_changes_the_tags(model):
    tags = model(batch_of((0, 1), (0, 3))).tags
    assert (tags[0] - tags[1]).abs().max() > 1e-3


def test_every_parameter_learns(model):
    loss = model.train().loss(batch_of((0, 1), (1, 2)))
    loss.backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


def test_a_batch_without_predicates_still_teaches_to_find_them(model):
    batch = batch_of()
    batch["tags"] = torch.zeros(0, 5, dtype=torch.long)
    model.loss(batch).backward()
    assert model.find.weight.grad is not None
    assert len(model.predict(batch)) == 2


def test_given_and_found_predicates_are_read(model):
    with torch.no_grad():
        model.find.weight.zero_()
        model.find.bias.fill_(-1)
    first, second = model.predict(batch_of((0, 1), (1, 2)))
    assert (first.found, first.predicates, second.predicates) == ([], [1], [2])
    assert [len(tags) for tags in (*first.tags, *second.tags)] == [5, 3]
    with torch.no_grad():
        model.find.bias.fill_(1)
    first, second = model.predict(batch_of((0, 1)))
    assert (first.found, second.found) == ([0, 1, 2, 3, 4], [0, 1, 2])
    assert second.predicates == [0, 1, 2]


@pytest.mark.parametrize(("at_once", "sizes"), [(1, [1] * 8), (15, [3, 3, 2]), (40, [8])])
def test_predicates_are_read_some_at_a_time(model, monkeypatch, at_once, sizes):
    with torch.no_grad():
        model.find.weight.zero_()
        model.find.bias.fill_(1)
    whole, seen = model.predict(batch_of((0, 1))), []
    monkeypatch.setattr(role_labeler, "AT_ONCE", at_once)
    model.emit.register_forward_hook(lambda module, given, scores: seen.append(len(scores)))
    parts = model.predict(batch_of((0, 1)))
    assert seen == sizes
    for one, other in zip(parts, whole, strict=True):
        assert one[:3] == other[:3]
        torch.testing.assert_close(torch.stack(one.sense_scores), torch.stack(other.sense_scores))


def test_core_roles_can_be_kept_to_one_each():
    torch.manual_seed(0)
    model, begun = DeepRoleLabeler(OneHot(), SIZES, options()).eval(), {}
    with torch.no_grad():
        model.emit.bias[:] = torch.tensor([0.0, 5, 0, 4, 0, 0, 0])  # every word wants to begin the first role
    for model.is_core_unique in (False, True):
        begun[model.is_core_unique] = max(tags.count(1) for tags in model.predict(batch_of((0, 1)))[0].tags)
    assert begun == {False: 5, True: 1}


def test_holding_roles_one_by_one_finds_the_best_of_all_that_are_allowed():
    torch.manual_seed(0)
    sizes = RoleSizes(4, 2, unique=(0, 1, 2))
    model, num_held = DeepRoleLabeler(OneHot(), sizes, options()).eval(), 0
    for length in (1, 2, 5, 9) * 10:
        scores = torch.randn(1, length, 9)
        scores[..., 1:4] += 2
        (tags,) = model._decode(scores, torch.tensor([length]))
        best = best_unique_spans(scores[0].log_softmax(-1), [0, 1, 2]).tolist()
        assert tags == best
        model.is_core_unique = False
        num_held += model._decode(scores, torch.tensor([length])) != [tags]
        model.is_core_unique = True
    assert num_held > 20


def test_attention_can_be_left_out():
    model = DeepRoleLabeler(OneHot(), SIZES, options(mechanism="none"))
    assert not [name for name, _ in model.named_parameters() if "attention" in name]
    assert torch.isfinite(model.loss(batch_of((0, 1))))
