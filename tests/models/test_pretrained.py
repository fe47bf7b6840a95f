"""A pretrained encoder as a reader of words."""

import pytest
import torch

from regard.models.options import EncoderOptions
from regard.models.pretrained import PretrainedReader, layers_of

transformers = pytest.importorskip("transformers", reason="needs transformers (regard[hub])")
CONFIG = {
    "model_type": "bert",
    "vocab_size": 30,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
}


def reader(**options):
    torch.manual_seed(0)
    return PretrainedReader(CONFIG, EncoderOptions(path="x", **options)).eval()


def batch_of(*windows_of_each):
    """Sentences as lists of windows of pieces; each piece but the first of a window is a word."""
    windows = [window for group in windows_of_each for window in group]
    width = max(map(len, windows))
    pieces = torch.tensor([window + [0] * (width - len(window)) for window in windows])
    places, row = [], 0
    for group in windows_of_each:
        starts = [(row + number) * width for number in range(len(group))]
        places.append([start + place for start, window in zip(starts, group, strict=True) for place in range(1, len(window))])
        row += len(group)
    longest = max(map(len, places))
    return {
        "pieces": pieces,
        "piece_lengths": torch.tensor(list(map(len, windows))),
        "num_windows": torch.tensor(list(map(len, windows_of_each))),
        "places": torch.tensor([own + own[:1] * (longest - len(own)) for own in places]),
    }


def test_a_word_does_not_depend_on_the_batch():
    read = reader()
    together = read(batch_of([[1, 5, 6, 7]], [[1, 8, 9]]))
    torch.testing.assert_close(together[1, :2], read(batch_of([[1, 8, 9]]))[0])


def test_a_mark_that_is_nothing_changes_nothing():
    read = reader(marked_layers=2)
    batch = batch_of([[1, 5, 6, 7], [1, 7, 8]], [[1, 8, 9]], [[1, 4, 4, 4]])
    sentences, words = torch.tensor([2, 0, 0, 1]), torch.tensor([0, 1, 4, 1])
    lengths = [3, 5, 5, 2]
    marked, plain = read.marked(batch, lambda states: (sentences, words)), read(batch)[sentences]
    for row, length in enumerate(lengths):
        torch.testing.assert_close(marked[row, :length], plain[row, :length])


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_a_mark_is_seen_in_its_own_window_and_proposition_only(num_layers):
    read = reader(marked_layers=num_layers)
    torch.nn.init.normal_(read.mark)
    batch = batch_of([[1, 5, 6, 7], [1, 7, 8]], [[1, 8, 9]])
    rows = torch.tensor([1, 0]), torch.tensor([1, 3])
    is_changed = (read.marked(batch, lambda states: rows) - read(batch)[rows[0]]).abs().amax(-1) > 1e-4
    assert is_changed[0, :2].all()
    assert is_changed[1].tolist() == [False, False, False, True, True]  # the fourth word stands in the second window


def test_rows_are_chosen_by_the_states_below_the_marked_layers():
    read, seen = reader(marked_layers=1), []
    batch = batch_of([[1, 5, 6]], [[1, 8, 9]])
    read.marked(batch, lambda states: seen.append(states) or (torch.tensor([0]), torch.tensor([0])))
    hidden = read.encoder(input_ids=batch["pieces"], output_hidden_states=True).hidden_states[2]
    torch.testing.assert_close(seen[0], hidden[:, 1:])
    assert not any(module._forward_pre_hooks for module in read.modules())


def test_layers_further_down_learn_more_slowly():
    read = reader(learning_rate=1.0, layer_decay=0.5)
    rates = {id(one): group["lr"] for group in read.parameter_groups() for one in group["params"]}
    layers = layers_of(read.encoder)
    assert [rates[id(next(layer.parameters()))] for layer in layers] == [0.25, 0.5, 1.0]
    assert rates[id(read.encoder.get_input_embeddings().weight)] == 0.125
    decayed = [group for group in read.parameter_groups() if "weight_decay" not in group]
    assert all(one.dim() > 1 for group in decayed for one in group["params"])


@pytest.mark.parametrize(("frozen", "trained"), [(0, [1, 1, 1, 1]), (1, [0, 0, 1, 1]), (3, [0, 0, 0, 0]), (-1, [0, 0, 0, 0])])
def test_layers_can_be_frozen_from_below(frozen, trained):
    read = reader(frozen_layers=frozen)
    parts = [read.encoder.get_input_embeddings(), *layers_of(read.encoder)]
    assert [int(next(part.parameters()).requires_grad) for part in parts] == trained


@pytest.mark.parametrize("frozen", [0, 1, -1])
def test_the_mark_of_the_predicate_is_learnt_whatever_is_frozen(frozen):
    assert reader(frozen_layers=frozen, marked_layers=1).mark.requires_grad


def test_its_weights_are_those_of_the_folder(tmp_path):
    torch.manual_seed(1)
    given = transformers.BertModel(transformers.BertConfig(**{k: v for k, v in CONFIG.items() if k != "model_type"}))
    given.save_pretrained(tmp_path)
    read, pieces = reader(), torch.tensor([[1, 5, 6]])
    read.load_pretrained(str(tmp_path))
    with torch.no_grad():
        wanted = given.eval()(input_ids=pieces).last_hidden_state[0, 1:]
        torch.testing.assert_close(read(batch_of([[1, 5, 6]]))[0], wanted)
