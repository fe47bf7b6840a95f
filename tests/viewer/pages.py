"""What the tests of the viewer share: pictures, and a page's data read back by the definition of its packing."""

import base64
import json
import math
import re
import zlib

import numpy as np
import torch

import regard
from regard.lens.measure import Measured
from regard.lens.record import Lens, Reading
from regard.lens.statistics import Statistics, Wanted, cell_width, num_cells
from regard.viewer.report import Picture

TOKENS = ["<script>", "</script>", "&amp;", '"\\u003c', "a b", "é\n"]


def unpack(packed: dict) -> torch.Tensor:
    """The numbers of a packed object."""
    codes = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), dtype=np.uint8).astype(np.int64)
    if "integers" in packed:
        return torch.tensor(sum(plane << (8 * place) for place, plane in enumerate(codes.reshape(4, -1))) - 1)
    if packed["levels"] > 255:
        low, high = codes.reshape(2, -1)
        codes = low + 256 * high
    return torch.tensor([value_of(packed, int(code)) for code in codes], dtype=torch.float64)


def value_of(packed: dict, code: int) -> float:
    levels, steps, top = (packed[name] for name in ("levels", "steps", "top"))
    if code > levels:
        return math.nan
    sign, level = (-1, code - steps) if code > steps else (1, code)
    if "linear" in packed:
        return sign * top * level / steps
    return 0.0 if level == 0 else sign * top * 10 ** ((level - steps) * packed["decades"] / (steps - 1))


def data_of(page: str) -> dict:
    """What the script of a page reads."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def watched(length: int, *, layers: int = 2, heads: int = 3, seed: int = 0, **wanted) -> Lens:
    """What a small model looked at in a text of this length."""
    torch.manual_seed(seed)
    blocks = [torch.nn.MultiheadAttention(4 * heads, heads, batch_first=True) for _ in range(layers)]
    model, x = torch.nn.ModuleList(blocks), torch.randn(2, length, 4 * heads)
    with regard.watch(model, Wanted(**wanted)) as lens:
        for block in model:
            x = x + 3 * block(x, x, x)[0]
    return lens


def looked_across(num_queries: int, num_keys: int) -> Lens:
    """Attention of one text to another."""
    torch.manual_seed(1)
    model = torch.nn.MultiheadAttention(12, 3, batch_first=True)
    with regard.watch(model) as lens:
        model(torch.randn(1, num_queries, 12), torch.randn(1, num_keys, 12), torch.randn(1, num_keys, 12))
    return lens


def full_size(layers: int = 12, heads: int = 12, length: int = 100_000) -> Picture:
    """Maps that are softmaxes of noise: as hard to make small as any that a model gives."""
    random, lens, side = torch.Generator().manual_seed(0), Lens(), num_cells(length)
    at = torch.arange(length)
    for number in range(layers):
        scores = 1.5 * torch.randn(1, heads, side, side, generator=random) + torch.randn(1, heads, 1, side, generator=random)
        past = torch.arange(side)[:, None] >= torch.arange(side)
        values = {
            "block_map": (scores if number % 2 else scores.masked_fill(~past, -math.inf)).softmax(-1),
            "entropy_bits": 12 * torch.rand(1, heads, length, generator=random),
            "mass_received": torch.rand(1, heads, length, generator=random).clamp(1e-4) ** -0.5,
            "top_weights": torch.rand(1, 1, length, 8, generator=random)
            .sort(descending=True)
            .values.expand(1, heads, length, 8),
            "top_keys": (at[:, None] * torch.arange(1, 9) % length).expand(1, heads, length, 8),
        }
        seen = Statistics(values, torch.ones(1, heads, length, dtype=torch.bool))
        lens.add(
            Reading(f"encoder.layer.{number}.attention", seen, (1, heads, length, length), "exact"), Measured(seen, "exact")
        )
    assert cell_width(length) > 1
    return Picture.of(lens, "a whole book", words(length))


def words(length: int) -> list[str]:
    """A text whose words are as often as those of a language."""
    random = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgkqjxz"))
    known = ["".join(random.choice(letters, size)) for size in random.integers(1, 12, 20_000)]
    return [known[min(rank, 20_000) - 1] for rank in random.zipf(1.3, length)]
