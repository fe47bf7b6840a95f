"""The page in a real browser: it opens fast, and a person can find what the lens saw by mouse, by keys and by ear."""

import io
import re
from dataclasses import replace

import pytest
import torch

from regard.lens.measure import measure_matrix
from regard.viewer.report import Extras, Image, Picture, render
from tests.viewer.pages import TOKENS, full_size, looked_across, watched

Pillow = pytest.importorskip("PIL.Image", reason="the image of the test is drawn by Pillow")


@pytest.fixture(scope="module")
def lens():
    return watched(6, top_keys=2)


@pytest.fixture(scope="module")
def pictures(lens):
    roles = {"0": ["sink", "", "local"], "1": ["", "sink", "<u>"]}
    first = Picture.of(lens, "<b>title</b>", TOKENS, note="<i>", labels=["B-<X>", *["O"] * 5], roles=roles)
    return [first, Picture.of(lens, "second", list("abcdef"), note="second note")]


@pytest.fixture
def page(visit, pictures):
    return visit(render(pictures, title="a report", facts={"f1": "71 %"}))


@pytest.fixture(scope="module")
def long_page():
    rectangle = (range(100, 160), range(80, 160))
    lens = watched(600, top_keys=2, rectangles=(rectangle,))
    return lens, render(
        [Picture.of(lens, "long", [f"w{n}" for n in range(600)], extras=Extras(rectangles=(rectangle,)))], title="x"
    )


def plot_of(page, number=0):
    """The place of a map on the page: left, top, width, height."""
    canvas = page.locator("canvas.map").nth(number)
    canvas.scroll_into_view_if_needed()
    box, plot = canvas.bounding_box(), [float(side) for side in canvas.get_attribute("data-plot").split()]
    return box["x"] + plot[0], box["y"] + plot[1], plot[2], plot[3]


def point(page, row, column, rows=6, columns=6):
    left, top, width, height = plot_of(page)
    page.mouse.move(left + (column + 0.5) * width / columns, top + (row + 0.5) * height / rows)


def readout(page):
    return page.locator(".readout").inner_text()


def weight_in(text):
    return float(re.search(r": ([\d.]+)", text)[1])


def pixels(page, number=0):
    """Colours of a map at the middles of its cells, as lightness from 0 to 255."""
    source = """([number, cells]) => {
      const canvas = document.querySelectorAll("canvas.map")[number], [x, y, w, h] = canvas.dataset.plot.split(" ").map(Number);
      const context = canvas.getContext("2d"), at = (i, side) => (i + 0.5) * side / cells;
      return Array.from({ length: cells * cells }, (_, i) => {
        const data = context.getImageData(x + at(i % cells, w), y + at(Math.floor(i / cells), h), 1, 1).data;
        return (data[0] + data[1] + data[2]) / 3;
      });
    }"""
    return torch.tensor(page.evaluate(source, [number, 6])).view(6, 6)


def rises(values, by):
    """Whether values grow with what they stand for, and are not all one."""
    return bool((values[by.argsort()].diff() >= 0).all() and values.unique().numel() > len(values) // 2)


def test_a_full_report_opens_in_under_a_second_and_a_half(visit):
    page = visit(render([full_size()], title="x"))
    assert page.evaluate("performance.getEntriesByName('regard: first head')[0].startTime") < 1500
    assert page.locator(".head").count() == 144
    assert page.locator(".chunk").count() == 250
    assert 0 < page.locator(".token").count() < 8000
    page.wait_for_function(
        "[...document.querySelectorAll('.head canvas')].filter((canvas) => canvas.width === 128).length > 30"
    )


def test_all_heads_are_shown_and_a_click_opens_one(page):
    heads = page.locator(".head")
    assert heads.count() == 6
    assert page.locator("h2").first.inner_text().startswith("0 · head 0")
    heads.nth(4).click()
    page.wait_for_selector('[data-ready="true"]')
    assert page.locator("h2").first.inner_text().split("\n")[0].startswith("1 · head 1")
    assert heads.nth(4).get_attribute("aria-pressed") == "true"
    assert heads.nth(0).get_attribute("aria-pressed") == "false"


def test_the_map_is_dark_where_the_weights_are(page, lens):
    weights = lens[0].statistics.block_map[0, 0]
    assert rises(-pixels(page).flatten(), weights.flatten())


def test_the_scale_of_colours_turns_by_a_click_and_by_a_key(page):
    before = pixels(page)
    page.get_by_role("button", name="root scale").click()
    assert (pixels(page) <= before + 1).all()
    assert pixels(page).mean() < before.mean() - 5
    page.keyboard.press("s")
    assert page.get_by_role("button", name="straight scale").is_visible()
    assert pixels(page).mean() > before.mean() + 5


def test_dark_mode_turns_the_map_round(page, lens):
    light = pixels(page)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("getComputedStyle(document.body).backgroundColor === 'rgb(19, 22, 27)'")
    for _ in range(100):  # the maps are painted anew a moment after the styles have changed
        if not torch.equal(pixels(page), light):
            break
        page.wait_for_timeout(50)
    assert rises(pixels(page).flatten(), lens[0].statistics.block_map[0, 0].flatten())
    assert page.evaluate("getComputedStyle(document.querySelector('.regard')).color") == "rgb(229, 232, 236)"


def test_hover_reads_a_cell(page, lens):
    point(page, 1, 2)
    assert readout(page).startswith("“</script>” (1) → “&amp;” (2): ")
    assert weight_in(readout(page)) == pytest.approx(float(lens[0].statistics.block_map[0, 0, 1, 2]), abs=6e-4)


def test_a_click_keeps_a_row_and_lists_what_it_looks_at(page, lens):
    point(page, 1, 2)
    page.mouse.down()
    page.mouse.up()
    page.mouse.move(2, 2)
    assert page.locator("aside h3").inner_text() == "“</script>” · 1"
    assert page.locator("aside .says").inner_text().startswith("Looks at: exact weights")
    shown = [float(text) for text in page.locator(".bar em").all_inner_texts()]
    expected = lens[0].statistics.block_map[0, 0, 1].sort(descending=True).values
    assert shown == pytest.approx(expected.tolist(), abs=6e-4)
    assert page.locator(".token.chosen").inner_text() == "</script>"


def test_turning_round_lists_who_looks_at_a_token(page, lens):
    page.locator(".token").nth(3).click()
    page.keyboard.press("d")
    assert page.locator("aside .says").inner_text().startswith("Is looked at by: exact weights")
    shown = [float(text) for text in page.locator(".bar em").all_inner_texts()]
    assert shown == pytest.approx(lens[0].statistics.block_map[0, 0, :, 3].sort(descending=True).values.tolist(), abs=6e-4)


def test_the_text_is_shaded_by_weight(page, lens):
    page.locator(".token").nth(2).click()
    shades = page.eval_on_selector_all(".token", "(all) => all.map((token) => Number(token.style.getPropertyValue('--shade')))")
    assert rises(torch.tensor(shades), lens[0].statistics.block_map[0, 0, 2])


def test_keys_do_all_that_a_mouse_does(page):
    page.keyboard.press("m")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert readout(page).startswith("“&amp;” (2)") or readout(page).startswith("“</script>” (1)")
    page.keyboard.press("Enter")
    chosen = page.locator("aside h3").inner_text()
    assert chosen.split(" · ")[0] in readout(page)
    page.keyboard.press("Escape")
    assert page.locator("aside h3").inner_text() == "Choose a token"
    page.keyboard.press("]")
    page.wait_for_selector('[data-ready="true"]')
    assert page.locator("h2").first.inner_text().startswith("0 · head 1")
    page.keyboard.press("}")
    page.wait_for_selector('[data-ready="true"]')
    assert page.locator("h2").first.inner_text().startswith("1 · head 1")
    page.keyboard.press("o")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector('[data-ready="true"]')
    assert page.locator("h2").first.inner_text().startswith("1 · head 2")
    page.keyboard.press("?")
    assert page.locator("dialog").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()


def test_examples_change_by_key_and_by_menu(page):
    assert page.locator(".note").inner_text() == "<i>"
    page.keyboard.press(".")
    page.wait_for_selector('[data-ready="true"]')
    assert page.locator(".note").inner_text() == "second note"
    assert page.locator(".token").first.inner_text() == "a"
    page.get_by_label("Example", exact=True).select_option("0")
    page.wait_for_selector('[data-ready="true"]')
    assert page.locator(".token").first.inner_text() == "<script>"


def test_texts_are_only_text(page):
    assert page.locator(".token").all_inner_texts()[:3] == ["<script>", "</script>", "&amp;"]
    assert page.locator(".token").last.inner_text().strip() == "é⏎"
    assert page.get_by_label("Example", exact=True).locator("option").first.inner_text() == "<b>title</b>"
    assert page.get_by_text("<u> 1").is_visible()
    assert page.evaluate("document.scripts.length") == 2


def test_heads_sort_by_a_statistic_and_show_their_means(page, lens):
    page.get_by_label("Statistic under each head").select_option("mean_distance")
    page.get_by_label("Order of the heads").select_option("down")
    order = page.eval_on_selector_all(".head", "(all) => all.map(({ place }) => place.l * 3 + place.h)")
    expected = torch.cat([lens[n].statistics.mean_distance[0].mean(-1) for n in (0, 1)]).argsort(descending=True)
    assert order == expected.tolist()
    page.locator(".head").first.hover()
    assert "distance" in page.get_by_role("tooltip").inner_text()
    assert (
        f"{float(lens[order[0] // 3].statistics.mean_distance[0, order[0] % 3].mean()):.2f} tokens"
        in page.get_by_role("tooltip").inner_text()
    )


def test_a_role_leaves_the_other_heads_pale(page):
    page.get_by_role("button", name="sink 2").click()
    assert page.eval_on_selector_all(".head:not(.dimmed)", "(all) => all.map(({ place }) => place.l * 3 + place.h)") == [0, 4]
    assert "sink" in page.locator(".head").nth(4).get_attribute("aria-label")


def test_what_can_be_pressed_has_a_name(page):
    unnamed = """(all) => all.filter((one) => !(one.getAttribute("aria-label") || one.textContent.trim()
      || one.getAttribute("placeholder"))).length"""
    assert page.eval_on_selector_all("button, select, input, canvas[tabindex], [role=listbox]", unnamed) == 0
    assert page.locator("[aria-live=polite]").count() >= 2


def test_zoom_comes_down_to_exact_weights(visit, long_page):
    lens, text = long_page
    page, exact = visit(text), lens[0].statistics.rectangles[0][0, 0]
    point(page, 130, 120, 600, 600)
    assert readout(page).startswith("tokens 130–134 → tokens 120–124: ")
    for _ in range(12):
        page.mouse.wheel(0, -240)
    page.mouse.wheel(0, -1)
    found = re.match(r"“w(\d+)” \(\1\) → “w(\d+)” \(\2\): ([\d.e−]+)", readout(page))
    row, key, weight = int(found[1]), int(found[2]), float(found[3].replace("−", "-"))
    assert (row, key) == (130, 120)
    assert weight == pytest.approx(float(exact[row - 100, key - 80]), rel=0.005)
    assert "a cell: one weight" in page.locator(".legend").inner_text()
    page.keyboard.press("0")
    assert "a cell: the share that 5 queries give 5 keys" in page.locator(".legend").inner_text()


def test_drag_moves_and_double_click_comes_closer(visit, long_page):
    page = visit(long_page[1])
    left, top, width, height = plot_of(page)
    page.mouse.dblclick(left + width / 2, top + height / 2)

    def place():
        page.mouse.move(left + width / 2, top + height / 2 + 1)
        page.mouse.move(left + width / 2, top + height / 2)
        return [int(number) for number in re.findall(r"tokens (\d+)", readout(page))]

    before = place()
    page.mouse.down()
    page.mouse.move(left + width / 2 - 100, top + height / 2 - 60, steps=4)
    page.mouse.up()
    after = place()
    assert after[0] > before[0]
    assert after[1] > before[1]
    page.keyboard.press("-")
    page.keyboard.press("-")
    assert abs(place()[0] - 300) < 60


def test_a_token_of_a_long_text_is_found_and_says_what_is_exact(visit, long_page):
    page = visit(long_page[1])
    page.keyboard.press("/")
    page.keyboard.type("w57")
    assert page.locator(".found").first.inner_text() == "1 of 11"
    page.keyboard.press("Enter")
    assert page.locator("aside h3").inner_text() == "“w570” · 570"
    assert (
        page.locator("aside .says")
        .inner_text()
        .startswith("Looks at: the 2 largest weights are exact; the rest: a mean of tokens 570–574")
    )
    assert page.locator(".token.chosen").is_visible()


def test_exact_weights_are_listed_where_they_were_kept(visit, long_page):
    lens, text = long_page
    page, exact = visit(text), lens[0].statistics.rectangles[0][0, 0]
    page.locator(".token").nth(130).click()
    assert " weights are exact; the rest: a mean of tokens 130–134" in page.locator("aside .says").inner_text()
    listed = page.locator(".bar").all_inner_texts()
    places, weights = zip(*((int(bar.split("\n")[1]), float(bar.split("\n")[-1])) for bar in listed[:10]), strict=True)
    inside = [(place - 80, weight) for place, weight in zip(places, weights, strict=True) if 80 <= place < 160]
    assert len(inside) >= 8
    for place, weight in inside:
        assert weight == pytest.approx(float(exact[30, place]), rel=0.005)
    page.keyboard.press("d")
    column = [bar.split("\n") for bar in page.locator(".bar").all_inner_texts()]
    seen = {int(bar[1]): float(bar[-1]) for bar in column if "–" not in bar[1] and 100 <= int(bar[1]) < 160}
    assert seen
    for row, weight in seen.items():
        assert weight == pytest.approx(float(exact[row - 100, 50]), rel=0.005)


def test_a_patch_is_chosen_by_a_click(visit):
    drawn = io.BytesIO()
    Pillow.new("RGB", (90, 60), "white").save(drawn, "PNG")
    lens, names = watched(7), ["[CLS]", *[f"patch {n}" for n in range(6)]]
    page = visit(render([Picture.of(lens, "x", names, extras=Extras(image=Image(drawn.getvalue(), 2, 3, 1)))], title="x"))
    weights = lens[0].statistics.block_map[0, 0]
    assert page.locator("aside h3").inner_text() == "“[CLS]”"
    canvas = page.locator(".frame canvas")
    page.wait_for_function("document.querySelector('.frame canvas').width > 50")
    warm = page.evaluate("""() => {
      const canvas = document.querySelector(".frame canvas"), context = canvas.getContext("2d");
      const [wide, high] = [canvas.width / 3, canvas.height / 2];
      const red = (i) => context.getImageData((i % 3 + 0.5) * wide, (Math.floor(i / 3) + 0.5) * high, 1, 1).data[0];
      return Array.from({ length: 6 }, (_, i) => red(i));
    }""")
    assert rises(torch.tensor(warm), weights[0, 1:])
    box = canvas.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.75)
    assert page.locator("aside h3").inner_text() == "“patch 4”"
    page.keyboard.press("ArrowLeft")
    assert page.locator("aside h3").inner_text() == "“patch 3”"
    page.get_by_role("button", name="[CLS]", exact=True).click()
    assert page.locator("aside h3").inner_text() == "“[CLS]”"


def test_a_page_of_an_image_speaks_of_patches_and_of_nothing_that_they_have_not(visit):
    drawn = io.BytesIO()
    Pillow.new("RGB", (90, 60), "white").save(drawn, "PNG")
    lens = looked_across(2, 6)
    extras = Extras(image=Image(drawn.getvalue(), 2, 3), texts={"classes": ["rose", "daisy"]})
    one = Picture.of(lens, "x", [f"{n // 3 + 1}·{n % 3 + 1}" for n in range(6)], extras=extras)
    assert one.layers[0].texts == ("classes", "keys")
    alone = measure_matrix(lens[0].statistics.block_map[:, :1].float(), None).statistics
    first = replace(one.layers[0], name="speaks for a class", statistics=alone, heads=(0,))
    page = visit(render([replace(one, layers=[first, *one.layers])], title="x"))
    assert page.locator("h2").first.inner_text() == "speaks for a class"
    assert page.locator(".text h3").inner_text() == "Queries: 2 rows that look"
    assert page.locator("aside h3").inner_text() == "“rose”"
    assert set(page.locator(".bar small").all_inner_texts()) == {""}
    point(page, 1, 4, 2, 6)
    assert readout(page).startswith("“daisy” → “2·2”: ")
    shown = page.locator(".means").inner_text() + page.get_by_label("Statistic under each head").inner_text()
    assert "entropy" in shown
    assert not re.search("distance|near|previous|sink", shown)
    page.locator(".head").nth(1).hover()
    assert page.get_by_role("tooltip").inner_text().startswith("MultiheadAttention · head 0")
    assert "distance" not in page.get_by_role("tooltip").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("aside h3").inner_text() == "Choose a patch"
    assert "a patch of the image" in page.locator("aside .says").inner_text()
    assert "token" not in page.locator("aside").inner_text()


def test_two_texts_stand_side_by_side(visit):
    lens = looked_across(4, 7)
    page = visit(render([Picture.of(lens, "x", list("abcdefg"), queries=list("wxyz"))], title="x"))
    weights = lens[0].statistics.block_map[0, 0]
    assert page.locator(".text").count() == 2
    page.locator(".text").first.locator(".token").nth(2).click()
    shown = "(all) => all.map((token) => Number(token.style.getPropertyValue('--shade')))"
    keys = page.locator(".text").nth(1).locator(".token").evaluate_all(shown)
    assert rises(torch.tensor(keys), weights[2])
    page.locator(".text").nth(1).locator(".token").nth(5).click()
    queries = page.locator(".text").first.locator(".token").evaluate_all(shown)
    assert rises(torch.tensor(queries), weights[:, 5])
    assert page.locator("aside h3").inner_text() == "“f” · 5"


def test_a_layer_may_have_a_text_of_its_own(visit):
    names = ["LOC New York", "of ", "a  b", "PER Ada"]
    picture = Picture.of(looked_across(4, 7), "x", list("abcdefg"), labels=["B-X"] * 7, extras=Extras(texts={"names": names}))
    assert picture.layers[0].texts == ("names", "keys")
    page = visit(render([picture], title="x"))
    assert page.locator(".text").first.locator(".token").all_inner_texts() == ["LOC New York", "of␣", "a␣␣b", "PER Ada"]
    page.locator(".text").first.locator(".token").nth(3).click()
    assert page.locator("aside h3").inner_text() == "“PER Ada” · 3"
    bars = page.locator(".bar span").all_inner_texts()
    assert sorted(bars) == list("abcdefg")


def test_two_runs_are_compared(visit, lens, pictures):
    other = watched(6, seed=3)
    compare = [Picture.of(other, "x", TOKENS), Picture.of(other, "x", list("abcdef"))]
    page = visit(render(pictures, title="x", compare=compare, names=("before", "after")))
    page.keyboard.press("c")
    change = other[0].statistics.block_map[0, 0] - lens[0].statistics.block_map[0, 0]
    point(page, 4, 1)
    assert weight_in(readout(page)) == pytest.approx(float(other[0].statistics.block_map[0, 0, 4, 1]), abs=6e-4)
    page.keyboard.press("c")
    point(page, 0, 0)
    point(page, 4, 1)
    sign, size = re.search(r": ([+−±])([\d.]+)", readout(page)).groups()
    assert float(size) * (-1 if sign == "−" else 1) == pytest.approx(float(change[4, 1]), abs=6e-4)
    page.keyboard.press("c")
    assert page.locator("canvas.map").count() == 3
    means = page.locator(".means").inner_text()
    later, earlier = (float(one[0].statistics.entropy_bits[0, 0].mean()) for one in (other, lens))
    assert f"{earlier:.2f} bits → {later:.2f} bits" in means
    shown = re.search(r"bits ([+−][\d.e−]+) bits", means)[1].replace("−", "-")
    assert float(shown) == pytest.approx(later - earlier, rel=0.01)


def test_a_narrow_window_needs_no_scrolling_aside(visit, pictures, long_page):
    for text in (render(pictures, title="x", facts={"f1": "71 %"}), long_page[1]):
        page = visit(text, viewport={"width": 400, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == 400
        left, _, width, _ = plot_of(page)
        assert left + width < 400


def test_a_picture_without_attention_says_so(visit):
    from regard.lens.record import Lens

    lens = Lens()
    lens.unseen.append(("deep", "it is hidden"))
    page = visit(render([Picture.of(lens, "x", TOKENS)], title="x"))
    assert page.locator(".note").inner_text() == "No attention was seen here."
    assert "Not seen: deep: it is hidden." in page.locator(".about").inner_text()


def test_a_head_without_a_map_says_so(visit):
    page = visit(render([Picture.of(watched(6, names=("entropy_bits",)), "x", TOKENS)], title="x"))
    assert "The block map of this head was not measured." in page.locator(".maps").inner_text()


def test_gates_are_shown(visit):
    lens = watched(6)
    lens.gates["attention.gate"] = torch.linspace(0.25, 0.5, 20).view(1, 1, 4, 5)
    lens.gates["several"] = torch.rand(1, 3, 4, 5)
    page = visit(render([Picture.of(lens, "x", TOKENS)], title="x"))
    page.wait_for_function("document.querySelector('.gate canvas')?.width === 5")
    assert page.locator(".gate figcaption").all_inner_texts() == [
        "attention.gate: 1 × 4 × 5",
        "several: 3 × 4 × 5, the mean of 3 channels",
    ]
    page.wait_for_function("document.querySelectorAll('.gate .legend canvas').length === 2")
    assert page.locator(".gate .legend").first.inner_text().split("\n") == ["0", "0.500", "from 0.250 to 0.500"]


def test_a_thousand_heads_open(visit):
    text = render([Picture.of(watched(12, layers=32, heads=32), "x", [f"w{n}" for n in range(12)])], title="x")
    page = visit(text)
    assert page.locator(".head").count() == 1024
    page.locator(".head").nth(1000).click()
    page.wait_for_selector('[data-ready="true"]')
    assert page.locator("h2").first.inner_text().startswith("31 · head 8")
