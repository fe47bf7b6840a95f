"""Faithfulness: measures by hand, a right attribution wins, a wrong one loses, an empty one is no better than random."""

import math

import pytest
import torch
from torch import nn

import regard
from regard.attention import MultiHeadAttention
from regard.errors import InputError
from regard.lens.attributions import GRADIENT, RECEIVED, ROLLOUT, ROW, TIMES_INPUT, of_attention, of_gradients
from regard.lens.faithfulness import Example, faithfulness
from regard.lens.rollout import rollout

COUNTS = torch.tensor([0.4, 0.0, 0.3, 0.1])
"""What each token adds to the probability."""


def additive(counts=COUNTS, base=0.1):
    return lambda kept: base + (kept * counts).sum(-1)


def by_hand(order, base=0.1):
    """Measures of an order of the tokens, in plain Python."""
    counts = COUNTS.tolist()
    number, whole = len(counts), base + sum(counts)

    def alone(first):
        return base + sum(counts[i] for i in order[:first])

    def without(first):
        return whole - sum(counts[i] for i in order[:first])

    taken = [math.ceil(share * number) for share in (0.01, 0.05, 0.1, 0.2, 0.5)]
    steps = range(number)
    return {
        "comprehensiveness": sum(whole - without(k) for k in taken) / 5,
        "sufficiency": sum(whole - alone(k) for k in taken) / 5,
        "deletion": sum((without(k) + without(k + 1)) / 2 for k in steps) / number,
        "insertion": sum((alone(k) + alone(k + 1)) / 2 for k in steps) / number,
    }


def test_measures_are_those_of_a_hand_calculation():
    orders = {"right": [0, 2, 3, 1], "wrong": [1, 3, 2, 0]}
    scores = {name: torch.tensor([-float(order.index(i)) for i in range(4)]) for name, order in orders.items()}
    found = faithfulness([Example(additive(), scores)], num_points=5)
    for name, order in orders.items():
        for measure, value in by_hand(order).items():
            assert found.mean(name, measure) == pytest.approx(value, abs=1e-6), (name, measure)
    assert found.curves["right"][0].tolist() == pytest.approx([0.9, 0.5, 0.2, 0.1, 0.1], abs=1e-6)
    assert found.curves["right"][1].tolist() == pytest.approx([0.1, 0.5, 0.8, 0.9, 0.9], abs=1e-6)


def test_right_wins_wrong_loses_and_noise_is_no_better():
    dice = torch.Generator().manual_seed(1)
    examples = []
    for _ in range(30):
        counts = torch.rand(20, generator=dice) ** 4
        counts = 0.8 * counts / counts.sum()
        noise = torch.randn(20, generator=dice)
        examples.append(Example(additive(counts), {"right": counts, "wrong": -counts, "noise": noise, "flat": torch.zeros(20)}))
    found = faithfulness(examples)
    for measure in ("comprehensiveness", "sufficiency", "deletion", "insertion"):
        assert found.verdict("right", measure) == "better"
        assert found.verdict("wrong", measure) == "worse"
        assert found.verdict("noise", measure) == "no better"
        assert found.verdict("flat", measure) == "no better"
    facts = found.facts()
    assert facts["faithfulness of right"].startswith("better than random by comprehensiveness (0.")
    assert facts["faithfulness of noise"].startswith("no better than random by comprehensiveness")
    assert facts["faithfulness of wrong"].startswith("worse than random by")
    assert facts["faithfulness tested on"] == "30 examples, against 20 random orders"
    assert all(isinstance(line, str) for line in facts.values())


def test_random_orders_have_the_mean_and_spread_of_all_orders():
    from itertools import permutations

    every = [by_hand(list(order))["comprehensiveness"] for order in permutations(range(4))]
    found = faithfulness([Example(additive(), {"any": torch.zeros(4)})], num_random=2000, num_points=5)
    mean, spread = found.by_chance("comprehensiveness")
    assert mean == pytest.approx(sum(every) / 24, abs=0.01)
    assert spread == pytest.approx(float(torch.tensor(every).std(correction=0)), rel=0.1)


def test_the_seed_decides_and_the_batch_size_does_not():
    examples = [Example(additive(), {"a": torch.rand(4)})]
    first, same, other = (faithfulness(examples, **options) for options in ({}, {"batch_size": 3}, {"seed": 1}))
    assert torch.equal(first.random["deletion"], same.random["deletion"])
    assert not torch.equal(first.random["deletion"], other.random["deletion"])


def test_tokens_that_must_stay_stay_and_masks_come_in_batches():
    seen = []

    def score(kept):
        seen.append(kept)
        return kept.double().mean(-1)

    removable = torch.tensor([False, True, True, True, False])
    faithfulness([Example(score, {"a": torch.arange(5.0)}, removable)], batch_size=4)
    masks = torch.cat(seen)
    assert all(len(part) <= 4 for part in seen)
    assert masks[:, [0, 4]].all()
    assert len(masks.unique(dim=0)) == len(masks) <= 2**3  # no mask is run twice


def test_bad_input_is_told():
    with pytest.raises(InputError, match="at least one attribution"):
        Example(additive(), {})
    with pytest.raises(InputError, match=r"one number a token each, got {'a': \(4,\), 'b': \(3,\)}"):
        Example(additive(), {"a": torch.zeros(4), "b": torch.zeros(3)})
    with pytest.raises(InputError, match="two tokens or more that can be taken away, got 1"):
        Example(additive(), {"a": torch.zeros(4)}, torch.tensor([True, False, False, False]))
    with pytest.raises(InputError, match="at least one example, got none"):
        faithfulness([])
    with pytest.raises(InputError, match="must be at least 2, batch_size at least 1, got 1, 21 and 64"):
        faithfulness([], num_random=1)
    with pytest.raises(InputError, match="must be finite numbers"):
        faithfulness([Example(additive(), {"a": torch.full((4,), math.nan)})])
    with pytest.raises(InputError, match="one probability for each of"):
        faithfulness([Example(lambda kept: 2 * kept.sum(-1), {"a": torch.zeros(4)})])
    with pytest.raises(InputError, match="the same attributions"):
        faithfulness([Example(additive(), {name: torch.zeros(4)}) for name in "ab"])


class Reader(nn.Module):
    """A tiny classifier of tokens, with attention of ours."""

    def __init__(self):
        super().__init__()
        self.embed, self.attention, self.out = nn.Embedding(9, 8), MultiHeadAttention(8, 2), nn.Linear(8, 1)

    def forward(self, ids):
        x = self.embed(ids)
        return self.out(x + self.attention(x))[:, 0, 0].sigmoid()


def test_attributions_of_attention_are_what_they_say():
    torch.manual_seed(0)
    model, ids = Reader(), torch.tensor([[1, 2, 3, 4]])
    with regard.watch(model, keep_calls=True) as lens:
        model(ids)
    weights = lens.readings[0].weights()[0].double()
    found = of_attention(lens, [0, 2])
    torch.testing.assert_close(found[RECEIVED], weights.mean((0, 1)))
    torch.testing.assert_close(found[ROW], weights[:, [0, 2]].mean((0, 1)))
    torch.testing.assert_close(found[ROLLOUT], rollout(lens, [0, 2])[0].double().mean(0))
    with regard.watch(model, keep_calls=True) as lens:
        model(ids.expand(2, -1))
    with pytest.raises(InputError, match="one example at a time, got a batch of 2"):
        of_attention(lens, [0])


def test_gradients_are_by_each_token_vector():
    torch.manual_seed(0)
    model, ids = Reader().requires_grad_(False), torch.tensor([[1, 2, 3, 4]])
    found = of_gradients(model.embed, lambda: model(ids))
    x = model.embed(ids).double()
    shift = torch.zeros_like(x)
    moved = model.double()
    slopes = torch.zeros_like(x)
    for place in range(x.numel()):
        shift.view(-1)[place] = 1e-6
        both = [moved.out(y + moved.attention(y))[:, 0, 0].sigmoid() for y in (x + shift, x - shift)]
        slopes.view(-1)[place] = (both[0] - both[1]).item() / 2e-6
        shift.view(-1)[place] = 0
    torch.testing.assert_close(found[GRADIENT], slopes[0].norm(dim=-1), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(found[TIMES_INPUT], (slopes * x)[0].sum(-1), rtol=1e-3, atol=1e-6)
    with pytest.raises(InputError, match=r"must return \(1, tokens, width\) once in a forward pass, got \[\]"):
        of_gradients(nn.Identity(), lambda: model(ids))


NAMES = [RECEIVED, ROW, ROLLOUT, GRADIENT, TIMES_INPUT]


@pytest.fixture(scope="module")
def classifier():
    """A small BERT that learnt to tell whether the word "good" is in a text, by looking for it."""
    transformers = pytest.importorskip("transformers", reason="the package transformers is not installed")
    tokenizers = pytest.importorskip("tokenizers", reason="the package tokenizers is not installed")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", *(f"w{i}" for i in range(14))]
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made, **names)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    model = transformers.BertForSequenceClassification(config)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(120):
        ids = torch.randint(4, len(words), (64, 10))
        ids = ids.where(ids != 5, 6)
        labels = torch.rand(64) < 0.5
        ids[labels, torch.randint(0, 10, (64,))[labels]] = 5
        ids = torch.cat([torch.full((64, 1), 2), ids, torch.full((64, 1), 3)], 1)
        loss = model(input_ids=ids, labels=labels.long()).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    return model.eval(), tokenizer


TEXTS = [" ".join([*(f"w{i}" for i in range(1, at)), "good", "w10", "w11"]) for at in range(1, 10)]


@pytest.mark.parametrize("removal", ["token", "attention_mask"])
def test_a_classifier_that_looks_for_one_word_is_seen_through(classifier, removal):
    from regard.lens.classifiers import example_of

    model, tokenizer = classifier
    examples = [example_of(model, tokenizer, text, removal=removal) for text in TEXTS]
    assert list(examples[0].attributions) == NAMES
    place = TEXTS[3].split().index("good") + 1
    assert examples[3].attributions[TIMES_INPUT].abs().argmax() == place
    kept = torch.ones(2, len(examples[3].is_removable), dtype=torch.bool)
    kept[1, place] = False
    there, gone = examples[3].score(kept).tolist()
    assert there > 0.9 > 0.5 > gone
    found = faithfulness(examples)
    assert found.verdict(TIMES_INPUT, "comprehensiveness") == "better"
    assert found.verdict(ROW, "comprehensiveness") == "better"
    assert set(found.facts()) == {*(f"faithfulness of {name}" for name in NAMES), "faithfulness tested on"}


def test_a_classifier_keeps_its_mode_and_bad_options_are_told(classifier):
    from regard.lens.classifiers import example_of

    model, tokenizer = classifier
    model.train()
    example = example_of(model, tokenizer, TEXTS[1])
    first, second = (example.score(torch.ones(1, 6, dtype=torch.bool)) for _ in range(2))
    assert torch.equal(first, second)  # no dropout
    assert model.training
    model.eval()
    with pytest.raises(InputError, match="removal must be one of token, attention_mask, got 'delete'"):
        example_of(model, tokenizer, TEXTS[1], removal="delete")


def test_a_yes_or_no_logit_is_read_by_its_sigmoid(classifier):
    import copy

    from regard.lens.classifiers import example_of

    model, tokenizer = copy.deepcopy(classifier[0]), classifier[1]
    model.classifier = nn.Linear(16, 1)
    whole = torch.ones(1, 6, dtype=torch.bool)
    for bias in (3.0, -3.0):
        nn.init.constant_(model.classifier.bias, bias)
        assert example_of(model, tokenizer, TEXTS[1]).score(whole) > 0.5
