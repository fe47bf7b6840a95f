"""The page is whole and safe, and holds what the lens saw, as exactly as it says."""

import math
import re
from dataclasses import replace

import pytest
import torch

import regard
from regard.errors import InputError
from regard.lens.statistics import STATISTICS, Statistics
from regard.viewer.contents import contents
from regard.viewer.packing import COARSE, FINE, pack, pack_integers, relative_error
from regard.viewer.parts import means_of_runs, merged_cells
from regard.viewer.picture import Layer
from regard.viewer.report import VERSION, Extras, Image, Picture, render, to_json
from regard.viewer.room import Choice, Room
from tests.viewer.pages import TOKENS, data_of, full_size, looked_across, unpack, watched

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture(scope="module")
def lens():
    return watched(6, top_keys=2)


@pytest.fixture(scope="module")
def picture(lens):
    return Picture.of(lens, "<b>title</b>", TOKENS, note="<i>", labels=["B-<X>", *["O"] * 5])


def first_head(page, layer=0, head=0):
    return data_of(page)["pictures"][0]["layers"][layer]["heads"][head]


@pytest.mark.parametrize("levels", [FINE, COARSE, 62])
def test_packed_numbers_are_as_near_as_is_said(levels):
    values = torch.rand(3000, dtype=torch.float64) ** 4
    values[:2] = torch.tensor([0.0, values.max()])
    found = unpack(pack(values, levels))
    large = values >= values.max() * 10.0 ** -(8 if levels == FINE else 5)
    assert ((found - values).abs()[large] <= 1.0001 * relative_error(levels) * values[large]).all()
    assert found[0] == 0
    assert found[1] == values[1]


def test_packed_numbers_keep_their_sign_and_their_gaps():
    found = unpack(pack(torch.tensor([-1.0, 0.5, math.nan, 0.0, -0.25]), COARSE))
    assert found[2].isnan()
    torch.testing.assert_close(found[[0, 1, 3, 4]], torch.tensor([-1.0, 0.5, 0.0, -0.25]).double(), rtol=0.05, atol=0)
    assert unpack(pack_integers(torch.tensor([-1, 0, 99_999, 2**24 + 3]))).tolist() == [-1, 0, 99_999, 2**24 + 3]
    linear = unpack(pack(torch.tensor([0.0, 3.0, 7.0, math.nan]), is_linear=True))
    torch.testing.assert_close(linear[:3], torch.tensor([0.0, 3.0, 7.0]).double(), rtol=1e-4, atol=0)


def test_the_page_holds_the_statistics_of_each_head(lens, picture):
    head, seen = first_head(render([picture], title="x"), 1, 2), lens[1].statistics
    torch.testing.assert_close(unpack(head["map"]).view(6, 6), seen.block_map[0, 2].double(), rtol=2e-4, atol=1e-7)
    torch.testing.assert_close(unpack(head["entropy_bits"]), seen.entropy_bits[0, 2].double(), rtol=0, atol=1e-4)
    torch.testing.assert_close(unpack(head["mass_received"]), seen.mass_received[0, 2].double(), rtol=2e-4, atol=1e-7)
    torch.testing.assert_close(unpack(head["top_weights"]).view(6, 2), seen.top_weights[0, 2].double(), rtol=2e-4, atol=0)
    assert unpack(head["top_keys"]).view(6, 2).equal(seen.top_keys[0, 2])
    entropy = seen.entropy_bits[0, 2].mean()
    assert head["means"]["entropy_bits"] == pytest.approx(float(entropy), rel=1e-4)


def test_another_example_of_a_batch_can_be_shown(lens):
    head = first_head(render([Picture.of(lens, "x", TOKENS, extras=Extras(example=1))], title="x"))
    torch.testing.assert_close(
        unpack(head["map"]).view(6, 6), lens[0].statistics.block_map[1, 0].double(), rtol=2e-4, atol=1e-7
    )
    with pytest.raises(InputError, match=r"example must be below the batch size of '0', got 2 of 2\."):
        Picture.of(lens, "x", TOKENS, extras=Extras(example=2))


def test_texts_cannot_leave_their_data(picture):
    page = render([picture], title="</title><script>alert(1)</script>")
    assert page.count("</script>") == 2
    assert "alert(1)</script>" not in page
    assert data_of(page)["pictures"][0]["keys"] == TOKENS
    assert data_of(page)["title"] == "</title><script>alert(1)</script>"


def test_the_page_asks_for_nothing(picture):
    page = render([picture], title="x")
    assert not re.search(r"""(src|href)\s*=\s*["']|@import|url\(|fetch\(|https?://|innerHTML|eval\(""", page)
    assert "default-src 'none'" in page
    assert data_of(page)["version"] == VERSION


def test_a_full_report_fits_and_says_what_was_left_out():
    picture = full_size()
    page = render([picture], title="all of it")
    assert len(page.encode()) < 3_000_000
    shown = data_of(page)["pictures"][0]
    text = " ".join(shown["left_out"])
    assert "Lines are means over runs of 196 tokens." in text
    head, seen = shown["layers"][1]["heads"][3], picture.layers[1].statistics
    exact, near = seen.block_map[0, 3].double(), unpack(head["map"]).view(128, 128)
    claimed = (int(re.search(r"Maps are kept to (\d+) %", text)[1]) + 0.5) / 100
    assert torch.where(exact > 1e-5 * exact.max(), (near - exact).abs() <= claimed * exact, near <= 1e-5 * exact.max()).all()
    lines = unpack(head["entropy_bits"])
    torch.testing.assert_close(lines[0], seen.entropy_bits[0, 3, :196].mean().double(), rtol=0.02, atol=0)
    assert unpack(shown["layers"][1]["top_queries"]).tolist() == list(range(0, 100_000, 782))
    count = shown["layers"][1]["top_count"]
    assert unpack(head["top_keys"]).view(-1, count).equal(seen.top_keys[0, 3, ::782, :count])


@pytest.mark.parametrize("num_words", [6, 1200], ids=["few", "many"])
def test_a_name_that_is_no_text_is_shown_with_question_marks(num_words):
    odd = "caf\udce9.txt"  # as Python reads a file's name that is not UTF-8
    x = torch.zeros(1, 1, num_words, 2)
    with regard.watch(torch.nn.Identity(), ["entropy_bits"]) as lens:
        torch.nn.functional.scaled_dot_product_attention(x, x, x)
    page = render([Picture.of(lens, odd, [odd] * num_words)], title=odd)
    page.encode()
    data = data_of(page)
    assert data["title"] == data["pictures"][0]["title"] == "caf?.txt"
    if num_words == 6:
        assert data["pictures"][0]["keys"] == 6 * ["caf?.txt"]


def test_room_decides_what_is_kept():
    rectangles = ((range(50, 60), range(3)), (range(3), range(90)))
    lens, texts = watched(40, top_keys=4, rectangles=rectangles), [str(n) for n in range(40)]
    picture = Picture.of(lens, "x", texts, extras=Extras(rectangles=rectangles))
    large, small = (to_json([picture], max_bytes=size)["pictures"][0] for size in (1_000_000, 12_000))
    assert large["left_out"] == []
    assert any("Exact weights of queries 0–2 on keys 0–89" in line for line in small["left_out"])
    assert any(line.startswith("Maps are kept to") for line in small["left_out"])
    kept = large["layers"][0]["heads"][1]["rectangles"][0]
    assert (kept["rows"], kept["keys"]) == ([0, 3], [0, 40])
    exact = picture.layers[0].statistics.rectangles[0][0, 1]
    torch.testing.assert_close(unpack(kept["weights"]).view(3, 40), exact.double(), rtol=2e-4, atol=1e-7)


def test_rectangles_must_be_those_of_the_lens(lens):
    with pytest.raises(InputError, match="rectangles must be those of Wanted: '0' has 0 and 1 were named"):
        Picture.of(lens, "x", TOKENS, extras=Extras(rectangles=((range(2), range(2)),)))


def test_the_first_choice_that_fits_is_taken_and_its_loss_told():
    room = Room(100)
    choices = [Choice(0, lambda: "a" * 200, "none"), Choice(0, lambda: "b" * 40, "most"), Choice(0, lambda: "c")]
    assert room.best(0.5, choices) == "b" * 40
    assert room.lost == ["most"]
    assert room.left == 58
    assert room.best(0.5, [Choice(10_000, lambda: pytest.fail("it cannot fit")), Choice(0, lambda: "d")]) == "d"


def test_merged_cells_are_the_map_of_larger_cells():
    length, weights = 300, torch.rand(1, 1, 300, 300).softmax(-1)
    live = torch.rand(1, 1, 300) > 0.3
    weights = weights * live[..., None]

    def cells(width):
        rows, keys = torch.arange(300) // width, torch.arange(300) // width
        sums = torch.zeros(1, rows[-1] + 1, 300).index_add_(1, rows, weights[0])
        sums = torch.zeros(1, rows[-1] + 1, keys[-1] + 1).index_add_(2, keys, sums)
        counts = torch.zeros(1, rows[-1] + 1).index_add_(1, rows, live[0].float())
        return sums / counts.clamp(min=1)[..., None]

    layer = Layer("x", Statistics({}, live), (length, length), (0,), ("keys", "keys"))
    torch.testing.assert_close(merged_cells(cells(3), layer, 2), cells(6))
    blank = cells(3)
    blank[:, :2] = math.nan
    assert merged_cells(blank, layer, 2)[0].isnan().any(1).tolist() == [True] + [False] * 49


def test_lines_are_means_of_what_was_read():
    values = torch.tensor([[1.0, 3.0, math.nan, 5.0, math.nan, math.nan, 7.0]])
    found = means_of_runs(values, 2)
    assert found[0, [0, 1, 3]].tolist() == [2, 5, 7]
    assert found[0, 2].isnan()


def test_each_layer_finds_its_text():
    own = Picture.of(looked_across(4, 7), "x", list("abcdefg"), queries=list("wxyz"))
    assert own.layers[0].texts == ("queries", "keys")
    assert Picture.of(watched(7), "x", list("abcdefg"), queries=list("wxyz")).layers[0].texts == ("keys", "keys")
    assert Picture.of(watched(4), "x", list("abcdefg"), queries=list("wxyz")).layers[0].texts == ("queries", "queries")
    assert Picture.of(watched(5), "x", list("abcdefg"), queries=list("wxyz")).layers[0].texts == ("", "")


def test_padding_needs_no_text():
    seen = watched(6)[0].statistics
    live = torch.tensor([True] * 4 + [False] * 2).expand(1, 3, 6)
    values = {name: value[:1].clone() for name, value in seen.values.items()}
    values["mass_received"][..., 4:] = 0
    reading = replace(watched(6)[0], statistics=Statistics(values, live), shape=(1, 3, 6, 6))
    assert Layer.of(reading, Extras(), {"keys": 4}).texts == ("keys", "keys")
    packed = contents(Picture("x", list("abcd"), list("abcd"), [Layer.of(reading, Extras(), {"keys": 4})]), 1e6)
    assert unpack(packed["layers"][0]["heads"][0]["entropy_bits"]).isnan().tolist() == [False] * 4 + [True] * 2


def test_notes_say_how_it_was_seen():
    import regard

    model, x = torch.nn.MultiheadAttention(12, 3, batch_first=True), torch.randn(1, 300, 12)
    with regard.watch(model, sample=2) as lens:
        model(x, x, x)
    lens.unseen += [("deep.layer", "it ran in another process")] * 3
    notes = Picture.of(lens, "x", [str(n) for n in range(300)]).notes
    assert "Sampled: 2 of 5 blocks of queries; the others are blank." in notes
    assert "Not seen: deep.layer, 3 times: it ran in another process." in notes
    assert any(lens[0].how[1:] in note for note in notes)


def test_what_was_not_measured_is_not_shown():
    lens = watched(6, names=("entropy_bits",))
    shown = to_json([Picture.of(lens, "x", TOKENS)])["pictures"][0]
    head = shown["layers"][0]["heads"][0]
    assert "entropy_bits" in head
    assert not {"map", "mass_received", "top_weights"} & set(head)
    assert set(head["means"]) == {"entropy_bits"}
    assert set(head["means"]) <= set(STATISTICS)


def test_roles_and_facts_travel(lens):
    roles = {"1": ["sink", "", "previous token"]}
    shown = to_json([Picture.of(lens, "x", TOKENS, roles=roles, extras=Extras(facts={"comprehensiveness": "0.31"}))])
    picture = shown["pictures"][0]
    assert [head["role"] for layer in picture["layers"] for head in layer["heads"]] == [
        "",
        "",
        "",
        "sink",
        "",
        "previous token",
    ]
    assert picture["facts"] == {"comprehensiveness": "0.31"}


def test_a_layer_names_the_text_that_it_reads():
    lens, pieces = watched(6), [f"piece {number}" for number in range(6)]
    picture = Picture.of(lens, "x", list("abc"), extras=Extras(texts={"pieces": pieces}))
    assert [layer.texts for layer in picture.layers] == [("pieces", "pieces")] * 2
    assert to_json([picture])["pictures"][0]["texts"] == {"pieces": pieces}
    own = Picture.of(lens, "x", TOKENS, extras=Extras(texts={"pieces": pieces}))  # of texts as long, the keys come first
    assert [layer.texts for layer in own.layers] == [("keys", "keys")] * 2


def test_a_small_layer_stays_whole_where_others_are_joined():
    large = full_size(layers=4, length=200)
    small = Picture.of(watched(6), "x", TOKENS).layers[0]
    page = contents(replace(large, layers=[*large.layers, small]), 100_000)
    assert [layer["row_width"] > 1 for layer in page["layers"]] == [True] * 4 + [False]
    assert "cells in one where a layer has more than 4,096." in " ".join(page["left_out"])


def test_what_does_not_fit_together_is_told(lens, picture):
    with pytest.raises(InputError, match="labels must be one for each query, or none: got 2 for 6 queries"):
        Picture.of(lens, "x", TOKENS, labels=["O", "O"])
    with pytest.raises(InputError, match="compare must be one picture for each, got 2 for 1"):
        render([picture], title="x", compare=[picture, picture])
    with pytest.raises(InputError, match=r"keys must name 1 leading tokens and 2 × 2 patches, got 6 keys"):
        Picture.of(lens, "x", TOKENS, extras=Extras(image=Image(PNG, 2, 2, 1)))
    with pytest.raises(InputError, match="must be a PNG, JPEG, WebP or GIF file, got one that starts with b'BM12'"):
        Image(b"BM1234", 2, 2)
    with pytest.raises(InputError, match="An image has rows and columns of patches, got 0 × 2 after 0"):
        Image(PNG, 0, 2)
