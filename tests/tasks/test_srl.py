"""Semantic roles as a task: encoding, prediction, scores."""

import json

import pytest
import torch

from regard.data.sentence import Proposition, RoleSentence
from regard.data.spans import Span
from regard.models.options import RoleDecodingOptions, RoleOptions, WordOptions
from regard.tasks.folder import Run, load_run, predict_all, save_start, save_weights
from regard.tasks.srl.encoder import RoleEncoder
from regard.tasks.srl.task import Roles, Srl

ADA = RoleSentence(
    ("Ada", "met", "Charles", "and", "wrote", "notes"),
    (
        Proposition(1, "meet.02", (Span("ARG0", 0, 1), Span("ARG1", 2, 3))),
        Proposition(4, "write.01", (Span("ARG0", 0, 1), Span("ARG1", 5, 6))),
    ),
    lemmas=("Ada", "meet", "Charles", "and", "write", "note"),
)
SENTENCES = [
    ADA,
    RoleSentence(("Nothing", "happened", "then"), (Proposition(1, "happen.01", (Span("ARG1", 0, 1), Span("ARGM-TMP", 2, 3))),)),
    RoleSentence(("Silence", "."), ()),
]
WORDS = WordOptions(d_word=8, d_character=8, d_affix=4)
TASK = Srl(words=WORDS, model=RoleOptions(d_recurrent=8, num_heads=2, d_indicator=4))


@pytest.fixture(params=["deep", "document"])
def made(request):
    torch.manual_seed(0)
    task = Srl(words=WORDS, model=RoleOptions(name=request.param, d_recurrent=8, num_heads=2, d_indicator=4))
    encoder = task.fit_encoder(SENTENCES)
    return task, encoder, task.build(encoder).eval()


def test_an_encoder_comes_back_from_json():
    encoder = TASK.fit_encoder(SENTENCES)
    again = TASK.load_encoder(json.loads(json.dumps(encoder.to_json())))
    one, other = encoder.collate(SENTENCES), again.collate(SENTENCES)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_labels_come_from_the_data():
    renamed = RoleSentence(("a", "b"), (Proposition(0, None, (Span("A0", 1, 2),)), Proposition(1, None, (Span("AM-X", 0, 1),))))
    encoder = TASK.fit_encoder([renamed])
    assert encoder.tags == ["O", "B-A0", "B-AM-X", "I-A0", "I-AM-X"]
    assert [encoder.labels[number] for number in encoder.core] == ["A0"]


def test_core_roles_are_the_numbered_ones():
    names = ["ARG0", "ARG5", "ARGA", "A1", "AA", "ARGM-TMP", "C-ARG1", "R-A0", "V", "AM-LOC"]
    encoder = RoleEncoder(None, names, [], {})
    assert [names[number] for number in encoder.core] == ["ARG0", "ARG5", "ARGA", "A1", "AA"]


def test_each_proposition_is_a_row_of_tags():
    encoder = TASK.fit_encoder(SENTENCES)
    batch = encoder.collate(SENTENCES)
    assert batch["sentences"].tolist() == [0, 0, 1]
    assert batch["predicates"].tolist() == [1, 4, 1]
    rows = [[encoder.tags[number] if number >= 0 else "" for number in row] for row in batch["tags"].tolist()]
    assert rows[1] == ["B-ARG0", "O", "O", "O", "O", "B-ARG1"]
    assert rows[2] == ["B-ARG1", "O", "B-ARGM-TMP", "", "", ""]
    assert batch["is_predicate"].tolist() == [[0, 1, 0, 0, 1, 0], [0, 1, 0, 0, 0, 0], [0] * 6]


def test_of_overlapping_arguments_the_first_is_learnt():
    encoder = TASK.fit_encoder(SENTENCES)
    overlapping = RoleSentence(("a", "b", "c"), (Proposition(0, None, (Span("ARG1", 1, 3), Span("ARG0", 2, 3))),))
    assert [encoder.tags[number] for number in encoder.collate([overlapping])["tags"][0]] == ["O", "B-ARG1", "I-ARG1"]


def test_a_sense_is_one_that_the_word_was_seen_with():
    encoder = TASK.fit_encoder(SENTENCES)
    scores = torch.zeros(len(encoder.senses))
    scores[encoder.sense_number["happen.01"]] = 9
    sense = encoder._sense
    assert sense(ADA, 1, scores) == "meet.02"
    assert sense(RoleSentence(("met",)), 0, scores) == "meet.02"  # by its form, where no lemma is given
    assert sense(RoleSentence(("sang",), lemmas=("sing",)), 0, scores) == "sing.01"


def test_a_lemma_that_nobody_told_is_none():
    slept = RoleSentence(("she", "slept"), (Proposition(1, "sleep.01", ()),), lemmas=("she", "_"))
    met = RoleSentence(("she", "met"), (Proposition(1, "meet.02", ()),), lemmas=("she", "_"))
    encoder = TASK.fit_encoder([met, slept])
    assert encoder.seen.keys() == {"met", "slept"}
    assert encoder._sense(slept, 1, torch.tensor([1.0, 0.0])) == "sleep.01"


def test_where_training_had_no_senses_there_is_none_and_it_can_be_read_again():
    plain = RoleSentence(("she", "slept"), (Proposition(1, None, (Span("ARG0", 0, 1),)),))
    encoder = TASK.fit_encoder([plain])
    assert encoder._sense(plain, 1, torch.zeros(1)) is None


def test_predictions_do_not_depend_on_the_batch(made):
    task, encoder, model = made
    together = predict_all(task, encoder, model, SENTENCES * 2, max_length=20)
    assert together == [predict_all(task, encoder, model, [sentence])[0] for sentence in SENTENCES * 2]


def test_gold_scores_a_hundred_and_a_missed_predicate_costs_its_arguments():
    gold = [list(sentence.propositions) for sentence in SENTENCES]
    perfect = TASK.score(SENTENCES, [Roles([one.predicate for one in own], own) for own in gold])
    figures = ["f1_percent", "predicate_f1_percent", "sense_accuracy_percent", "end_to_end_f1_percent", "perfect_percent"]
    assert [perfect[name] for name in figures] == [100] * 5
    assert perfect["per_type"]["ARG0"]["num_gold"] == 2
    spurious = Roles([0], [Proposition(0, "x.01", (Span("ARG0", 1, 2),))])
    missed = TASK.score(SENTENCES, [Roles([1], gold[0]), Roles([1], gold[1]), spurious])
    assert missed["f1_percent"] == 100
    assert missed["predicate_f1_percent"] == pytest.approx(200 * 2 / 6)
    assert missed["end_to_end_f1_percent"] == pytest.approx(200 * 4 / (6 + 5))


def test_json_lines_can_be_read_as_data_again(made):
    task, encoder, model = made
    line = json.dumps(task.to_json(ADA, predict_all(task, encoder, model, [ADA])[0]))
    (again,) = task.read_input([line])
    assert again.tokens == ADA.tokens
    assert [one.predicate for one in again.propositions] == [1, 4]


def test_a_run_comes_back_from_its_folder(made, tmp_path):
    task, encoder, model = made
    save_start(tmp_path, Run(task, encoder, model), {"seed": 3})
    save_weights(tmp_path, model)
    run = load_run(tmp_path)
    assert run.task == task
    assert run.predict(SENTENCES) == predict_all(task, encoder, model, SENTENCES)


def test_what_roles_are_held_to_is_chosen_for_each_prediction(made, tmp_path):
    task, encoder, model = made
    save_start(tmp_path, Run(task, encoder, model), {"seed": 3})
    save_weights(tmp_path, model)
    chosen = load_run(tmp_path), load_run(tmp_path, chosen={"decoding": RoleDecodingOptions(is_core_unique=False)})
    assert [run.model.is_core_unique for run in chosen] == [True, False]


def test_a_file_without_predicates_cannot_be_trained_on(tmp_path):
    from regard.data.files import Files

    (finding,) = TASK.compare(Files(train=tmp_path / "train.jsonl"), {"train": [RoleSentence(("a",), ())]})
    assert finding.level == "error"
    assert "no predicate in the training file" in finding.message


def test_brackets_without_words_are_nothing_to_learn_from(tmp_path):
    (tmp_path / "train.props").write_text("-\t(A0*)\nmeet\t(V*)\n-\t(A1*)\n")
    files = TASK.files(str(tmp_path), {})
    (finding,) = TASK.compare(files, {"train": TASK.read(files.train)[0]})
    assert finding.level == "error"
    assert "brackets and no words" in finding.message
