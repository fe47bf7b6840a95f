"""A pretrained encoder as a reader of words."""

import json

import pytest
import torch

from regard.errors import InputError
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

T5 = {"model_type": "t5", "vocab_size": 30, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 3, "num_heads": 2}
HALF = {"layers": 3, "attention_heads": 2, "ffn_dim": 32}
BART = {"model_type": "bart", "vocab_size": 30, "d_model": 16, "max_position_embeddings": 32}
BART |= {f"{half}_{name}": value for half in ("encoder", "decoder") for name, value in HALF.items()}
NARROW = {"embedding_size": 16}
GROUPS = {f"{part}_groups": 1 for part in ("q", "k", "v", "post_attention", "intermediate", "output")}
RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
RELATIVE |= {"norm_rel_ebd": "layer_norm", "conv_kernel_size": 3}
KINDS = {
    "bart": BART,
    "t5": T5,
    "deberta-v2": CONFIG | RELATIVE,
    "gpt2": {"model_type": "gpt2", "vocab_size": 30, "n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 32},
    "luke": CONFIG | {"entity_vocab_size": 10, "entity_emb_size": 16},
    "mobilebert": CONFIG | NARROW | {"intra_bottleneck_size": 16},
    "mpnet": CONFIG,
    "rembert": CONFIG | {"input_embedding_size": 16, "output_embedding_size": 16},
    "roberta": CONFIG,
    "roformer": CONFIG | NARROW,
}
"""Architectures with and without a fused kernel, with another half that writes, with tables of distances."""
UNMARKED = {
    "longformer": CONFIG | {"attention_window": 4},
    "squeezebert": CONFIG | NARROW | GROUPS,
    "xlnet": {"model_type": "xlnet", "vocab_size": 30, "d_model": 16, "n_layer": 3, "n_head": 2, "d_inner": 32},
}
"""Those whose layers are not given sentences as rows, or not so long as they are."""
MARKS = {"pad_token_id": 0, "cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2}
XLM = {"model_type": "xlm", "vocab_size": 30, "n_words": 30, "emb_dim": 16, "n_layers": 3, "n_heads": 2}
MORE = {
    "albert": CONFIG | NARROW,
    "distilbert": {"vocab_size": 30, "dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 32},
    "electra": CONFIG | NARROW,
    "flaubert": XLM | {"layerdrop": 0.5},
    "mbart": BART,
    "modernbert": CONFIG | MARKS,
    "xlm": XLM,
    "xlm-roberta-xl": CONFIG,
}
"""Others, which call dropout and layers by names of their own."""
BEHIND = 4
PLACES = {
    "bart": {"embed_positions.weight": 0, "layernorm_embedding.weight": 0},
    "deberta-v2": {"encoder.rel_embeddings.weight": 0, "encoder.LayerNorm.weight": 0, "encoder.conv.conv.weight": 0},
    "gpt2": {"wpe.weight": 0, "h.0.ln_1.weight": 1, "ln_f.weight": BEHIND},
    "mbart": {"layernorm_embedding.weight": 0, "layer_norm.weight": BEHIND},
    "modernbert": {"embeddings.norm.weight": 0, "final_norm.weight": BEHIND},
    "mpnet": {"encoder.relative_attention_bias.weight": 0},
    "t5": {"block.2.layer.0.layer_norm.weight": 3, "final_layer_norm.weight": BEHIND},
    "xlm": {"layer_norm_emb.weight": 0, "attentions.0.q_lin.weight": 1, "ffns.1.lin1.weight": 2, "layer_norm2.2.weight": 3},
    "xlm-roberta-xl": {"encoder.LayerNorm.weight": BEHIND},
}
"""Parameters, and of which of three layers they are; 0 are embeddings."""


def reader(config=CONFIG, **options):
    torch.manual_seed(0)
    return PretrainedReader(config, EncoderOptions(path="x", **options)).eval()


def kind(name):
    return (KINDS | UNMARKED | MORE)[name] | {"model_type": name}


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


@pytest.mark.parametrize("name", ["bert", *KINDS, *UNMARKED])
def test_a_word_does_not_depend_on_the_batch(name):
    read = reader(CONFIG if name == "bert" else kind(name))
    together = read(batch_of([[1, 5, 6, 7]], [[1, 8, 9]]))
    torch.testing.assert_close(together[1, :2], read(batch_of([[1, 8, 9]]))[0])
    assert together.shape == (2, 3, read.width)


@pytest.mark.parametrize("name", [*KINDS, *UNMARKED])
def test_any_architecture_learns(name):
    read = reader(kind(name)).train()
    read(batch_of([[1, 5, 6, 7], [1, 7, 8]], [[1, 8, 9]])).sum().backward()
    assert read.encoder.get_input_embeddings().weight.grad is not None


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_of_an_encoder_and_a_decoder_the_encoder_reads(tmp_path, name):
    torch.manual_seed(1)
    given = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(**KINDS[name]))
    given.save_pretrained(tmp_path)
    read, pieces = reader(KINDS[name]), torch.tensor([[1, 5, 6]])
    read.load_pretrained(str(tmp_path))
    with torch.no_grad():
        wanted = given.eval().encoder(input_ids=pieces).last_hidden_state[0, 1:]
        torch.testing.assert_close(read(batch_of([[1, 5, 6]]))[0], wanted)


@pytest.mark.parametrize("name", ["bert", *KINDS, *UNMARKED, *MORE])
def test_features_are_hidden_where_that_is_asked_for(name):
    batch = batch_of([[1, 5, 6, 7]], [[1, 8, 9]])

    def is_random(share):
        read = reader(CONFIG if name == "bert" else kind(name), dropout=share).train()
        return not torch.equal(read(batch), read(batch))

    assert is_random(0.5)
    assert not is_random(0.0)


@pytest.mark.parametrize("name", ["bert", "distilbert", "gpt2", "modernbert"])
def test_weights_of_attention_are_not_hidden_where_they_have_a_share_of_their_own(name):
    read = reader(CONFIG if name == "bert" else kind(name), dropout=0.5)
    parts = ((path, module) for path, module in read.named_modules() if isinstance(module, torch.nn.Dropout) and module.p)
    assert not [path for path, _ in parts if path.endswith(("attention.self.dropout", "attention.dropout", "attn_dropout"))]


def test_numbers_are_kept_in_full_whatever_the_folder_has():
    assert reader(CONFIG | {"dtype": "bfloat16"}).encoder.dtype == torch.float32


@pytest.mark.parametrize("name", [*UNMARKED, "xlm"])
def test_layers_that_cannot_be_run_by_themselves_are_told_before_training(name):
    with pytest.raises(InputError, match=rf"--encoder\.marked_layers must be 0 for an encoder of the kind {name}"):
        reader(kind(name), marked_layers=1)


@pytest.mark.parametrize("name", ["bert", *KINDS])
def test_a_mark_that_is_nothing_changes_nothing(name):
    read = reader(CONFIG if name == "bert" else kind(name), marked_layers=2)
    batch = batch_of([[1, 5, 6, 7], [1, 7, 8]], [[1, 8, 9]], [[1, 4, 4, 4]])
    sentences, words = torch.tensor([2, 0, 0, 1]), torch.tensor([0, 1, 4, 1])
    lengths = [3, 5, 5, 2]
    marked, plain = read.marked(batch, lambda states: (sentences, words)), read(batch)[sentences]
    for row, length in enumerate(lengths):
        torch.testing.assert_close(marked[row, :length], plain[row, :length])


def test_a_table_of_distances_is_not_taken_for_rows_of_so_many_windows():
    read = reader(kind("deberta-v2"), marked_layers=1)
    batch = batch_of(*[[[1, 5, 6]]] * 16)
    assert read.encoder.encoder.rel_embeddings.weight.shape == (16, 16)
    rows = torch.tensor([3, 1, 4])
    torch.testing.assert_close(read.marked(batch, lambda states: (rows, rows * 0)), read(batch)[rows])


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


@pytest.mark.parametrize("frozen", [0, 2, 3])
@pytest.mark.parametrize("name", PLACES)
def test_what_stands_beside_the_layers_learns_as_the_last_or_as_embeddings(name, frozen):
    read = reader(kind(name), learning_rate=1.0, layer_decay=0.5, frozen_layers=frozen)
    rates = {id(one): group["lr"] for group in read.parameter_groups() for one in group["params"]}
    for parameter, number in PLACES[name].items():
        is_learned = not frozen or number > frozen
        assert rates.get(id(read.encoder.get_parameter(parameter))) == (0.5 ** max(0, 3 - number) if is_learned else None)


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


@pytest.fixture
def folder(tmp_path):
    transformers.AutoModel.from_config(transformers.AutoConfig.for_model(**CONFIG)).save_pretrained(tmp_path)
    return tmp_path


def change(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.safetensors", None, "Error no file named model.safetensors"),
        ("model.safetensors", b"cut short", "Error while deserializing header"),
        ("pytorch_model.bin", b"junk", "unpack requires a buffer"),
        ("model.safetensors.index.json", b'{"metadata": {}, "weight_map": {"a": "nowhere"}}', ".*No such file or directory"),
        ("model.safetensors.index.json", b"{", "Expecting property name"),
    ],
)
def test_weights_that_cannot_be_read_are_told(folder, name, content, message):
    (folder / "model.safetensors").unlink()
    if content:
        (folder / name).write_bytes(content)
    with pytest.raises(
        InputError, match=rf"the encoder's weights cannot be read: {message}.*\. Fetch the folder anew\."
    ) as told:
        reader().load_pretrained(str(folder))
    assert told.value.file == str(folder)


def test_weights_of_another_size_are_told(folder):
    change(folder, intermediate_size=64)
    with pytest.raises(InputError, match=r"lack encoder\.layer\.0\.intermediate\.dense\.weight, or have it in another size"):
        reader(CONFIG | {"intermediate_size": 64}).load_pretrained(str(folder))


def test_a_layer_without_weights_is_not_left_to_chance(folder):
    change(folder, num_hidden_layers=4)
    with pytest.raises(InputError, match=r"the encoder's weights lack encoder\.layer\.3\."):
        reader(CONFIG | {"num_hidden_layers": 4}).load_pretrained(str(folder))


def test_what_is_not_read_may_be_missing(tmp_path):
    """Weights of masked language models have no pooler, and an encoder needs no decoder."""
    transformers.BertForMaskedLM(transformers.AutoConfig.for_model(**CONFIG)).save_pretrained(tmp_path)
    reader().load_pretrained(str(tmp_path))
    transformers.T5EncoderModel(transformers.AutoConfig.for_model(**T5)).save_pretrained(tmp_path)
    reader(T5).load_pretrained(str(tmp_path))
