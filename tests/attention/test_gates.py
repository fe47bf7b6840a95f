"""Each gate against its paper's equation written out by hand, the laws of all of them, and parity with timm's weights."""

from importlib import import_module
from math import log2

import pytest
import torch
from jaxtyping import TypeCheckError, install_import_hook
from torch import nn
from torch.overrides import TorchFunctionMode

import regard
from regard import InputError
from regard.attention import Additive, ScaledDot, padding

with install_import_hook("regard.attention.gates", "beartype.beartype"):
    from regard.attention.gates import (
        AttentionPool,
        Block,
        Cbam,
        ChannelGate,
        ConvolutionalGate,
        EfficientChannel,
        Gate,
        NonLocal,
        Sagan,
        SpatialGate,
        SqueezeExcitation,
        apply_gate,
    )

EXACT = {"rtol": 1e-10, "atol": 1e-12}
GATES = [SqueezeExcitation, EfficientChannel, ChannelGate, SpatialGate, Cbam, ConvolutionalGate]
BLOCKS = [*GATES, NonLocal, Sagan]
CHANNELS = 8

each_gate = pytest.mark.parametrize("kind", GATES)
each_block = pytest.mark.parametrize("kind", BLOCKS)


def lively(module):
    """All parameters at random, so that none is hidden by its start at zero."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.double()


def features(batch=2, channels=CHANNELS, height=3, width=4):
    torch.manual_seed(1)
    return torch.randn(batch, channels, height, width, dtype=torch.float64)


def sigma(x):
    return 1 / (1 + (-x).exp())


def two_layers(mlp, pooled):
    """W₂ relu(W₁ z + b₁) + b₂ on one vector."""
    (first, b1), (second, b2) = ((layer.weight[:, :, 0, 0], layer.bias) for layer in (mlp[0], mlp[2]))
    hidden = first @ pooled + (0 if b1 is None else b1)
    return second @ torch.where(hidden > 0, hidden, 0) + (0 if b2 is None else b2)


def slid(x, conv):
    """A convolution as the sum of shifted images, one for each cell of the kernel."""
    reach, (height, width) = conv.kernel_size[0] // 2, x.shape[1:]
    wide = torch.zeros(x.shape[0], height + 2 * reach, width + 2 * reach, dtype=x.dtype)
    wide[:, reach : reach + height, reach : reach + width] = x
    cells = [(i, j) for i in range(2 * reach + 1) for j in range(2 * reach + 1)]
    parts = [torch.einsum("oc,chw->ohw", conv.weight[:, :, i, j], wide[:, i : i + height, j : j + width]) for i, j in cells]
    return sum(parts) + conv.bias[:, None, None]


@pytest.mark.parametrize("bias", [True, False])
def test_a_squeeze_excitation_gate_is_its_equation(bias):
    gate, x = lively(SqueezeExcitation(CHANNELS, 4, bias=bias)), features()
    for image, out in zip(x, gate(x), strict=True):
        squeezed = torch.stack([channel.sum() / 12 for channel in image])
        torch.testing.assert_close(out, sigma(two_layers(gate.mlp, squeezed))[:, None, None] * image, **EXACT)


def test_an_efficient_channel_gate_is_its_equation():
    gate, x = lively(EfficientChannel(CHANNELS)), features()
    weight = gate.conv.weight[0, 0]
    assert len(weight) == 3
    for image, out in zip(x, gate(x), strict=True):
        mean = [channel.sum() / 12 for channel in image]
        for i in range(CHANNELS):
            near = sum(weight[k] * mean[i + k - 1] for k in range(3) if 0 <= i + k - 1 < CHANNELS)
            torch.testing.assert_close(out[i], sigma(near) * image[i], **EXACT)


def test_the_kernel_of_an_efficient_channel_gate_is_the_nearest_odd_number():
    for channels in (1, 2, 3, 8, 16, 31, 64, 100, 128, 256, 512, 2048):
        exact = log2(channels) / 2 + 1 / 2
        expected = min(range(1, 99, 2), key=lambda odd: (abs(odd - exact), -odd))
        assert EfficientChannel(channels).conv.kernel_size == (expected,)
    assert EfficientChannel(256, gamma=1.0, offset=2.0).conv.kernel_size == (11,)


@pytest.mark.parametrize("bias", [True, False])
def test_a_channel_gate_is_its_equation(bias):
    gate, x = lively(ChannelGate(CHANNELS, 2, bias=bias)), features()
    for image, out in zip(x, gate(x), strict=True):
        mean = torch.stack([channel.sum() / 12 for channel in image])
        largest = torch.stack([max(channel.flatten()) for channel in image])
        expected = sigma(two_layers(gate.mlp, mean) + two_layers(gate.mlp, largest))
        torch.testing.assert_close(out, expected[:, None, None] * image, **EXACT)


def test_a_spatial_gate_is_its_equation():
    gate, x = lively(SpatialGate(3)), features()
    for image, out in zip(x, gate(x), strict=True):
        pooled = torch.stack([sum(image) / CHANNELS, image.sort(0).values[-1]])
        torch.testing.assert_close(out, sigma(slid(pooled, gate.conv)) * image, **EXACT)


def test_cbam_is_the_channel_gate_and_then_the_spatial_one():
    block, x = lively(Cbam(CHANNELS, 2, kernel_size=3)), features()
    refined = block.channel.map(x) * x
    torch.testing.assert_close(block(x), block.spatial.map(refined) * refined, **EXACT)


def test_a_convolutional_gate_is_its_equation():
    gate, x = lively(ConvolutionalGate(CHANNELS, 5)), features()
    for image, out in zip(x, gate(x), strict=True):
        mixed = torch.einsum("oc,chw->ohw", gate.mix.weight[:, :, 0, 0], image) + gate.mix.bias[:, None, None]
        torch.testing.assert_close(out, sigma(slid(torch.cat([image, mixed]), gate.conv)) * image, **EXACT)


def test_a_convolutional_gate_passes_nothing_of_hidden_places():
    gate, x = lively(ConvolutionalGate(CHANNELS)), features()
    seen = torch.ones(1, 1, 3, 4, dtype=torch.float64)
    seen[..., 2:] = 0
    other = torch.where(seen.bool(), x, 1e3)
    out = gate(x * seen)
    assert (out[..., 2:] == 0).all()
    assert torch.equal(gate(other * seen), out)


def by_hand(block, image, pool):
    """x_j + γ W Σ_i softmax_i(query_j · key_i) value_i, position by position; keys and values the largest of their cell."""
    query, key, value, out = (layer.weight[:, :, 0, 0] for layer in (block.query, block.key, block.value, block.out))
    height, width = image.shape[1:]

    def cells(matrix):
        each = torch.einsum("oc,chw->hwo", matrix, image)
        corners = [(i, j) for i in range(0, height, pool) for j in range(0, width, pool)]
        return [each[i : i + pool, j : j + pool].flatten(0, 1).amax(0) for i, j in corners]

    keys, values = cells(key), cells(value)
    result = torch.empty_like(image)
    for i in range(height):
        for j in range(width):
            strength = [((query @ image[:, i, j]) @ k).exp() for k in keys]
            mixed = sum(s * v for s, v in zip(strength, values, strict=True)) / sum(strength)
            result[:, i, j] = image[:, i, j] + block.gain * (out @ mixed)
    return result


@pytest.mark.parametrize("backend", ["auto", "tiled", "reference"])
@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("kind", [NonLocal, Sagan])
def test_a_non_local_block_is_its_equation(kind, pool, backend):
    block, x = lively(kind(16, pool=pool, backend=backend)), features(channels=16, height=3, width=5)
    for image, out in zip(x, block(x), strict=True):
        torch.testing.assert_close(out, by_hand(block, image, pool), **EXACT)


def test_non_local_blocks_have_the_widths_of_their_papers():
    widths = {kind: [m.out_channels for m in kind(64).children() if isinstance(m, nn.Conv2d)] for kind in (NonLocal, Sagan)}
    assert widths == {NonLocal: [32, 32, 32, 64], Sagan: [8, 8, 8, 64]}
    assert Sagan(64, value_reduction=2).value.out_channels == 32


@pytest.mark.parametrize("kind", [NonLocal, Sagan])
def test_a_new_non_local_block_is_the_identity(kind):
    x = torch.randn(2, CHANNELS, 3, 3)
    assert torch.equal(kind(CHANNELS)(x), x)


def test_a_non_local_block_takes_any_mechanism():
    x = features()
    named, unscaled, scaled = (lively(NonLocal(CHANNELS, mechanism=m)) for m in ("softmax", ScaledDot(1.0), ScaledDot()))
    assert torch.equal(named(x), unscaled(x))
    assert not torch.allclose(named(x), scaled(x))
    additive = lively(NonLocal(CHANNELS, mechanism="additive"))
    assert isinstance(additive.mechanism, Additive)
    assert additive(x).shape == x.shape


def test_an_attention_pool_is_its_equation():
    pool = lively(AttentionPool(6, 2))
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    project = {name: getattr(pool.attention, name) for name in ("query", "key", "value", "out")}
    query = project["query"].weight @ pool.query + project["query"].bias
    for tokens, out in zip(x, pool(x), strict=True):
        key, value = (tokens @ project[name].weight.T + project[name].bias for name in ("key", "value"))
        heads = []
        for head in (slice(0, 3), slice(3, 6)):
            strength = (key[:, head] @ query[head] / 3**0.5).exp()
            heads.append(strength @ value[:, head] / strength.sum())
        torch.testing.assert_close(out, project["out"].weight @ torch.cat(heads) + project["out"].bias, **EXACT)


@pytest.mark.parametrize("mechanism", ["softmax", "additive"])
def test_an_attention_pool_ignores_padded_tokens(mechanism):
    pool, lengths = lively(AttentionPool(6, 2, mechanism=mechanism)), [5, 2, 0]
    x = torch.randn(3, 5, 6, dtype=torch.float64)
    out = pool(x, padding(torch.tensor(lengths)))
    for i, length in enumerate(lengths):
        alone = pool(x[i : i + 1, :length])[0] if length else pool.attention.out.bias
        torch.testing.assert_close(out[i], alone, **EXACT)


@each_gate
def test_the_output_is_the_features_times_the_map(kind):
    gate, x = lively(kind.for_channels(CHANNELS)), features()
    torch.testing.assert_close(gate(x), x * gate.map(x), **EXACT)
    assert ((gate.map(x) > 0) & (gate.map(x) < 1)).all()


@pytest.mark.parametrize("shape", [(2, 8, 5, 7), (1, 8, 1, 1), (3, 1, 1, 9), (2, 20, 6, 3), (0, 8, 2, 2)], ids=str)
@each_block
def test_features_keep_their_shape(kind, shape):
    block = lively(kind.for_channels(shape[1]))
    out = block(features(*shape))
    assert out.shape == shape
    assert out.isfinite().all()
    assert isinstance(block, Block)


def test_pooled_keys_may_be_larger_than_the_image():
    block = lively(NonLocal(CHANNELS, pool=4))
    for height, width in ((1, 1), (3, 2), (5, 9)):
        x = features(height=height, width=width)
        torch.testing.assert_close(block(x)[0], by_hand(block, x[0], 4), **EXACT)


@each_block
def test_gradients(kind):
    block = lively(kind.for_channels(4))
    x = features(channels=4, height=3, width=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: block(x), (x, *block.parameters()), fast_mode=True)


def test_gradients_of_an_attention_pool():
    pool = lively(AttentionPool(4, 2))
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    mask = padding(torch.tensor([3, 1]))
    assert torch.autograd.gradcheck(lambda x, *_: pool(x, mask), (x, *pool.parameters()), fast_mode=True)


@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("backend", ["tiled", "reference"])
def test_second_gradients_of_the_sagan_block(backend, pool):
    block = lively(Sagan(8, pool=pool, backend=backend))
    x = features(batch=1, channels=8, height=2, width=3).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x, *_: block(x), (x, *block.parameters()), fast_mode=True)


@each_gate
def test_second_gradients_of_a_gate(kind):
    gate = lively(kind.for_channels(3))
    x = features(batch=1, channels=3, height=2, width=2).requires_grad_()
    assert torch.autograd.gradgradcheck(gate, (x,), fast_mode=True)


C = 32
NUM_PARAMETERS = [
    (lambda: SqueezeExcitation(C, 4), 2 * C * C // 4 + C // 4 + C),
    (lambda: SqueezeExcitation(C, 4, bias=False), 2 * C * C // 4),
    (lambda: SqueezeExcitation(8, 16, bias=False), 2 * 8 * 1),
    (lambda: EfficientChannel(C), 3),
    (lambda: EfficientChannel(256), 5),
    (lambda: ChannelGate(C), 2 * C * C // 16),
    (lambda: SpatialGate(), 2 * 7 * 7 + 1),
    (lambda: Cbam(C, 8, kernel_size=3), 2 * C * C // 8 + 2 * 3 * 3 + 1),
    (lambda: ConvolutionalGate(C), 7 * 7 * 2 * C * C + C + C * C + C),
    (lambda: NonLocal(C), 4 * C * C // 2 + 1),
    (lambda: Sagan(C), 4 * C * C // 8 + 1),
    (lambda: Sagan(C, value_reduction=2, pool=2), 2 * C * C // 8 + 2 * C * C // 2 + 1),
    (lambda: AttentionPool(C, 4), 4 * (C * C + C) + C),
]


@pytest.mark.parametrize(("make", "expected"), NUM_PARAMETERS)
def test_the_number_of_parameters_follows_its_formula(make, expected):
    assert sum(parameter.numel() for parameter in make().parameters()) == expected


class Maps(TorchFunctionMode):
    """What the lens can do: read gates from outside."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is apply_gate:
            self.seen.append((args[0], args[0].map(args[1])))
        return func(*args, **(kwargs or {}))


@each_gate
def test_maps_are_seen_from_outside_and_nothing_changes(kind):
    gate, x = lively(kind.for_channels(CHANNELS)), features()
    before = gate(x)
    with Maps() as maps:
        assert torch.equal(gate(x), before)
    expected = [gate.channel, gate.spatial] if kind is Cbam else [gate]
    assert [seen for seen, _ in maps.seen] == expected
    product = torch.ones_like(x)
    for _, seen in maps.seen:
        product = product * seen
    torch.testing.assert_close(x * product, before, **EXACT)


def test_the_lens_sees_non_local_blocks_and_pools():
    block, pool = NonLocal(CHANNELS, pool=2), AttentionPool(6, 2)
    with regard.watch(block) as lens:
        block(torch.randn(2, CHANNELS, 3, 4))
    assert [(reading.layer, reading.shape) for reading in lens.readings] == [("mechanism", (2, 1, 12, 4))]
    with regard.watch(pool) as lens:
        pool(torch.randn(2, 5, 6))
    assert [(reading.layer, reading.shape) for reading in lens.readings] == [("attention.mechanism", (2, 2, 1, 5))]


def test_a_gate_must_write_its_map():
    with pytest.raises(TypeError, match="Empty must override map"):
        type("Empty", (Gate,), {})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SqueezeExcitation(0), "^channels must be at least 1, got 0"),
        (lambda: ChannelGate(8, 0), "^reduction must be at least 1, got 0"),
        (lambda: EfficientChannel(8, gamma=0.0), "gamma must be above 0, got 0.0"),
        (lambda: SpatialGate(4), "kernel_size must be odd, got 4"),
        (lambda: ConvolutionalGate(-1), "^channels must be at least 1, got -1"),
        (lambda: NonLocal(8, pool=0), "pool must be at least 1, got 0"),
        (lambda: NonLocal(8, value_reduction=0), "^reduction must be at least 1, got 0"),
        (lambda: NonLocal(8, mechanism="sofmax"), "Did you mean 'softmax'"),
        (lambda: AttentionPool(10, 4), "d_model must be a multiple of num_heads, got 10 and 4"),
        (lambda: SpatialGate()(torch.zeros(3, 4)), r"\(batch, channels, height, width\), got \(3, 4\)"),
        (lambda: NonLocal(8)(torch.zeros(8, 3, 4)), r"\(batch, channels, height, width\), got \(8, 3, 4\)"),
    ],
)
def test_wrong_input_says_what_must_hold(make, message):
    with pytest.raises((InputError, TypeCheckError)) as raised:
        make()
    if raised.type is InputError:
        raised.match(message)


@pytest.fixture(scope="module")
def timm_layers():
    """A function that finds one of timm's layer files; its import fails in several ways beside a CPU-only torch."""
    try:
        import_module("timm.layers")
    except (ImportError, RuntimeError) as reason:
        pytest.skip(f"timm cannot be imported here: {reason}")
    return lambda name: import_module(f"timm.layers.{name}")


def same_output(ours, theirs, x):
    torch.testing.assert_close(ours.double().eval()(x), theirs.double().eval()(x), rtol=0, atol=1e-6)


def take(ours, theirs, names):
    """timm's weights under our names, every one of them used."""
    state = theirs.state_dict()
    ours.load_state_dict({mine: state.pop(yours) for mine, yours in names.items()})
    assert not state
    return ours


@pytest.mark.parametrize("bias", [True, False])
def test_a_squeeze_excitation_gate_is_timms_with_its_weights(timm_layers, bias):
    theirs = lively(timm_layers("squeeze_excite").SEModule(32, rd_channels=8, bias=bias))
    parts = ["weight", "bias"] if bias else ["weight"]
    names = {f"mlp.{place}.{part}": f"fc{i}.{part}" for place, i in ((0, 1), (2, 2)) for part in parts}
    same_output(take(SqueezeExcitation(32, 4, bias=bias), theirs, names), theirs, features(channels=32))


@pytest.mark.parametrize("channels", [8, 64, 256])
def test_an_efficient_channel_gate_is_timms_with_its_weights(timm_layers, channels):
    theirs = lively(timm_layers("eca").EcaModule(channels))
    same_output(take(EfficientChannel(channels), theirs, {"conv.weight": "conv.weight"}), theirs, features(channels=channels))


@pytest.mark.parametrize("bias", [True, False])
def test_a_channel_gate_is_timms_with_its_weights(timm_layers, bias):
    theirs = lively(timm_layers("cbam").ChannelAttn(32, rd_ratio=1 / 4, mlp_bias=bias))
    parts = ["weight", "bias"] if bias else ["weight"]
    names = {f"mlp.{place}.{part}": f"fc{i}.{part}" for place, i in ((0, 1), (2, 2)) for part in parts}
    same_output(take(ChannelGate(32, 4, bias=bias), theirs, names), theirs, features(channels=32))


def fold(conv, norm):
    """A convolution and the batch norm after it as one weight and bias."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return {"weight": conv.weight * scale[:, None, None, None], "bias": norm.bias - norm.running_mean * scale}


def trained(spatial):
    """timm's spatial attention with a batch norm that has seen something."""
    spatial.conv.bn.running_mean.fill_(0.3)
    spatial.conv.bn.running_var.fill_(1.7)
    return spatial


def test_a_spatial_gate_is_timms_with_its_weights_folded(timm_layers):
    theirs, ours = trained(lively(timm_layers("cbam").SpatialAttn())), SpatialGate()
    ours.conv.load_state_dict(fold(theirs.conv.conv, theirs.conv.bn))
    same_output(ours, theirs, features())


def test_cbam_is_timms_with_its_weights_folded(timm_layers):
    theirs, ours = lively(timm_layers("cbam").CbamModule(32, rd_ratio=1 / 8)), Cbam(32, 8)
    trained(theirs.spatial)
    take(ours.channel, theirs.channel, {"mlp.0.weight": "fc1.weight", "mlp.2.weight": "fc2.weight"})
    ours.spatial.conv.load_state_dict(fold(theirs.spatial.conv.conv, theirs.spatial.conv.bn))
    same_output(ours, theirs, features(channels=32, height=9, width=8))


def test_an_attention_pool_is_timms_with_its_weights_and_without_its_feed_forward(timm_layers):
    theirs, ours = lively(timm_layers("attention_pool").AttentionPoolLatent(12, num_heads=3)), AttentionPool(12, 3)
    nn.init.zeros_(theirs.mlp.fc2.weight)
    nn.init.zeros_(theirs.mlp.fc2.bias)
    key_value = theirs.kv.state_dict()
    for name, half in (("key", 0), ("value", 1)):
        getattr(ours.attention, name).load_state_dict({part: given.chunk(2)[half] for part, given in key_value.items()})
    ours.attention.query.load_state_dict(theirs.q.state_dict())
    ours.attention.out.load_state_dict(theirs.proj.state_dict())
    ours.query.data = theirs.latent.data[0, 0]
    same_output(ours, theirs, torch.randn(2, 7, 12, dtype=torch.float64))
