"""Losses on where a model looks: as defined, with exact gradients, in O(N) memory, and they do what they are for."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from regard.attention import MultiHeadAttention, causal, everything, padding
from regard.attention.call import Call
from regard.attention.mechanism import mechanism_named
from regard.attention.scaled_dot import ScaledDot
from regard.errors import InputError
from regard.lens.attached import attached
from regard.lens.losses import (
    EntropyCeiling,
    EntropyFloor,
    Guidance,
    SinkPenalty,
    entropy_ceiling,
    entropy_floor,
    guidance,
    sink_penalty,
)

BATCH, HEADS, LENGTH, DIM = 2, 4, 5, 4
PADDED = padding(torch.tensor([5, 3]), torch.tensor([5, 3]))
MASKS = {"everything": everything, "causal": causal, "padding": PADDED}
HARD = torch.tensor([[0, -1, 1, 2, 0], [0, 1, 0, -1, -1]])
SOFT = torch.zeros(BATCH, LENGTH, LENGTH, dtype=torch.float64)
SOFT[0, 2, :2], SOFT[0, 4, 1], SOFT[1, 1, 0] = torch.tensor([0.25, 0.75], dtype=torch.float64), 1.0, 0.5
CLOSE = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


def make(mechanism="softmax", mask=everything, kv_heads=2, spread=1.5):
    made = mechanism_named(mechanism, DIM, HEADS).double()
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    query, key = (spread * torch.randn(BATCH, h, LENGTH, DIM, dtype=torch.float64) for h in (HEADS, kv_heads))
    return Call(made, query.requires_grad_(), key.requires_grad_(), key.detach(), mask)


def mean(values, counted):
    return sum(value for value, counts in zip(values.flatten(), counted.flatten(), strict=True) if counts) / counted.sum()


def parts(call):
    """Weights, entropies, and how many keys each query may look at, written out."""
    weights = call.weights()
    bits = -(weights * weights.where(weights > 0, 1).log2()).sum(-1)
    return weights, bits, (weights > 0).sum(-1)


@pytest.mark.parametrize("mechanism", ["softmax", "sink", "softcap", "cosine"])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_the_losses_are_as_defined(mask, mechanism):
    call = make(mechanism, mask)
    weights, bits, permitted = parts(call)
    least = permitted.clamp(min=1).double().log2().clamp(max=1.8)
    torch.testing.assert_close(entropy_floor(call, 1.8), mean((least - bits).relu(), permitted > 0), **CLOSE)
    torch.testing.assert_close(entropy_ceiling(call, 1.0), mean((bits - 1.0).relu(), permitted > 0), **CLOSE)
    over = (weights[..., :2].sum(-1) - 0.4).relu()
    torch.testing.assert_close(sink_penalty(call, 0.4, keys=2), mean(over, permitted > 2), **CLOSE)


@pytest.mark.parametrize("mechanism", ["softmax", "sink", "softcap", "additive"])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_guidance_by_positions_is_minus_the_log_of_the_weight_there(mask, mechanism):
    call = make(mechanism, mask)
    at = call.weights()[:, [0, 2]].gather(3, HARD.clamp(min=0)[:, None, :, None].expand(-1, 2, -1, -1))[..., 0]
    told = (HARD >= 0)[:, None].expand(-1, 2, -1)
    torch.testing.assert_close(guidance(call, HARD, heads=(0, 2)), mean(-at.where(told, torch.ones(())).log(), told), **CLOSE)


@pytest.mark.parametrize("is_sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("mechanism", ["softmax", "sink", "bilinear"])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_guidance_by_shares_is_the_cross_entropy(mask, mechanism, is_sparse):
    call = make(mechanism, mask)
    log_weights = call.weights().where(call.weights() > 0, torch.ones(())).log()
    expected = mean(-(SOFT[:, None] * log_weights).sum(-1), (SOFT.sum(-1) > 0)[:, None].expand(-1, HEADS, -1))
    given = SOFT.to_sparse() if is_sparse else SOFT
    torch.testing.assert_close(guidance(call, given, heads=()), expected, **CLOSE)


def test_hard_and_soft_guidance_agree():
    call = make(mask=causal)
    soft = F.one_hot(HARD.clamp(min=0), LENGTH) * (HARD >= 0)[..., None]
    torch.testing.assert_close(guidance(call, HARD), guidance(call, soft.double()), **CLOSE)


LOSSES = {
    "floor": EntropyFloor(1.8),
    "ceiling": EntropyCeiling(1.0),
    "sink": SinkPenalty(0.2, keys=2),
    "hard": Guidance(HARD, heads=()),
    "soft": Guidance(SOFT, heads=(1, 3)),
    "sparse": Guidance(SOFT.to_sparse(), heads=()),
}


@pytest.mark.parametrize("mechanism", ["softmax", "sink"])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_gradients_are_right(loss, mask, mechanism):
    call = make(mechanism, mask)

    def found(query, key, *parameters):
        return loss(Call(call.mechanism, query, key, key, mask))

    assert torch.autograd.gradcheck(found, (call.query, call.key, *call.mechanism.parameters()), fast_mode=True, atol=1e-7)


def test_a_query_that_may_look_at_one_key_is_not_asked_for_more():
    call = make(mask=causal)
    only_first = Call(call.mechanism, call.query[:, :, :1], call.key, call.value, causal)
    assert entropy_floor(only_first, 3.0).item() == pytest.approx(0, abs=1e-12)
    assert sink_penalty(only_first, 0.0) == 0


def test_padding_has_no_say():
    call = make(mask=PADDED)
    for loss in LOSSES.values():
        gradient = torch.autograd.grad(loss(call), call.key, retain_graph=True)[0]
        assert gradient.isfinite().all()
        assert (gradient[1, :, 3:] == 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_memory_grows_with_the_length_only(name):
    """What autograd keeps, each storage once; the alignment that was given is not counted."""

    def kept(length):
        query, key = (torch.randn(1, 2, length, 8, requires_grad=True) for _ in range(2))
        shares = torch.eye(length)[None]
        hard, soft, sparse = torch.arange(length)[None], shares, shares.to_sparse()
        losses = {**LOSSES, "hard": Guidance(hard), "soft": Guidance(soft), "sparse": Guidance(sparse)}
        sizes = {}

        def keep(x):
            if not x.is_sparse and x.data_ptr() != soft.data_ptr():
                sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            loss = losses[name](Call(ScaledDot(), query, key, key, causal))
        assert loss.requires_grad
        return sum(sizes.values())

    once, twice = kept(512), kept(1024)
    assert 0 < twice <= 2.1 * once
    assert twice < 1024 * 2 * 4 * 120  # numbers of 4 bytes for each query of 2 heads; the matrix alone would be 1024


def test_bad_alignments_are_told():
    call = make(mask=causal)
    with pytest.raises(InputError, match="query 0 of sequence 1 to look where its mask forbids it"):
        guidance(call, torch.tensor([[0] * 5, [1] * 5]))
    for given in (torch.ones(BATCH, LENGTH, LENGTH), torch.ones(BATCH, LENGTH, LENGTH).to_sparse()):
        with pytest.raises(InputError, match="query 0 of sequence 0 to look where its mask forbids it"):
            guidance(call, given)
    with pytest.raises(InputError, match=r"whole numbers \(2, 5\), got torch.int64 \(2, 4\)"):
        guidance(call, torch.zeros(2, 4, dtype=torch.long))
    with pytest.raises(InputError, match="keys below 5, or -1 for none, got 7"):
        guidance(call, torch.full((1, 5), 7))
    with pytest.raises(InputError, match=r"\(batch, queries, keys\) = \(2, 5, 5\), got \(2, 5, 4\)"):
        guidance(call, torch.zeros(2, 5, 4))
    with pytest.raises(InputError, match=r"plain dot products \(it has a softcap\)"):
        guidance(make("softcap"), SOFT)
    with pytest.raises(InputError, match="heads must be below 4"):
        entropy_floor(call, 1.0, heads=(4,))


class Layer(nn.Module):
    """Attention by PyTorch's own function, with no place to ask it for weights."""

    def __init__(self, width=16, heads=2):
        super().__init__()
        self.heads, self.project = heads, nn.Linear(width, 3 * width)

    def forward(self, x):
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.project(x).chunk(3, -1))
        return x + F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([Layer(), Layer()])
        self.other = nn.MultiheadAttention(16, 2, batch_first=True)
        self.ours = MultiHeadAttention(16, 2, mechanism="sink", mask=causal)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        x = x + self.other(x, x, x, need_weights=False)[0]
        return x + self.ours(x)


def test_penalties_go_on_from_outside_and_reach_the_parameters():
    model, x = Model(), torch.randn(2, 9, 16)
    plain = model(x)
    with attached(model, {"*": [EntropyFloor(5.0)]}) as added:
        out = model(x)
    assert torch.equal(plain, out)
    assert list(added.by_layer()) == ["layers.0", "layers.1", "other", "ours.mechanism"]
    added.total().backward()
    for touched in (model.layers[0].project.weight, model.layers[1].project.weight, model.other.in_proj_weight):
        assert touched.grad.abs().sum() > 0
    assert model.ours.mechanism.normalize.sink.grad.abs().sum() > 0
    assert not any("forward" in vars(module) for module in model.modules())


def test_only_the_layers_that_are_named_are_penalised():
    model, x = Model(), torch.randn(2, 9, 16)
    with attached(model, {"layers.1": [EntropyFloor(5.0, weight=2.0)], "layers.*": [EntropyFloor(5.0)]}) as added:
        model(x)
        first = added.total()
        model(x)
        torch.testing.assert_close(added.total(), first)  # a mean over calls
        added.clear()
        with pytest.raises(InputError, match=r"No attention call fits 'layers.1', 'layers.\*'. Calls seen: layers.0, "):
            added.total()
    assert list(added.seen) == ["layers.0", "layers.1", "other", "ours.mechanism"]


def test_attention_outside_of_the_model_is_none_of_its_penalties():
    x = torch.randn(1, 2, 3, 4)
    with attached(Model(), {"*": [EntropyFloor(5.0)]}) as added:
        F.scaled_dot_product_attention(x, x, x)
    assert added.seen == []


def test_penalties_go_on_inside_a_watch_and_by_their_own_names():
    import regard

    inner, x = Model(), torch.randn(2, 9, 16)
    with attached(inner, {"*": [EntropyFloor(5.0)]}) as alone:
        inner(x)
    with regard.watch(nn.Sequential(inner)) as lens, attached(inner, {"*": [EntropyFloor(5.0)]}) as added:
        inner(x)
    torch.testing.assert_close(added.total(), alone.total())
    assert list(added.by_layer()) == list(alone.by_layer())
    assert lens.layers == [f"0.{layer}" for layer in added.seen]


def test_padding_of_a_transformers_model_is_left_out_of_its_penalties():
    transformers = pytest.importorskip("transformers", reason="the package transformers is not installed")
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8
    )
    config._attn_implementation = "sdpa"
    model, ids = transformers.BertModel(config).eval(), torch.randint(5, 20, (2, 6))
    mask = torch.tensor([[1] * 6, [1] * 3 + [0] * 3])
    calls = []
    with attached(model, {"encoder.layer.0.*": [lambda call: calls.append(call) or entropy_floor(call, 2.0)]}) as added:
        model(ids, attention_mask=mask)
    weights = calls[0].weights()
    assert (weights[1, :, 3:] == 0).all()
    bits = torch.special.entr(weights).sum(-1) / math.log(2)
    least = torch.tensor([2.0] * 6 + [math.log2(3)] * 3)
    live = torch.cat([bits[0], bits[1, :, :3]], 1)
    torch.testing.assert_close(added.total(), (least - live).relu().mean())


def test_weights_that_a_model_writes_out_are_refused_not_left_out():
    transformers = pytest.importorskip("transformers", reason="the package transformers is not installed")
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    config._attn_implementation = "eager"
    model = transformers.BertModel(config)
    with attached(model, {"*": [EntropyFloor(5.0)]}) as added:
        model(torch.randint(5, 20, (2, 6)))
    with pytest.raises(InputError, match="it writes its weights out itself; of a transformers model choose"):
        added.total()


def test_the_model_is_whole_again_after_an_error():
    model = Model()
    with pytest.raises(RuntimeError, match="shapes"), attached(model, {"*": []}):
        model(torch.randn(2, 9, 17))
    assert not any("forward" in vars(module) for module in model.modules())
    with pytest.raises(InputError, match=r"needs a torch.nn.Module to look into, got list"), attached([], {}):
        pass


def test_gradient_checkpointing_sees_each_call_once():
    from torch.utils.checkpoint import checkpoint

    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = Layer()

        def forward(self, x):
            return checkpoint(self.layer, x, use_reentrant=False)

    model, x = Checkpointed(), torch.randn(2, 9, 16)
    gradients = []
    for call in (model, model.layer):
        with attached(model, {"*": [EntropyFloor(5.0)]}) as added:
            (call(x).square().mean() + added.total()).backward()
        gradients.append(model.layer.project.weight.grad.clone())
        model.zero_grad()
    torch.testing.assert_close(*gradients)


def trained(model, x, penalties, measure, steps=40):
    """What `measure` says of a layer's weights, before and after training on the penalties alone."""

    def now():
        calls = []
        with attached(model, {"0": [lambda call: calls.append(call) or call.query.sum()]}), torch.no_grad():
            model(x)
        return measure(calls[0].weights())

    before, optimizer = now(), torch.optim.Adam(model.parameters(), 1e-2)
    with attached(model, {"0": penalties}) as added:
        for _ in range(steps):
            added.clear()
            loss = 1e-3 * model(x).square().mean() + added.total()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return before, now()


def bits(weights):
    return float(torch.special.entr(weights).sum(-1).mean() / math.log(2))


def test_a_floor_raises_the_entropy_and_a_ceiling_lowers_it():
    model, x = nn.Sequential(Layer()), 4 * torch.randn(2, 12, 16)
    before, after = trained(model, x, [EntropyFloor(3.0)], bits)
    assert after > before + 0.3
    assert after > 2.9
    before, after = trained(model, x, [EntropyCeiling(1.5)], bits)
    assert after < 1.6 < before


def test_a_sink_penalty_lowers_the_share_of_the_sink():
    model, x = nn.Sequential(Layer()), torch.randn(2, 12, 16)
    x[:, 0] = 3  # a key that stands out
    trained(model, x, [Guidance(torch.zeros(1, 12, dtype=torch.long), heads=())], bits)
    before, after = trained(model, x, [SinkPenalty(0.3)], lambda weights: float(weights[..., 0].mean()))
    assert before > 0.8
    assert after < 0.35


def test_guidance_makes_one_head_follow_the_alignment():
    model, x = nn.Sequential(Layer()), torch.cat([torch.eye(12), torch.zeros(12, 4)], -1)[None].repeat(2, 1, 1) * 3
    previous = (torch.arange(12) - 1)[None]

    def follows(weights):
        return float(weights.diagonal(-1, 2, 3)[:, 1].mean())

    before, after = trained(model, x, [Guidance(previous, heads=(1,))], follows, steps=80)
    assert before < 0.2
    assert after > 0.8
