"""Load a transformers model with what turns texts or pictures into its input."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from regard.errors import InputError
from regard.places import may_be_hub_id


@dataclass(frozen=True)
class HubModel:
    """A model in evaluation mode, and its tokenizer or image processor."""

    name: str
    model: nn.Module
    config: Any
    processor: Any
    kind: str
    """ "text", "text to text" or "image"."""

    @property
    def max_tokens(self) -> int | None:
        """Most tokens that the model takes; None where it sets no limit."""
        config = getattr(self.config, "text_config", self.config)
        named = (getattr(config, name, None) for name in ("max_position_embeddings", "n_positions", "max_source_positions"))
        limit = next((int(one) for one in named if one), None)
        if limit is not None and config.model_type in OFFSET_POSITIONS:
            limit -= OFFSET_POSITIONS[config.model_type]
        return limit if self.kind != "image" and not hasattr(config, "relative_attention_num_buckets") else None

    @property
    def labels(self) -> dict[int, str] | None:
        """Names of the classes, if it is a classifier."""
        is_classifier = "Classification" in type(self.model).__name__ and "Token" not in type(self.model).__name__
        return {int(number): str(name) for number, name in self.config.id2label.items()} if is_classifier else None


OFFSET_POSITIONS = {"roberta": 2, "xlm-roberta": 2, "camembert": 2, "longformer": 2}
"""Positions that a family leaves unused before the first token."""


def is_model(name: str) -> bool:
    """Is it a folder of transformers, or may it be an id of the hub, owner/name? A run folder of ours is neither."""
    path = Path(name)
    if path.is_dir():
        return (path / "config.json").is_file() and not (path / "recipe.yaml").exists()
    return may_be_hub_id(name) and not name.startswith("runs/")


def load(name: str) -> HubModel:
    """A folder, or an id of the hub, which is fetched unless it is there already. No code of the model's is run.

    Raises InputError where transformers is missing, or cannot load it.
    """
    try:
        import transformers
    except ModuleNotFoundError as missing:
        raise InputError("looking into this model needs transformers: pip install 'regard[hub]'.") from missing
    if not Path(name).is_dir():
        print(f"regard: {name} is no folder here; asking the hub for it", file=sys.stderr)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        config = transformers.AutoConfig.from_pretrained(name)
        kind = _kind(config)
        maker = transformers.AutoImageProcessor if kind == "image" else transformers.AutoTokenizer
        processor = maker.from_pretrained(name)
        model = _class_for(transformers, config, kind).from_pretrained(name, dtype="auto")
    except (OSError, ValueError, ImportError, KeyError) as fault:
        first = str(fault).strip().split("\n")[0]
        advice = "Name a folder with config.json and weights" + (
            "" if Path(name).is_dir() or _is_offline() else ", or an id of the hub"
        )
        raise InputError(f"transformers cannot load {name!r}: {first} {advice}.") from fault
    return HubModel(name, model.eval(), config, processor, kind)


def _is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")


def _kind(config: Any) -> str:
    """What goes in. Raises InputError for models of sound, video or several kinds at once."""
    if getattr(config, "is_encoder_decoder", False) and hasattr(config, "vocab_size") and not hasattr(config, "num_mel_bins"):
        return "text to text"
    if hasattr(config, "patch_size") and hasattr(config, "image_size") and not hasattr(config, "text_config"):
        return "image"
    if hasattr(config, "vocab_size") and not hasattr(config, "num_mel_bins") and not hasattr(config, "vision_config"):
        return "text"
    raise InputError(
        f"regard look takes models of text, of text to text and of images; {config.model_type!r} is none of them. "
        "In Python, regard.watch(model) sees any model."
    )


def _class_for(transformers: Any, config: Any, kind: str) -> Any:
    """With a head where it says something about what was looked at; without, where it would write N × vocabulary numbers."""
    named = (config.architectures or [""])[0]
    if kind == "text to text":
        return transformers.AutoModelForSeq2SeqLM
    if named.endswith("ForSequenceClassification"):
        return transformers.AutoModelForSequenceClassification
    if named.endswith("ForImageClassification"):
        return transformers.AutoModelForImageClassification
    return transformers.AutoModel
