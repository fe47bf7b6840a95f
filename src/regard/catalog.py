"""The one place where parts get their names. Values are import paths, so this file imports no part."""

from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from regard.errors import InputError

MECHANISMS = {
    "softmax": "regard.attention.scaled_dot:ScaledDot",
    "additive": "regard.attention.additive:Additive",
    "bilinear": "regard.attention.bilinear:Bilinear",
    "cosine": "regard.attention.cosine:Cosine",
    "softcap": "regard.attention.softcap:SoftCap",
    "talking-heads": "regard.attention.talking_heads:TalkingHeads",
    "differential": "regard.attention.differential:Differential",
    "gated": "regard.attention.gated:Gated",
    "linear": "regard.attention.linear:Linear",
}
NORMALIZERS = {
    "softmax": "regard.attention.normalizers.softmax:Softmax",
    "softmax-off-by-one": "regard.attention.normalizers.softmax:OffByOne",
    "sink": "regard.attention.normalizers.softmax:Sink",
    "sigmoid": "regard.attention.normalizers.sigmoid:Sigmoid",
    "sparsemax": "regard.attention.normalizers.sparse:Sparsemax",
    "entmax15": "regard.attention.normalizers.sparse:Entmax15",
}
MASKS = {
    "everything": "regard.attention.masks:everything",
    "causal": "regard.attention.masks:causal",
    "window": "regard.attention.masks:window",
    "dilated": "regard.attention.masks:dilated",
    "prefix": "regard.attention.masks:prefix",
    "padding": "regard.attention.masks:padding",
    "document": "regard.attention.masks:document",
    "global-local": "regard.attention.masks:global_local",
    "block-sparse": "regard.attention.masks:block_sparse",
    "dense": "regard.attention.masks:dense",
}
POSITIONS = {
    "rotary": "regard.attention.positions:Rotary",
    "rotary-2d": "regard.attention.positions:Rotary2d",
    "alibi": "regard.attention.positions:Alibi",
    "t5": "regard.attention.positions:T5Relative",
    "sinusoidal": "regard.attention.positions:Sinusoidal",
    "learned": "regard.attention.positions:Learned",
}
GATES = {
    "squeeze-excitation": "regard.attention.gates:SqueezeExcitation",
    "eca": "regard.attention.gates:EfficientChannel",
    "cbam-channel": "regard.attention.gates:ChannelGate",
    "cbam-spatial": "regard.attention.gates:SpatialGate",
    "cbam": "regard.attention.gates:Cbam",
    "convolutional": "regard.attention.gates:ConvolutionalGate",
    "non-local": "regard.attention.gates:NonLocal",
    "sagan": "regard.attention.gates:Sagan",
}
BACKENDS = {  # tried in this order by backend="auto"
    "sdpa": "regard.attention.backends.sdpa",
    "triton": "regard.attention.backends.triton",
    "flex": "regard.attention.backends.flex",
    "tiled": "regard.attention.backends.tiled",
    "reference": "regard.attention.backends.reference",
}
TASKS = {
    "ner": "regard.tasks.ner.task:Ner",
    "srl": "regard.tasks.srl.task:Srl",
    "classify": "regard.tasks.classify.task:Classify",
    "detect": "regard.tasks.detect.task:Detect",
    "paint": "regard.tasks.paint.task:Paint",
    "translate": "regard.tasks.translate.task:Translate",
    "generate": "regard.tasks.generate.task:Generate",
    "dates": "regard.tasks.dates.task:Dates",
}


def load(table: dict[str, str], name: str) -> Any:
    """Return the part called `name`: a key of `table`, or an import path "package.module:attribute"."""
    if name not in table and ":" not in name:
        raise InputError(f"No part is called {name!r}.{did_you_mean(name, table)} Known: {', '.join(table)}.")
    module, _, attribute = table.get(name, name).partition(":")
    try:
        found = import_module(module)
        return getattr(found, attribute) if attribute else found
    except (ModuleNotFoundError, AttributeError) as error:
        if name in table:
            raise
        raise InputError(f"{name!r} must be an import path 'package.module:Name' that exists: {error}.") from error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question after the one of `known` that is nearest to a name; "" where none is near."""
    near = get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def one_line(part: Any) -> str:
    """The first line of a part's docstring: what `regard list` prints."""
    return (part.__doc__ or "").strip().split("\n")[0]
