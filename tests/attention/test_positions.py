"""Positions against their formulas by hand, the facts they exist for, and transformers where it is installed."""

import math
from copy import deepcopy

import pytest
import torch
from torch.autograd import gradcheck

from regard import InputError
from regard.attention.positions import (
    Alibi,
    Bias,
    DynamicNtk,
    Learned,
    Linear,
    Llama3,
    Ntk,
    Position,
    Rotary,
    Rotary2d,
    Sinusoidal,
    T5Relative,
    Yarn,
)

EXACT = {"rtol": 1e-12, "atol": 1e-12}
FLOAT32 = {"rtol": 2e-5, "atol": 2e-5}
HEAD_DIM, HEADS = 8, 2
ROTARIES = {
    "half-split": Rotary(HEAD_DIM),
    "interleaved": Rotary(HEAD_DIM, interleaved=True),
    "partial": Rotary(HEAD_DIM, fraction=0.5),
    "linear": Rotary(HEAD_DIM, scaling=Linear(4.0)),
    "ntk": Rotary(HEAD_DIM, scaling=Ntk(4.0)),
    "llama3": Rotary(HEAD_DIM, scaling=Llama3(8.0, 1.0, 4.0, 64)),
}
TURNING = {**ROTARIES, "2d": Rotary2d(HEAD_DIM, width=3), "yarn": Rotary(HEAD_DIM, scaling=Yarn(4.0, 64))}
EMBEDDING = {"sinusoidal": Sinusoidal(HEAD_DIM), "learned": Learned(HEAD_DIM, 32)}
BIASES = {
    "alibi": Alibi(3),
    "t5": T5Relative(3, num_buckets=8, max_distance=20),
    "t5 causal": T5Relative(3, num_buckets=8, max_distance=20, bidirectional=False),
}
each_rotary = pytest.mark.parametrize("rotary", ROTARIES.values(), ids=ROTARIES)
each_turning = pytest.mark.parametrize("position", TURNING.values(), ids=TURNING)
each_embedding = pytest.mark.parametrize("position", EMBEDDING.values(), ids=EMBEDDING)
each_bias = pytest.mark.parametrize("bias", BIASES.values(), ids=BIASES)


def heads(length, dim=HEAD_DIM, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, HEADS, length, dim, dtype=torch.float64, generator=generator).to(dtype)


def embeddings(length, dim=HEAD_DIM, dtype=torch.float64):
    return heads(length, dim, dtype)[:, 0]


def same_rows(length, seed):
    return heads(1, seed=seed).expand(-1, -1, length, -1)


def test_a_position_does_nothing_by_itself():
    nothing, x, embedded = Position.for_heads(HEAD_DIM, HEADS), heads(3), embeddings(3)
    assert nothing.turn(x, start=5) is x
    assert nothing.embed(embedded, start=5) is embedded
    assert nothing.bias is None


# Rotary


@each_rotary
def test_rotary_scores_depend_on_the_distance_only(rotary):
    scores = rotary.turn(same_rows(40, seed=1)) @ rotary.turn(same_rows(40, seed=2)).mT
    for distance in range(-39, 40):
        diagonal = scores.diagonal(distance, 2, 3)
        torch.testing.assert_close(diagonal, diagonal[..., :1].expand_as(diagonal), **EXACT)
    assert scores[0, 0, 0].std() > 0.01


@pytest.mark.parametrize("start", [100, 100_000, 3_000_000])
def test_far_away_a_float32_score_is_as_exact_as_at_the_start(start):
    rotary, query, key = Rotary(64), heads(40, 64, torch.float32, 1), heads(40, 64, torch.float32, 2)
    near = rotary.turn(query) @ rotary.turn(key).mT
    far = rotary.turn(query, start) @ rotary.turn(key, start).mT
    torch.testing.assert_close(far, near, rtol=1e-5, atol=3e-5)


@pytest.mark.parametrize("name", [*ROTARIES, "2d"])
def test_turning_keeps_the_norm(name):
    x = heads(50)
    torch.testing.assert_close(TURNING[name].turn(x, start=7).norm(dim=-1), x.norm(dim=-1), **EXACT)


def matrix(angle):
    return torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)


def test_interleaved_rotary_is_the_block_diagonal_matrix_of_the_paper():
    x, turned = heads(5, 4), Rotary(4, interleaved=True).turn(heads(5, 4))
    for position in range(5):
        # Equation 15: two blocks, which turn by 10000^0 = 1 and by 10000^(−1/2) = 0.01 a position.
        rotation = torch.block_diag(matrix(position), matrix(0.01 * position))
        expected = torch.stack([rotation @ x[0, head, position] for head in range(HEADS)])
        torch.testing.assert_close(turned[0, :, position], expected, **EXACT)


def test_the_second_channel_of_a_pair_goes_the_other_way():
    x = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]], dtype=torch.float64)
    expected = torch.tensor([[0.0, 1.0], [-math.sin(1), math.cos(1)]], dtype=torch.float64)
    torch.testing.assert_close(Rotary(2).turn(x)[0, 0], expected, **EXACT)


def test_both_layouts_agree_up_to_the_order_of_channels():
    x, order = heads(9), torch.tensor([0, 4, 1, 5, 2, 6, 3, 7])
    half_split, interleaved = Rotary(HEAD_DIM).turn(x), Rotary(HEAD_DIM, interleaved=True).turn(x[..., order])
    torch.testing.assert_close(interleaved, half_split[..., order], **EXACT)


def test_a_partial_rotary_leaves_the_last_channels_alone():
    x = heads(9)
    turned = Rotary(HEAD_DIM, fraction=0.5).turn(x)
    assert torch.equal(turned[..., 4:], x[..., 4:])
    torch.testing.assert_close(turned[..., :4], Rotary(4).turn(x[..., :4]), **EXACT)


def test_2d_rotary_turns_one_half_by_row_and_one_by_column():
    x = heads(7)
    turned, rotary = Rotary2d(HEAD_DIM, width=3, base=100.0).turn(x), Rotary(4, base=100.0)
    for patch, (row, column) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0)]):
        one = x[:, :, patch : patch + 1]
        expected = torch.cat((rotary.turn(one[..., :4], row), rotary.turn(one[..., 4:], column)), -1)
        torch.testing.assert_close(turned[:, :, patch : patch + 1], expected, **EXACT)


def test_2d_rotary_scores_depend_on_rows_apart_and_columns_apart():
    rotary = Rotary2d(HEAD_DIM, width=4)
    scores = rotary.turn(same_rows(12, seed=1)) @ rotary.turn(same_rows(12, seed=2)).mT
    grid = scores.unflatten(-1, (3, 4)).unflatten(2, (3, 4))
    torch.testing.assert_close(grid[:, :, 0, 0, 1, 2], grid[:, :, 1, 1, 2, 3], **EXACT)
    assert (grid[:, :, 0, 0, 1, 2] - grid[:, :, 0, 0, 2, 1]).abs().min() > 1e-3


@each_turning
def test_a_start_is_a_slice_of_the_longer(position):
    x = heads(30)
    torch.testing.assert_close(position.turn(x[:, :, 11:], start=11), position.turn(x)[:, :, 11:], **EXACT)


@each_turning
@pytest.mark.parametrize("length", [0, 1])
def test_turning_serves_no_token_and_one(position, length):
    x = heads(length)
    turned = position.turn(x)
    assert turned.shape == x.shape
    torch.testing.assert_close(turned, x * (0.1 * math.log(4) + 1 if position is TURNING["yarn"] else 1), **EXACT)


@each_turning
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_turns_in_float32_and_rounds_once(position, dtype):
    x = heads(300, dtype=dtype)
    turned = position.turn(x, start=5000)
    assert turned.dtype == dtype
    assert torch.equal(turned, position.turn(x.float(), start=5000).to(dtype))


@each_turning
def test_turning_has_a_gradient(position):
    x = heads(4).requires_grad_()
    assert gradcheck(lambda x: position.turn(x, start=3), x)


@each_turning
def test_a_model_cast_to_bfloat16_turns_by_the_same_angles(position):
    x = heads(20, dtype=torch.float32)
    before = position.turn(x, start=1000)
    assert torch.equal(position.to(torch.bfloat16).turn(x, start=1000), before)


# Scalings: base 10000 and 8 channels, so the plain frequencies are 1, 0.1, 0.01, 0.001.

PLAIN = [1.0, 0.1, 0.01, 0.001]


def speeds(scaling, dim=8, length=1, base=10000.0):
    return scaling.frequencies(base, dim, length)


def assert_speeds(scaling, expected, **kwargs):
    torch.testing.assert_close(speeds(scaling, **kwargs), torch.tensor(expected, dtype=torch.float64), **EXACT)


def test_linear_scaling_divides_every_frequency():
    assert_speeds(Linear(4.0), [0.25, 0.025, 0.0025, 0.00025])


def test_ntk_keeps_the_fastest_pair_and_interpolates_the_slowest():
    base = 10000 * 8 ** (8 / 6)
    assert_speeds(Ntk(8.0), [1, base**-0.25, base**-0.5, base**-0.75])
    assert float(speeds(Ntk(8.0))[-1]) == pytest.approx(0.001 / 8, rel=1e-12)
    assert_speeds(Ntk(8.0), [1.0], dim=2)


def test_dynamic_ntk_begins_beyond_the_trained_length():
    scaling = DynamicNtk(2.0, 100)
    assert_speeds(scaling, PLAIN, length=100)
    base = 10000 * (2 * 300 / 100 - 1) ** (8 / 6)
    assert_speeds(scaling, [1, base**-0.25, base**-0.5, base**-0.75], length=300)
    x = heads(1)
    longest = Rotary(8, scaling=scaling).turn(x, start=299)
    torch.testing.assert_close(longest, Rotary(8, base=base).turn(x, start=299), **EXACT)


def test_yarn_keeps_fast_pairs_interpolates_slow_ones_and_blends_between():
    # Pair i turns 4096 · 10^−i / 2π = 652, 65, 6.5, 0.65 times. 32 turns are at pair 1.31 → 1, one is at pair 2.81 → 3.
    blended = 0.01 * (0.5 + 0.5 / 4)
    assert_speeds(Yarn(4.0, 4096), [1.0, 0.1, blended, 0.001 / 4])
    assert Yarn(4.0, 4096).temperature == 0.1 * math.log(4) + 1
    assert Yarn(1.0, 4096).temperature == 1


def test_yarn_temperature_multiplies_the_score_twice():
    query, key = heads(6, seed=1), heads(6, seed=2)
    slow = Rotary(HEAD_DIM, scaling=Yarn(4.0, 1))  # with a trained length of one, every pair but the first is interpolated
    score = (slow.turn(query) @ slow.turn(key).mT)[..., 0, 0]
    torch.testing.assert_close(score, (0.1 * math.log(4) + 1) ** 2 * (query @ key.mT)[..., 0, 0], **EXACT)


def test_llama3_keeps_short_waves_stretches_long_ones_and_blends_between():
    # Pair i turns 1000 · 10^−i / 2π = 159, 15.9, 1.59, 0.159 times: above 4, above 4, between, below 1.
    kept = (1000 * 0.01 / (2 * math.pi) - 1) / (4 - 1)
    assert_speeds(Llama3(8.0, 1.0, 4.0, 1000), [1.0, 0.1, 0.01 * (kept + (1 - kept) / 8), 0.001 / 8])


@pytest.mark.parametrize(
    "scaling", [Linear(1.0), Ntk(1.0), DynamicNtk(1.0, 10), Yarn(1.0, 10), Llama3(1.0, 1.0, 4.0, 10)], ids=repr
)
def test_a_factor_of_one_changes_nothing(scaling):
    assert_speeds(scaling, PLAIN, length=10)


@pytest.mark.parametrize(
    "scaling", [Linear(4.0), DynamicNtk(4.0, 64), Yarn(4.0, 64), Yarn(8.0, 4096, 16.0, 2.0), Llama3(8.0, 1.0, 4.0, 64)]
)
@pytest.mark.parametrize("head_dim", [4, 64, 128])
@pytest.mark.parametrize("length", [50, 200])
def test_scalings_are_those_of_transformers(scaling, head_dim, length):
    expected, temperature = transformers_rope(scaling, head_dim)(length)
    torch.testing.assert_close(speeds(scaling, head_dim, length, 500000.0).float(), expected, rtol=3e-6, atol=0)
    assert scaling.temperature == pytest.approx(temperature, rel=1e-12)


def llama_config(scaling, head_dim):
    transformers = pytest.importorskip("transformers", minversion="5.0", reason="transformers is not installed to compare with")
    kind = {Linear: "linear", DynamicNtk: "dynamic", Yarn: "yarn", Llama3: "llama3"}[type(scaling)]
    rope = {"rope_type": kind, "rope_theta": 500000.0, **vars(scaling)}
    length = rope.pop("original_length", 64)
    if kind in ("yarn", "llama3"):
        rope["original_max_position_embeddings"] = length
    return transformers.LlamaConfig(
        hidden_size=head_dim * 2, num_attention_heads=2, head_dim=head_dim, max_position_embeddings=length, rope_parameters=rope
    )


def transformers_rope(scaling, head_dim):
    config = llama_config(scaling, head_dim)
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    kind = config.rope_parameters["rope_type"]
    return lambda length: ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"), seq_len=length)


@pytest.mark.parametrize("scaling", [Linear(4.0), DynamicNtk(4.0, 64), Yarn(4.0, 64), Llama3(8.0, 1.0, 4.0, 64)])
def test_half_split_queries_turn_as_in_llama_of_transformers(scaling):
    config = llama_config(scaling, 64)
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

    x = heads(200, 64, torch.float32)
    cos, sin = LlamaRotaryEmbedding(config)(x, torch.arange(200)[None])
    expected = apply_rotary_pos_emb(x, x, cos, sin)[0]
    # Theirs multiplies in float32: an angle near 200 is rounded by 1e-5, and the channels reach 4.
    torch.testing.assert_close(Rotary(64, 500000.0, scaling).turn(x), expected, rtol=0, atol=1e-4)


def test_interleaved_queries_turn_as_in_gpt_j_of_transformers():
    pytest.importorskip("transformers", minversion="5.0", reason="transformers is not installed to compare with")
    from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb, create_sinusoidal_positions

    x = heads(60, 64, torch.float32)
    sin, cos = create_sinusoidal_positions(60, 64)[None].chunk(2, -1)
    expected = apply_rotary_pos_emb(x.transpose(1, 2), sin, cos).transpose(1, 2)
    torch.testing.assert_close(Rotary(64, interleaved=True).turn(x), expected, **FLOAT32)


def test_partial_queries_turn_as_in_gpt_neox_of_transformers():
    transformers = pytest.importorskip("transformers", minversion="5.0", reason="transformers is not installed to compare with")
    from transformers.models.gpt_neox.modeling_gpt_neox import GPTNeoXRotaryEmbedding, apply_rotary_pos_emb

    rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25}
    config = transformers.GPTNeoXConfig(hidden_size=128, num_attention_heads=2, rope_parameters=rope)
    x = heads(60, 64, torch.float32)
    expected = apply_rotary_pos_emb(x, x, *GPTNeoXRotaryEmbedding(config)(x, torch.arange(60)[None]))[0]
    torch.testing.assert_close(Rotary(64, fraction=0.25).turn(x), expected, **FLOAT32)


# Biases


def test_alibi_slopes_of_8_heads_are_the_halves():
    assert Alibi(8).slopes.tolist() == [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]


def test_alibi_slopes_of_12_heads_are_those_published():
    """The slopes of 8 heads, then the first, third, fifth and seventh of 16."""
    published = [2.0**-i for i in range(1, 9)] + [2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5]
    torch.testing.assert_close(Alibi(12).double().slopes, torch.tensor(published, dtype=torch.float64), **EXACT)


@pytest.mark.parametrize("num_heads", [*range(1, 21), 40, 71, 112])
def test_alibi_slopes_are_those_of_the_authors_code(num_heads):
    def slopes(n):
        if math.log2(n).is_integer():
            start = 2 ** (-(2 ** -(math.log2(n) - 3)))
            return [start * start**i for i in range(n)]
        power = 2 ** math.floor(math.log2(n))
        return slopes(power) + slopes(2 * power)[0::2][: n - power]

    expected = torch.tensor(slopes(num_heads), dtype=torch.float64)
    assert Alibi(num_heads).slopes.shape == (num_heads,)
    torch.testing.assert_close(Alibi(num_heads).double().slopes, expected, **EXACT)


def test_alibi_looks_like_its_figure():
    written = Alibi(8).write(8, range(3), range(3))
    assert written.shape == (1, 8, 3, 3)
    assert written[0, 0].tolist() == [[0, -0.5, -1], [-0.5, 0, -0.5], [-1, -0.5, 0]]
    assert written[0, 7, 2].tolist() == [-2 / 256, -1 / 256, 0]


def test_alibi_cast_to_bfloat16_keeps_its_slopes_and_its_distances():
    cast = Alibi(12).to(torch.bfloat16)
    assert torch.equal(cast.slopes, Alibi(12).slopes)
    assert float(cast.write(12, range(1001, 1002), range(1))[0, 0]) == -500.5


def slow_bucket(offset, num_buckets, max_distance, bidirectional):
    """In whole numbers: x^share ≥ y instead of logarithms."""
    first, distance = 0, max(-offset, 0)
    if bidirectional:
        num_buckets //= 2
        first, distance = (num_buckets if offset > 0 else 0), abs(offset)
    near = num_buckets // 2
    if distance < near:
        return first + distance
    far, step = num_buckets - near, 0
    while step < far - 1 and distance**far * near ** (step + 1) >= max_distance ** (step + 1) * near**far:
        step += 1
    return first + near + step


T5_SHAPES = [(32, 128, True), (32, 128, False), (8, 20, True), (12, 50, False), (4, 5, True), (33, 100, True)]


@pytest.mark.parametrize(("num_buckets", "max_distance", "bidirectional"), T5_SHAPES)
def test_t5_buckets_are_those_of_a_slow_loop(num_buckets, max_distance, bidirectional):
    relative = T5Relative(1, num_buckets, max_distance, bidirectional)
    expected = [slow_bucket(offset, num_buckets, max_distance, bidirectional) for offset in range(-300, 301)]
    assert relative.buckets(torch.arange(-300, 301)).tolist() == expected


def test_t5_buckets_by_eye():
    relative = T5Relative(1, num_buckets=8, max_distance=16)
    assert relative.buckets(torch.tensor([0, -1, -2, -3, -6, -99, 1, 2, 99])).tolist() == [0, 1, 2, 2, 3, 3, 5, 6, 7]
    causal = T5Relative(1, num_buckets=8, max_distance=16, bidirectional=False)
    assert causal.buckets(torch.tensor([5, 0, -1, -3, -4, -8, -99])).tolist() == [0, 0, 1, 3, 4, 6, 7]


@pytest.mark.parametrize(("num_buckets", "max_distance", "bidirectional"), T5_SHAPES)
def test_t5_buckets_are_those_of_transformers(num_buckets, max_distance, bidirectional):
    pytest.importorskip("transformers", minversion="5.0", reason="transformers is not installed to compare with")
    from transformers.models.t5.modeling_t5 import T5Attention

    offsets = torch.arange(-20_000, 20_001)
    expected = T5Attention._relative_position_bucket(offsets, bidirectional, num_buckets, max_distance)
    assert torch.equal(T5Relative(1, num_buckets, max_distance, bidirectional).buckets(offsets), expected)


def test_t5_bias_is_the_table_of_transformers_written_out():
    transformers = pytest.importorskip("transformers", minversion="5.0", reason="transformers is not installed to compare with")
    from transformers.models.t5.modeling_t5 import T5Attention

    theirs = T5Attention(transformers.T5Config(num_heads=3, d_model=12, d_kv=4), has_relative_attention_bias=True, layer_idx=0)
    ours = T5Relative(3)
    ours.load_state_dict({"table": theirs.relative_attention_bias.weight})
    assert torch.equal(ours.write(3, range(30), range(40)), theirs.compute_bias(30, 40))


def test_each_t5_bucket_has_a_row_of_its_own():
    relative = T5Relative(3, num_buckets=4, max_distance=5)
    with torch.no_grad():
        relative.table.copy_(torch.arange(12.0).view(4, 3))
    assert relative.write(3, range(2), range(3))[0, 1].tolist() == [[1, 10, 10], [4, 1, 10]]


@each_bias
def test_a_bias_has_the_gradient_of_its_table(bias):
    bias = deepcopy(bias).double()
    index = [torch.arange(size).view(shape) for size, shape in ((3, (1, 3, 1, 1)), (4, (1, 1, 4, 1)), (5, (1, 1, 1, 5)))]
    for table in bias.parameters():
        assert gradcheck(lambda _, index=index: bias.at(*index), table)


@each_bias
def test_a_rectangle_is_a_piece_of_the_whole(bias):
    whole = bias.write(3, range(40), range(50), dtype=torch.float64)
    assert torch.equal(bias.write(3, range(7, 20), range(30, 31), dtype=torch.float64), whole[:, :, 7:20, 30:31])
    assert whole.dtype == torch.float64
    assert bias.write(3, range(0), range(1)).shape == (1, 3, 0, 1)


@each_bias
def test_a_bias_is_the_same_for_index_tensors_of_any_shape(bias):
    whole = bias.write(3, range(6), range(7)).detach()
    head, query, key = torch.meshgrid(torch.arange(3), torch.arange(6), torch.arange(7), indexing="ij")
    assert torch.equal(bias.at(head, query, key).float(), whole[0])
    assert torch.equal(bias.at(torch.tensor(2), torch.tensor(5), torch.tensor(1)), whole[0, 2, 5, 1])


@each_bias
def test_a_bias_depends_on_the_distance_only(bias):
    assert torch.equal(bias.write(3, range(1000, 1010), range(1000, 1020)), bias.write(3, range(10), range(20)))


@each_bias
def test_a_bias_is_the_position_that_brings_it(bias):
    assert isinstance(bias, Position)
    assert isinstance(bias.bias, Bias)
    x = heads(3)
    assert bias.turn(x) is x


# Absolute positions


def test_sinusoidal_is_sines_beside_cosines():
    table = Sinusoidal(4).embed(torch.zeros(1, 3, 4, dtype=torch.float64))[0]
    expected = [[math.sin(p), math.cos(p), math.sin(p / 100), math.cos(p / 100)] for p in range(3)]
    torch.testing.assert_close(table, torch.tensor(expected, dtype=torch.float64), **EXACT)


def test_learned_adds_its_row():
    position, x = Learned(4, 10), embeddings(3, 4)
    assert torch.equal(position.embed(x, start=6), x + position.table[6:9])


@each_embedding
def test_an_embedding_start_is_a_slice_of_the_longer(position):
    x = embeddings(20)
    torch.testing.assert_close(position.embed(x[:, 8:], start=8), position.embed(x)[:, 8:], **EXACT)


@each_embedding
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("length", [0, 1, 32])
def test_an_embedding_keeps_its_type_and_shape(position, dtype, length):
    x = embeddings(length, dtype=dtype)
    embedded = position.embed(x)
    assert (embedded.dtype, embedded.shape) == (x.dtype, x.shape)
    tolerance = {torch.float16: 2e-3, torch.bfloat16: 2e-2}.get(dtype, 1e-6)
    torch.testing.assert_close(embedded.double(), position.embed(x.double()), rtol=tolerance, atol=tolerance)


def test_learned_positions_have_a_gradient():
    position, x = Learned(4, 6).double(), embeddings(3, 4).requires_grad_()
    assert gradcheck(lambda x, _: position.embed(x, start=2), (x, position.table))


def test_sinusoidal_positions_have_no_longest():
    far = Sinusoidal(4).embed(torch.zeros(1, 1, 4), start=10_000_000)[0, 0]
    assert far.tolist() == pytest.approx([f(1e7 * s) for s in (1, 0.01) for f in (math.sin, math.cos)], abs=1e-6)


# All of them


@pytest.mark.parametrize("make", [Rotary, Alibi, T5Relative, Sinusoidal, Learned])
def test_each_is_made_for_so_many_heads(make):
    position = make.for_heads(HEAD_DIM, HEADS)
    assert position.turn(heads(3)).shape == (1, HEADS, 3, HEAD_DIM)
    assert position.embed(embeddings(3, HEADS * HEAD_DIM)).shape == (1, 3, HEADS * HEAD_DIM)
    assert position.bias is None or position.bias.write(HEADS, range(3), range(3)).shape == (1, HEADS, 3, 3)


@each_turning
def test_only_learned_tables_are_saved(position):
    assert not position.state_dict()
    assert not Alibi(3).state_dict()
    assert set(T5Relative(3).state_dict()) == set(Learned(4).state_dict()) == {"table"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rotary(7), "even number of channels, from 2 to head_dim, got 7 × 1.0"),
        (lambda: Rotary(8, fraction=0.3), "even number of channels, from 2 to head_dim, got 8 × 0.3"),
        (lambda: Rotary(8, fraction=1.5), "from 2 to head_dim, got 8 × 1.5"),
        (lambda: Rotary(8, base=1.0), "base must be above 1, got 1.0"),
        (lambda: Rotary(4).turn(heads(3)), "for heads of 4 channels, got 8"),
        (lambda: Rotary2d(6, 3), "head_dim must be a multiple of 4, .* got 6"),
        (lambda: Rotary2d(8, 0), "width must be at least one patch, got 0"),
        (lambda: Rotary2d.for_heads(8, 2), r"pass Rotary2d\(head_dim, width\)"),
        (lambda: Linear(0.5), "factor must be at least 1, got 0.5"),
        (lambda: Ntk(float("nan")), "factor must be at least 1, got nan"),
        (lambda: DynamicNtk(2.0, 0), "original_length must be at least 1, got 0"),
        (lambda: Yarn(2.0, 64, 1.0, 32.0), "beta_fast > beta_slow > 0, got 1.0 and 32.0"),
        (
            lambda: Llama3(8.0, 4.0, 1.0, 64),
            "high_freq_factor > low_freq_factor > 0, got high_freq_factor=1.0 and low_freq_factor=4.0",
        ),
        (lambda: Alibi(0), "num_heads must be at least 1, got 0"),
        (lambda: Alibi(8).write(4, range(2), range(2)), "Alibi was made for 8 heads, got 4"),
        (lambda: T5Relative(2, num_buckets=3), "num_buckets must be at least 4, got 3"),
        (lambda: T5Relative(2, num_buckets=1, bidirectional=False), "num_buckets must be at least 2, got 1"),
        (lambda: T5Relative(2, max_distance=8), "max_distance must be above 8, .* got 8"),
        (lambda: Sinusoidal(5), "d_model must be even, a sine to each cosine, got 5"),
        (lambda: Sinusoidal(4).embed(embeddings(3)), "for embeddings of 4 channels, got 8"),
        (lambda: Learned(0, 4), "d_model and max_length must be at least 1, got 0 and 4"),
        (
            lambda: Learned(8, 4).embed(embeddings(3), start=2),
            "go from 0 to 3, got 2 to 4: shorten the input, make them with a larger",
        ),
        (lambda: Learned(8, 4).embed(embeddings(3), start=-1), "go from 0 to 3, got -1 to 1"),
    ],
)
def test_a_wrong_position_says_what_must_hold(make, message):
    with pytest.raises(InputError, match=message):
        make()
