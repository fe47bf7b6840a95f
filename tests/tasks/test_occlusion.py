"""What decisions rest on: known for taggers made by hand, and hidden words that nobody can read."""

import pytest
import torch

from regard.data.sentence import Proposition, RoleSentence, Sentence
from regard.data.spans import Span, may_follow
from regard.models.crf import LinearChainCRF
from regard.models.options import EncoderOptions, RoleOptions, TaggerOptions, WordOptions
from regard.tasks.folder import Run
from regard.tasks.ner.explain import probabilities
from regard.tasks.ner.task import Ner
from regard.tasks.occlusion import MOST_WORDS, Decision, decisions_of, without
from regard.tasks.srl.explain import probabilities as probabilities_of_arguments
from regard.tasks.srl.task import Srl

SENTENCE = Sentence(("Ada", "met", "Babbage", "near", "Paris"), ("B-PER", "O", "B-PER", "O", "B-LOC"))
SMALL = WordOptions(d_word=8, d_character=8, d_affix=4)


class ByOneWord(torch.nn.Module):
    """A tagger that calls the first word a person where it can read the fourth word, whatever the others are."""

    def __init__(self, tags: list[str], known: int) -> None:
        super().__init__()
        self.crf = LinearChainCRF(
            torch.tensor([[may_follow(before, after) for after in tags] for before in tags]),
            torch.tensor([may_follow("", tag) for tag in tags]),
            torch.tensor([may_follow(tag, "") for tag in tags]),
        )
        self.place, self.known = tags.index("S-PER"), known

    def forward(self, batch):
        emissions = torch.zeros(*batch["words"].shape, len(self.crf.first))
        emissions[:, 0, self.place] = torch.where(batch["words"][:, 3] == self.known, 9.0, -9.0)
        return emissions


@pytest.fixture
def by_hand():
    encoder = (task := Ner()).fit_encoder([SENTENCE])
    return Run(task, encoder, ByOneWord(encoder.tags, encoder.reading.words.words["near"]))


def test_all_of_the_fall_is_at_the_one_word_that_decides(by_hand):
    spans = [Span("PER", 0, 1)]
    (found,) = decisions_of(by_hand, SENTENCE, ["PER Ada"], lambda batch: probabilities(by_hand, spans, batch))
    assert found.probability > 0.99
    assert found.shares.tolist() == [0, 0, 0, 1, 0]
    assert found.falls[3] > 0.99
    assert found.falls[[0, 1, 2, 4]].abs().max() == 0
    assert found.in_words(SENTENCE.tokens) == "100 %; without near −100 points"


def test_rises_and_falls_that_no_person_would_see_have_no_share():
    rises = Decision("x", 0.5, torch.tensor([0.3, -0.4, 0.1]))
    assert rises.shares.tolist() == pytest.approx([0.75, 0, 0.25])
    assert rises.in_words(["a", "b", "c"]) == "50 %; without a −30, c −10 points"
    flat = Decision("y", 0.5, torch.tensor([0.004, -0.2, 0.001]))
    assert flat.shares.tolist() == [0, 0, 0]
    assert flat.in_words(["a", "b", "c"]) == "50 %; no word lowers it by half a point"


def test_sentences_in_many_parts_give_the_same(by_hand, monkeypatch):
    def found():
        spans = [Span("PER", 0, 1), Span("LOC", 4, 5)]
        return decisions_of(by_hand, SENTENCE, ["a", "b"], lambda batch: probabilities(by_hand, spans, batch))

    whole = found()
    monkeypatch.setattr(type(by_hand.task), "at_once", 10)
    for one, other in zip(whole, found(), strict=True):
        assert one.probability == other.probability
        assert torch.equal(one.falls, other.falls)


def test_a_very_long_sentence_is_not_read_once_for_each_word(by_hand):
    long = Sentence(("a",) * (MOST_WORDS + 1))
    assert decisions_of(by_hand, long, ["PER a"], lambda batch: 1 / 0) == []


def run_of(task, sentences):
    torch.manual_seed(0)
    encoder = task.fit_encoder(sentences)
    return Run(task, encoder, task.build(encoder).eval())


def test_a_hidden_word_is_read_by_no_part_of_the_reader(tiny_encoder, tmp_path):
    """Features, vectors and pieces: the model says the same whatever the word was."""
    (tmp_path / "vectors.txt").write_text("ada 1 2\nmet 3 4\nparis 5 6\n[mask] 7 8\n")
    words = WordOptions(d_word=8, d_character=8, d_affix=4, vectors=str(tmp_path / "vectors.txt"))
    task = Ner(words=words, encoder=EncoderOptions(path=str(tiny_encoder)), model=TaggerOptions(d_recurrent=8, num_heads=2))
    run = run_of(task, [SENTENCE])
    task.load_pretrained(run.model)
    other = Sentence(("Ada", "met", "Babbage", "near", "Ada"))
    kept = torch.tensor([[True] * 4 + [False], [True] * 5])
    with torch.no_grad():
        (hidden, whole), (same, different) = (run.model(without(run, one, kept)) for one in (SENTENCE, other))
    assert torch.equal(hidden, same)
    assert not torch.allclose(whole, different)
    batch = without(run, SENTENCE, kept)
    assert batch["vectors"][:, 4].tolist() == [1, run.encoder.reading.vectors["paris"]]
    mask = run.encoder.reading.pieces.tokenizer.token_to_id("[MASK]")
    assert [(batch["pieces"][row] == mask).sum() for row in (0, 1)] == [1, 0]  # one piece, however many the word had
    assert (batch["vectors"][0, :4] == batch["vectors"][1, :4]).all()


def test_the_probability_of_an_argument_is_the_product_of_its_tags():
    sentence = RoleSentence(
        ("Ada", "met", "old", "Charles", "and", "wrote"),
        (Proposition(1, None, (Span("ARG0", 0, 1), Span("ARG1", 2, 4))), Proposition(5, None, (Span("ARG0", 0, 1),))),
    )
    run = run_of(Srl(words=SMALL, model=RoleOptions(d_recurrent=8, num_heads=2, d_indicator=4)), [sentence])
    kept = torch.tensor([[True] * 6, [False] + [True] * 5])
    with torch.no_grad():
        found = probabilities_of_arguments(run, sentence.propositions, without(run, sentence, kept))
        tags = run.model(run.encoder.collate([sentence])).tags.softmax(-1)
    number = run.encoder.tag_number
    expected = [
        tags[0, 0, number["B-ARG0"]],
        tags[0, 2, number["B-ARG1"]] * tags[0, 3, number["I-ARG1"]],
        tags[1, 0, number["B-ARG0"]],
    ]
    torch.testing.assert_close(found[0], torch.stack(expected))
    assert found.shape == (2, 3)
    assert not torch.allclose(found[0], found[1])
