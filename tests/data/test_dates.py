"""Generated dates are what CLDR says, and no held-out day is known."""

import pytest

from regard.data.dates import LOCALES, WrittenDate, generate, read_dates, to_lines


@pytest.fixture(scope="module")
def parts():
    return generate(1000, seed=0)


def test_no_held_out_day_is_known_from_another_language(parts):
    days = {split: {date.iso for date in dates} for split, dates in parts.items()}
    assert not days["train"] & days["test"]
    assert not days["train"] & days["dev"]
    assert not days["dev"] & days["test"]


def test_at_least_twenty_locales_are_held_out(parts):
    assert len(LOCALES) >= 20
    assert {date.locale for date in parts["test"]} == set(LOCALES)


def test_a_text_has_one_reading(parts):
    readings = {}
    for dates in parts.values():
        for date in dates:
            assert readings.setdefault(date.text, date.iso) == date.iso


def test_texts_are_those_of_the_locale():
    import datetime

    from babel.dates import format_date

    day = datetime.date(1979, 5, 3)
    assert format_date(day, "full", locale="de") == "Donnerstag, 3. Mai 1979"
    assert format_date(day, "long", locale="es") == "3 de mayo de 1979"


def test_a_seed_decides(parts):
    assert generate(1000, seed=0) == parts
    assert generate(1000, seed=1) != parts


def test_files_hold_the_same_dates(parts, tmp_path):
    path = tmp_path / "dates.tsv"
    path.write_text(to_lines(parts["dev"]), encoding="utf8")
    assert read_dates(path) == (parts["dev"], [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3 May 1979\n", "got 1 columns by tab"),
        ("3 May 1979\t1979-5-3\n", "must be YYYY-MM-DD and exist, got '1979-5-3'"),
        ("30 Feb 1979\t1979-02-30\n", "must be YYYY-MM-DD and exist, got '1979-02-30'"),
        ("", "the file holds no date"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, text, message):
    path = tmp_path / "dates.tsv"
    path.write_text(text)
    _, (finding,) = read_dates(path)
    assert message in finding.message


def test_a_locale_is_optional(tmp_path):
    path = tmp_path / "dates.tsv"
    path.write_text("3 May 1979\t1979-05-03\n")
    assert read_dates(path)[0] == [WrittenDate("3 May 1979", "1979-05-03", "")]
