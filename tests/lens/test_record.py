"""Readings add up to means, samples are unbiased, and what is saved comes back."""

import itertools
import json
import math

import pytest
import torch
from torch import nn

import regard
from regard.attention import ScaledDot, causal
from regard.attention.call import Call
from regard.errors import InputError
from regard.lens.measure import Measured, Sample, measure
from regard.lens.readers.flex import from_flex
from regard.lens.record import BROKEN, Lens, Reading, Total
from regard.lens.statistics import Wanted


class Layer(nn.Module):
    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)


@pytest.fixture
def lens():
    torch.manual_seed(0)
    model = nn.Sequential(Layer(), Layer())
    with regard.watch(model, Wanted(top_keys=3, alignments={"self": torch.arange(6)[None]}), keep=2) as seen:
        for length in (6, 6, 9):
            model(torch.randn(2, 4, length, 8))
    return seen


def sample_of(call, rows, num_blocks):
    return Sample(tuple(rows), num_blocks, torch.ones(call.shape[:3], dtype=torch.bool))


def test_the_mean_over_all_samples_is_the_mean_and_the_error_their_spread():
    torch.manual_seed(1)
    x = torch.randn(1, 2, 12, 4)
    call = Call(ScaledDot(), x, x, x, causal)
    blocks = [range(start, start + 3) for start in range(0, 12, 3)]
    exact = measure(call).statistics.head_means()
    estimates, variances = [], []
    for drawn in itertools.combinations(blocks, 2):
        total = Total((0, 1))
        total.add(measure(call, sample=sample_of(call, drawn, 4)))
        estimates.append(total.means())
        variances.append(total.errors())
    for name in ("entropy_bits", "mean_distance", "sink_share", "largest_weight"):
        each = torch.stack([one[name] for one in estimates])
        torch.testing.assert_close(each.mean(0), exact[name], msg=lambda text, n=name: f"{n}: {text}")
        claimed = torch.stack([one[name].square() for one in variances]).mean(0)
        torch.testing.assert_close(claimed, each.var(0, correction=0), msg=lambda text, n=name: f"{n}: {text}")


def test_mass_received_is_unbiased_too():
    torch.manual_seed(1)
    x = torch.randn(1, 1, 12, 4)
    call = Call(ScaledDot(), x, x, x, causal)
    blocks = [range(start, start + 3) for start in range(0, 12, 3)]
    drawn = [measure(call, sample=sample_of(call, [block], 4)).statistics.mass_received for block in blocks]
    torch.testing.assert_close(torch.stack(drawn).mean(0), measure(call).statistics.mass_received)


def test_means_run_over_all_calls_though_few_are_kept(lens):
    assert [len(lens.calls(layer)) for layer in lens.layers] == [2, 2]
    assert lens.totals["0"].num_calls == 3
    assert lens.totals["0"].counts["entropy_bits"].tolist() == 4 * [2 * (6 + 6 + 9)]


def test_a_lens_is_indexed_by_layer_head_and_token(lens):
    assert lens[0] is lens["0"] is lens.calls(0)[-1]
    assert lens["1", 2]["entropy_bits"].shape == (2, 9)
    assert lens[1, -1, 8]["entropy_bits"].shape == (2,)
    assert "block_map" not in lens[1, 0, 3]
    for place, text in [
        (("2",), "No attention was seen in '2'. Seen: 0, 1"),
        ((0, 7), "No head 7 was measured in '0'. Measured: 0, 1, 2, 3"),
        ((0, 1, 9), "This call had 9 queries and 9 keys, got token 9"),
        ((0, 1, 2, 3), "indexed by layer, head and token, got 4"),
    ]:
        with pytest.raises(InputError, match=text):
            lens[place if len(place) > 1 else place[0]]


def test_what_was_not_kept_is_said(lens):
    empty = Lens(keep=0)
    x = torch.randn(1, 1, 3, 2)
    measured = measure(Call(ScaledDot(), x, x, x))
    empty.add(Reading("a", measured.statistics, (1, 1, 3, 3)), measured)
    with pytest.raises(InputError, match=r"No call of 'a' was kept whole: watch\(..., keep=1\)"):
        empty["a"]
    with pytest.raises(InputError, match=r"vectors of this call were not kept: watch\(..., keep_calls=True\)"):
        lens[0].weights()


def test_two_lenses_merge_as_if_one_had_seen_both(lens):
    torch.manual_seed(0)
    model, parts = nn.Sequential(Layer(), Layer()), []
    wanted = Wanted(top_keys=3, alignments={"self": torch.arange(6)[None]})
    for length in (6, 6, 9):
        with regard.watch(model, wanted) as one:
            model(torch.randn(2, 4, length, 8))
        parts.append(one)
    whole = Lens(keep=2)
    for part in parts:
        whole.merge(part)
    assert whole.summary() == lens.summary()
    assert len(whole.calls(0)) == 2


def test_saved_and_loaded_it_is_the_same(lens, tmp_path):
    lens.unseen.append(("a layer", "a reason"))
    lens.notes.append("a note")
    lens.gates["gate"] = torch.rand(2, 3)
    with regard.watch(nn.Sequential(Layer()), sample=2) as sampled:
        Layer()(torch.randn(1, 2, 300, 4))
    for number, one in enumerate((lens, sampled)):
        one.save(tmp_path / f"kept{number}")
        again = Lens.load(tmp_path / f"kept{number}")
        assert again.summary() == one.summary()
        assert (again.unseen, again.notes, again.keep) == (one.unseen, one.notes, one.keep)
        for mine, theirs in zip(one.readings, again.readings, strict=True):
            assert (mine.layer, mine.shape, mine.how, mine.heads) == (theirs.layer, theirs.shape, theirs.how, theirs.heads)
            for name, value in mine.statistics.values.items():
                torch.testing.assert_close(theirs.statistics.values[name], value, rtol=0, atol=0, equal_nan=True)
            assert (mine.sample is None) == (theirs.sample is None)
    assert torch.equal(Lens.load(tmp_path / "kept0").gates["gate"], lens.gates["gate"])
    assert sorted(path.name for path in (tmp_path / "kept0").iterdir()) == ["lens.json", "lens.safetensors"]


def test_saving_writes_over_a_lens_and_over_nothing_else(lens, tmp_path):
    lens.save(tmp_path / "kept")
    lens.save(tmp_path / "kept")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="something else than a saved lens is here"):
        lens.save(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_what_is_no_lens_is_told(lens, tmp_path):
    with pytest.raises(InputError, match="no saved lens can be read here"):
        Lens.load(tmp_path / "nowhere")
    lens.save(tmp_path / "kept")
    words = json.loads((tmp_path / "kept" / "lens.json").read_text())
    (tmp_path / "kept" / "lens.json").write_text(json.dumps(words | {"version": 99}))
    with pytest.raises(InputError, match="a lens of version 99, and this regard reads 1"):
        Lens.load(tmp_path / "kept")
    (tmp_path / "kept" / "lens.json").write_text(json.dumps(words))
    (tmp_path / "kept" / "lens.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match="no saved lens can be read here"):
        Lens.load(tmp_path / "kept")


def test_tables_of_pandas_have_a_line_each(lens):
    pytest.importorskip("pandas", reason="to_pandas needs pandas: pip install pandas")
    heads = lens.to_pandas()
    assert len(heads) == 2 * 4
    torch.testing.assert_close(
        torch.tensor(heads["entropy_bits"].to_numpy()), torch.cat([one["entropy_bits"] for one in lens.head_means().values()])
    )
    queries = lens.to_pandas("query")
    assert len(queries) == 2 * (2 * 4 * 6 + 2 * 4 * 9)  # two calls of each of two layers are kept
    line = queries[(queries.layer == "1") & (queries.call == 1) & (queries.example == 1) & (queries["head"] == 2)].iloc[5]
    assert line["query"] == 5
    assert line["top_keys_1"] == lens[1].statistics.top_keys[1, 2, 5, 1]
    assert len(lens.to_pandas("key")) == len(queries)
    with pytest.raises(InputError, match='"head", "query" or "key", got \'token\''):
        lens.to_pandas("token")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_of_half_precision_are_as_exact_as_rectangles(dtype):
    torch.manual_seed(0)
    x = (2 * torch.randn(1, 2, 20, 8)).to(dtype)
    with regard.watch(Layer(), Wanted(rectangles=((range(5, 9), range(20)),)), keep_calls=True) as seen:
        Layer()(x)
    (reading,) = seen.readings
    weights = reading.weights(range(5, 9))
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights, reading.statistics.rectangles[0], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 2, 4))


def test_rows_without_numbers_are_told_once_and_leave_the_means():
    x = torch.randn(1, 2, 6, 4)
    x[:, 0] = math.nan
    model = Layer()
    with regard.watch(model) as seen:
        model(x)
        model(x)
    assert seen.unseen == [("Layer", BROKEN)]
    means = seen.head_means()["Layer"]
    assert means["entropy_bits"][0].isnan()
    assert means["entropy_bits"][1] > 0
    assert means["permitted_keys"].tolist() == [3.5, 3.5]
    first = seen.summary().splitlines()[1]
    assert "unknown" in first
    assert "nan" in first
    assert "Layer  not seen: rows whose weights are NaN or infinite" in seen.summary()


def test_a_sample_counts_no_rows_whose_scores_forbid_every_key():
    torch.manual_seed(1)
    x = torch.randn(1, 1, 12, 4)
    call = from_flex(x, x, x, lambda score, b, h, i, j: torch.where(i > j + 5, score, -math.inf)).call
    blocks = tuple(range(start, start + 3) for start in range(0, 12, 3))
    total = Total((0,))
    total.add(measure(call, sample=sample_of(call, blocks, 4)))
    torch.testing.assert_close(total.means()["permitted_keys"], measure(call).statistics.head_means()["permitted_keys"])


def test_a_layer_that_changes_its_number_of_heads_is_told():
    x = torch.randn(1, 2, 3, 2)
    seen = Lens()
    for heads in (2, 1):
        part = x[:, :heads]
        measured: Measured = measure(Call(ScaledDot(), part, part, part))
        seen.add(Reading("a", measured.statistics, (1, heads, 3, 3)), measured)
    assert seen.unseen == [("a", "it had 1 heads now and 2 before")]
