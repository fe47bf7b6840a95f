"""Translations are scored by sacreBLEU, and the signature says how."""

import pytest

from regard.metrics.translation import bleu, score_translations

REFERENCES = ["Ein Hund läuft durch den Park.", "Zwei Männer stehen am Herd und bereiten Essen zu."]


def test_what_is_right_is_100_per_cent():
    score = score_translations(REFERENCES, REFERENCES)
    assert score["bleu_percent"] == pytest.approx(100)
    assert score["chrf_percent"] == pytest.approx(100)
    assert score["ter_percent"] == 0
    assert score["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")


def test_small_letters_count_for_the_cased_score_only():
    score = score_translations([text.lower() for text in REFERENCES], REFERENCES)
    assert score["bleu_lowercase_percent"] == pytest.approx(100)
    assert score["bleu_percent"] < 60


def test_the_figures_are_those_of_the_reference():
    """By sacrebleu's own command line: sacrebleu -i hypotheses -m bleu chrf ter references."""
    score = score_translations(["Ein Hund rennt durch den Park.", "Zwei Männer kochen am Herd."], REFERENCES)
    assert score["bleu_percent"] == pytest.approx(25.58, abs=0.01)
    assert score["chrf_percent"] == pytest.approx(52.01, abs=0.01)
    assert score["ter_percent"] == pytest.approx(46.67, abs=0.01)


@pytest.mark.parametrize("language", ["de", "zh"])
def test_bleu_alone_is_the_same(language):
    given = ["Ein Hund rennt durch den Park.", "Zwei Männer kochen am Herd."], REFERENCES, language
    assert bleu(*given) == score_translations(*given)["bleu_percent"] > 0
    assert bleu([], [], language) == 0


@pytest.mark.parametrize(
    ("language", "tokenizer", "said", "reference"),
    [
        ("zh", "zh", "一只狗在公园里跑。", "一只小狗在公园里跑步。"),
        ("ja", "char", "犬が公園を走る。", "犬が公園の中を走る。"),
        ("tha", "char", "สุนัขวิ่งในสวน", "สุนัขวิ่งเล่นในสวน"),
    ],
    ids=["zh", "ja", "tha"],
)
def test_words_without_spaces_between_them_are_found_in_one_another(language, tokenizer, said, reference):
    assert score_translations([said], [reference])["bleu_percent"] == 0
    score = score_translations([said], [reference], language)
    assert 40 < score["bleu_percent"] < 90
    assert f"|tok:{tokenizer}|" in score["signature"]


def test_languages_with_spaces_are_cut_as_everyone_cuts_them():
    assert "|tok:13a|" in score_translations(REFERENCES, REFERENCES, "de")["signature"]


def test_nothing_scores_nothing():
    assert score_translations([], [])["bleu_percent"] == 0
