"""Write the tables of README and docs from benchmarks/results; --check only says if they are up to date."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ablation import table
from common import RESULTS

README = Path(__file__).parents[1] / "README.md"
PERFORMANCE = README.parent / "docs" / "performance.md"
LENS, GATES, PAINT, ROLES = (README.parent / "docs" / f"{name}.md" for name in ("lens", "gates", "paint", "roles"))
SHOWN = {
    "cpu": ["window 512, N=4096, forward", "window 512, N=4096, forward+backward"],
    "cuda": ["window 1024, N=32768, head 64, forward", "window 1024, N=32768, head 64, forward+backward"],
}
BTC, WNUT = "Broad Twitter Corpus", "WNUT-17, test"
DDT, EWT = "Universal NER, Danish, test", "PropBank, English Web Treebank, test"
PLAIN = "the same encoder with a linear head in transformers"
PAINTED, TWEMOJI = "Fashion-MNIST at 32 pixels, 10,000 samples and test", "Twemoji at 64 pixels, all 1,911 and as many samples"
FASHION, CIFAR = "Fashion-MNIST, test", "CIFAR-10, 1,000 pictures a class, test"
FLOWERS, BCCD = "tf_flowers at 96 pixels, val", "BCCD blood cells, test"
M30K, TINY = "Multi30k English–German, test 2016", "tiny Shakespeare, dev"
QUALITY = {  # file: (task and how, data, what stands beside it: measured on two cores or published)
    "quality_ner_btc_en": ("`ner`, from scratch", f"{BTC}, test", "spaCy 3.8 from scratch: 64.1 in 336 s"),
    "quality_ner_btc_en_encoder": ("`ner`, on a 22.7 M encoder", f"{BTC}, test", f"{PLAIN}: 75.9 in 780 s"),
    "quality_ner_wnut17_en": ("`ner`, from scratch", WNUT, "spaCy 3.8 from scratch: 17.4 in 202 s"),
    "quality_ner_wnut17_en_glove": ("`ner`, GloVe vectors", WNUT, "UH-RiTUAL, word vectors: 41.9"),
    "quality_ner_wnut17_en_encoder": ("`ner`, on a 22.7 M encoder", WNUT, f"{PLAIN}: 44.5 in 780 s"),
    "quality_ner_uner_da_ddt": ("`ner`, from scratch", DDT, "XLM-R large: 82.7"),
    "quality_srl_propbank_en_ewt": ("`srl`, from scratch", EWT, ""),
    "quality_srl_propbank_en_ewt_glove": ("`srl`, GloVe vectors", EWT, ""),
    "quality_srl_propbank_en_ewt_encoder": ("`srl`, on a 22.7 M encoder", EWT, ""),
    "quality_translate_multi30k": ("`translate`, Transformer", M30K, "Transformer-tiny, tokenised and lower-cased: 41.0"),
    "quality_translate_multi30k_recurrent": (
        "`translate`, recurrent, additive attention",
        M30K,
        "Joey NMT, German–English: 28–33",
    ),
    "quality_translate_multi30k_recurrent_none": ("`translate`, recurrent, no attention", M30K, ""),
    "quality_translate_tatoeba": ("`translate`, Transformer", "Tatoeba English–German, test, a split of our own", ""),
    "quality_generate_tinyshakespeare_large": ("`generate`, 2.7 M parameters", TINY, "nanoGPT on an A100, 3 minutes: 1.47"),
    "quality_generate_wikitext2": (
        "`generate`, LSTMs and a head of attention, 9.8 M parameters",
        "WikiText-2, words, test",
        "plain LSTMs: 84–142; AWD-LSTM: 65.8",
    ),
    "quality_classify_fashion_mnist": (
        "`classify`, 242 k parameters",
        FASHION,
        "2 convolutions, 100 k: 92.5; ResNet18: 94.9",
    ),
    "quality_classify_cifar10": ("`classify`, from scratch", CIFAR, "ResNet18 on five times as many: 93.0"),
    "quality_classify_cifar10_document": ("`classify`, the source document's model, from scratch", CIFAR, ""),
    "quality_classify_flowers": ("`classify`, MobileNetV2", FLOWERS, "its features, frozen, and a logistic regression: 83.0"),
    "quality_detect_bccd": ("`detect`, MobileNetV2", BCCD, "YOLOv5n: 92 on val; Faster R-CNN: 90.3"),
    "quality_paint_fashion_mnist": ("`paint`, a gan with attention", PAINTED, "best of a large search: NS-GAN 26.5, WGAN 21.5"),
    "quality_paint_fashion_mnist_vae": ("`paint`, a vae with attention", PAINTED, "best of a large search: VAE 58.7"),
    "quality_paint_twemoji": ("`paint`, a gan with attention, 28 minutes", TWEMOJI, ""),
}


NAMES = {
    "marian, plain loop": "Marian of transformers, plain loop",
    "marian, mixed precision": "Marian, plain loop, mixed precision",
    "transformers generate": "`generate` of transformers",
    "ctranslate2": "CTranslate2",
    "gpt-2, plain loop": "GPT-2 of transformers, plain loop",
    "gpt-2, mixed precision": "GPT-2, plain loop, mixed precision",
    "regard, layer by layer": "ours layer by layer, as for other mechanisms",
    "gpt-2, cached": "`generate` of GPT-2, with its cache",
    "gpt-2, no cache": "GPT-2 without a cache, as nanoGPT samples",
    "plain loop": "plain PyTorch loop, same network",
}


def measured(name: str) -> dict[str, Any]:
    """A result, empty where there is none."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def link(name: str, text: str) -> str:
    """A figure that links to its file."""
    return f"[{text}](benchmarks/results/{name}.json)"


SCORES = {  # key: unit and digits
    "f1_percent": ("F1", 1),
    "test_f1_percent": ("F1", 1),
    "bleu_lowercase_percent": ("BLEU, lower-cased", 1),
    "perplexity": ("perplexity", 1),
    "loss_nats": ("nats", 3),
    "top1_percent": ("% top-1", 1),
    "map50_percent": ("% mAP50", 1),
    "fid": ("FID", 1),
}


def scored(result: dict[str, Any]) -> str:
    """The median of a result's main score, and its range over seeds."""
    key = next(key for key in SCORES if key in result)
    (unit, digits), found, num_seeds = SCORES[key], result[key], len(result["runs"])
    spread = "1 seed" if num_seeds == 1 else f"{found['min']:.{digits}f}–{found['max']:.{digits}f}, {num_seeds} seeds"
    return f"{found['median']:.{digits}f} {unit} ({spread})"


def rows() -> list[str]:
    """The table, a line each."""
    lines = ["| task | data | figure | beside it |", "|---|---|---|---|"]
    for name, (how, data, beside) in QUALITY.items():
        if result := measured(name):
            figure = f"{scored(result)} in {result['train_seconds']['median']:.0f} s"
            lines.append(f"| {how}, two cores | {data} | {link(name, figure)} | {beside} |")
    lines += beside_nanogpt() + tagging_speed()
    if result := measured("demo"):
        figure = f"{result['exact_match_percent']['median']:.1f} % exact match after {result['train_seconds']['median']:.0f} s"
        lines.append(f"| `demo` | written dates, 32 locales, days never seen | {link('demo', figure)} | |")
    for device, where in (("cpu", "two cores"), ("cuda", "an H100")):
        name = f"attention_pairs_{device}"
        found = {case["case"]: case for case in measured(name).get("results", [])}
        for case in SHOWN[device]:
            if case in found:
                figure = f"{found[case]['time_ratio']:.2f} of the time of {found[case]['peer']}"
                lines.append(f"| attention on {where} | causal {case} | {link(name, figure)} | [more](docs/performance.md) |")
    return lines


def beside_nanogpt() -> list[str]:
    """The dev loss at nanoGPT's size and wall time, and its own of the same run."""
    if not (result := measured("nanogpt")):
        return []
    theirs, figure = result["nanogpt"], f"{scored(result)} in {result['train_seconds']['median']:.0f} s"
    beside = f"nanoGPT in the same run: {theirs['dev_loss_nats']:.3f} in {theirs['seconds']:.0f} s"
    return [f"| `generate`, nanoGPT's CPU size and time, two cores | {TINY} | {link('nanogpt', figure)} | {beside} |"]


class Speed(NamedTuple):
    """Ours beside a peer's, taken in turns in one run."""

    what: str
    unit: str
    ours: float
    peer: str
    theirs: float
    file: str


def speeds() -> Iterator[Speed]:
    """Of whole tasks."""
    if found := measured("tagging_speed"):
        ours, peer = (found[name]["words_per_second"]["median"] for name in ("regard", "spacy"))
        yield Speed("`ner` predicts, from scratch", "words/s", ours, "spaCy 3.8", peer, "tagging_speed")
    if found := measured("finetune"):
        ours, peer = (found[f"{name}_words_per_second"]["median"] for name in ("regard", "transformers"))
        yield Speed("`ner` trains a 22.7 M encoder", "words/s", ours, "plain transformers loop", peer, "finetune")
    if found := measured("translation_speed"):
        for what, unit, key in (
            ("`translate` trains a Transformer", "target tokens/s", "training_target_tokens_per_second"),
            ("`translate` searches with a beam of 5", "sentences/s", "beam_sentences_per_second"),
        ):
            yield from beside(what, unit, found[key], "translation_speed")
    if found := measured("language_speed"):
        for sizes, one in found["sizes"].items():
            what = f"`generate` trains {sizes.replace(' x ', ' × ')}"
            yield from beside(what, "tokens/s", medians(one["tokens_per_second"]), "language_speed")
    if found := measured("generation_speed"):
        sizes = "{num_layers} × {d_model}, context {context}".format(**found["sizes"])
        what = f"`generate` writes {found['sizes']['tokens']:,} tokens, {sizes}"
        yield from beside(what, "tokens/s", found["tokens_per_second"], "generation_speed")
    if found := measured("picture_speed_fashion-mnist"):
        for what, key in (("trains", "train_pictures_per_second"), ("predicts", "predict_pictures_per_second")):
            file = "picture_speed_fashion-mnist"
            yield from beside(f"`classify` {what}, Fashion-MNIST", "pictures/s", medians(found[key]), file)


def medians(spreads: dict[str, dict[str, float]]) -> dict[str, float]:
    """Of each name."""
    return {name: spread["median"] for name, spread in spreads.items()}


def beside(what: str, unit: str, found: dict[str, float], file: str) -> Iterator[Speed]:
    """Ours beside each of the others."""
    for peer, theirs in found.items():
        if peer != "regard":
            yield Speed(what, unit, found["regard"], NAMES.get(peer, peer), theirs, file)


def tasks() -> list[str]:
    """All of them, a row a peer."""
    lines = ["", "| in one run, on two cores | ours | peer | ours over the peer |", "|---|---|---|---|"]
    for one in speeds():
        ours = f"[{one.ours:,.0f} {one.unit}](../benchmarks/results/{one.file}.json)"
        lines.append(f"| {one.what} | {ours} | {one.peer}: {one.theirs:,.0f} | {one.ours / one.theirs:.2f} |")
    return [*lines, ""]


def tagging_speed() -> list[str]:
    """Those of `ner`, as README has them."""
    lines = []
    for one in speeds():
        if "`ner`" in one.what:
            figure = f"{one.ours:,.0f} {one.unit}, {one.ours / one.theirs:.1f} times the peer"
            lines.append(
                f"| {one.what}, two cores | {BTC} | {link(one.file, figure)} | {one.peer}: {one.theirs:,.0f} {one.unit} |"
            )
    return lines


def ms(found: dict[str, Any]) -> str:
    """A median time to three figures."""
    median = found["ms"]["median"]
    return f"{median:,.0f}" if median >= 100 else f"{median:.3g}"


def pairs() -> list[str]:
    """The cases of benchmarks/attention.py against their best peers."""
    lines = []
    for device, title in (("cpu", "on a CPU, float32"), ("cuda", "on a GPU, bfloat16")):
        name = f"attention_pairs_{device}"
        if not (result := measured(name)):
            continue
        where = result["machine"] if device == "cpu" else result["device"]
        lines += [
            "",
            f"**{title}** — {where}, PyTorch {result['versions']['torch']}, [file](../benchmarks/results/{name}.json)",
            "",
        ]
        lines += ["| case | ours, ms | peer, ms | ratio | memory, MB: ours, peer |", "|---|---|---|---|---|"]
        for case in result["results"]:
            ours, peer = case["regard"], case[case["peer"]]
            times = f"{ms(ours)} | {case['peer']} {ms(peer)} | {case['time_ratio']:.2f}"
            lines.append(f"| {case['case']} | {times} | {ours['extra_mb']:.0f}, {peer['extra_mb']:.0f} |")
    return [*lines, ""]


def over_lengths() -> list[str]:
    """Time, and the share of the rate of matrix products, of all contestants at three lengths."""
    lines = []
    for device, lengths in (("cpu", (1024, 4096, 16384)), ("cuda", (4096, 16384, 65536))):
        if not (result := measured(f"attention_grid_{device}")):
            continue
        found = {(c["name"], c["mode"], c["length"]): c for c in result["results"] if c["head_dim"] == 64}
        where = result["machine"] if device == "cpu" else result["device"]
        lines += ["", f"**{where}**, 8 heads of 64, {result['matmul_tflops']:.3g} TFLOP/s in matrix products:", ""]
        lines += [f"| ms (share of that rate) | {' | '.join(map(str, lengths))} |", "|---|" + "---|" * len(lengths)]
        for name, mode in dict.fromkeys((name, mode) for name, mode, _ in found):
            cells = [found.get((name, mode, length)) for length in lengths]
            if any(cells):
                shown = [f"{ms(c)} ({100 * c['share_of_matmul_rate']:.0f} %)" if c else "" for c in cells]
                lines.append(f"| {name}, {mode} | {' | '.join(shown)} |")
    return [*lines, ""]


def lens_cost() -> list[str]:
    """What it costs to see, and how far the tools go."""
    lines: list[str] = []
    if result := measured("lens_cost"):
        cases = list(dict.fromkeys(line["case"] for line in result["results"]))
        found = {(line["case"], line["way"]): line for line in result["results"]}
        file = "[file](../benchmarks/results/lens_cost.json)"
        lines += ["", f"{result['machine']}, PyTorch {result['versions']['torch']}, {file}", ""]
        lines += [f"| the pass of the model, ms (over the plain pass) | {' | '.join(cases)} |", "|---|" + "---|" * len(cases)]
        for way in dict.fromkeys(line["way"] for line in result["results"]):
            cells = [found[case, way] for case in cases]
            shown = [f"{1e3 * cell['seconds']['median']:,.0f} ({cell['time_ratio']:.2f})" for cell in cells]
            lines.append(f"| {way} | {' | '.join(shown)} |")
        memory = result["memory"]
        lines += ["", f"Memory that reading adds at {memory['length']:,} positions: {memory['extra_mb']:.0f} MB; "]
        lines[-1] += f"the matrix would take {memory['matrix_mb'] / 1024:,.0f} GB."
    if result := measured("lens_reach"):
        tools = list(dict.fromkeys(line["tool"] for line in result["results"]))
        lengths = sorted({line["length"] for line in result["results"]})
        found = {(line["tool"], line["length"]): line for line in result["results"]}
        peers = ", ".join(f"{name} {number}" for name, number in result["peers"].items())
        lines += ["", f"A two-layer GPT-2 with 8 heads of 64, seconds and GB of the whole process ({peers}, "]
        lines[-1] += "[file](../benchmarks/results/lens_reach.json)):"
        lines += ["", f"| tool | {' | '.join(f'{length:,}' for length in lengths)} |", "|---|" + "---|" * len(lengths)]
        for tool in tools:
            lines.append(f"| {tool} | {' | '.join(_reached(found.get((tool, length))) for length in lengths)} |")
    return [*lines, ""]


def _reached(line: dict[str, Any] | None) -> str:
    if line is None:
        return ""
    return f"{line['seconds']:.0f} s, {line['peak_mb'] / 1024:.1f}" if line["end"] == "done" else f"**fails**: {line['end']}"


def statistics() -> list[str]:
    """Every statistic with its definition."""
    from regard.lens.statistics import STATISTICS

    head = ["", "| name | of | unit | definition |", "|---|---|---|---|"]
    return [
        *head,
        *(f"| `{name}` | {one.of} | {one.unit} | {one.says.replace('|', '∣')} |" for name, one in STATISTICS.items()),
        "",
    ]


def head_roles() -> list[str]:
    """What heads are called, in the order in which it is asked."""
    from regard.lens.summary import ROLES

    head = ["", "| name | mean of | from | that is |", "|---|---|---|---|"]
    return [*head, *(f"| {role.name} | `{role.statistic}` | {role.threshold} | {role.says} |" for role in ROLES), ""]


def ablations(*names: str) -> list[str]:
    """With and without a part of a model."""
    return [line for name in names for line in table(name)] or [""]


TABLES = (
    *(
        (page, f"<!-- {name}: python benchmarks/table.py -->", f"<!-- end of {name} -->", partial(ablations, *files))
        for page, name, files in (
            (GATES, "gates", ("gates_fashion_mnist", "gates_cifar10")),
            (PAINT, "attention", ("paint_gan", "paint_vae")),
            (ROLES, "attention", ("srl_document", "srl_deep")),
        )
    ),
    (LENS, "<!-- statistics -->", "<!-- end of statistics -->", statistics),
    (LENS, "<!-- roles -->", "<!-- end of roles -->", head_roles),
    (PERFORMANCE, "<!-- lens: python benchmarks/table.py -->", "<!-- end of lens -->", lens_cost),
    (README, "<!-- results: python benchmarks/table.py -->", "<!-- end of results -->", rows),
    (PERFORMANCE, "<!-- tasks: python benchmarks/table.py -->", "<!-- end of tasks -->", tasks),
    (PERFORMANCE, "<!-- pairs: python benchmarks/table.py -->", "<!-- end of pairs -->", pairs),
    (PERFORMANCE, "<!-- lengths: python benchmarks/table.py -->", "<!-- end of lengths -->", over_lengths),
)


def main() -> int:
    """Compare, and write unless --check."""
    stale = 0
    for page, start, end, lines in TABLES:
        text = page.read_text(encoding="utf8")
        table = "\n".join([start, *lines(), end])
        wanted = re.sub(f"{re.escape(start)}.*?{re.escape(end)}", lambda _, table=table: table, text, flags=re.S)
        if wanted == text:
            continue
        if "--check" in sys.argv:
            print(f"{page.name} does not say what benchmarks/results says. Run: python benchmarks/table.py")
            stale = 1
        else:
            page.write_text(wanted, encoding="utf8")
    return stale


if __name__ == "__main__":
    sys.exit(main())
