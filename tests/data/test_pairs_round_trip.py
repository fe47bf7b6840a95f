"""What is written in each format is read again as it was, and no file whatever is answered by anything but words."""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from regard.data.findings import Finding
from regard.data.pairs import Languages, Pair, read_pairs
from regard.errors import InputError

EN_DE = Languages("en", "de")
PIECES = [
    *("Go", "ß", "don't", '"', "'", "«", "\\", "\\n", "{", "]", "&", "&amp;", "<b>", "]]>", "source", "en", "#", ",", "1"),
    *(
        " ",
        "  ",
        "\u00a0",
        "\u2028",
        "\u2029",
        "\u0085",
        "\u200d",
        "\ufeff",
        "e\u0301",
        "שלום",
        "東京",
        "👩‍👩‍👧",
        "\U0010fffd",
        "\x7f",
    ),
]
Written = Callable[[list[Pair]], str]


def text(chance: random.Random) -> str:
    """Words, marks and white space of all kinds, though not white space alone or a mark of byte order in front."""
    return "".join([chance.choice([" ", "\u2028", ""]), "x", *chance.choices(PIECES, k=chance.randint(0, 12))])


def pairs(chance: random.Random, number: int) -> list[Pair]:
    return [Pair(text(chance), text(chance), line) for line in range(1, number + 1)]


def as_json(names: tuple[str, str], inner: bool = False) -> Written:
    def written(given: list[Pair]) -> str:
        records = [dict(zip(names, (one.source, one.target), strict=True)) for one in given]
        return "\n".join(json.dumps({"translation": one} if inner else one, ensure_ascii=len(one) % 2 == 1) for one in records)

    return written


def as_tmx(given: list[Pair]) -> str:
    def variant(code: str, side: str | None) -> str:
        return f'<tuv xml:lang="{code}"><seg>{escape(side or "")}</seg></tuv>'

    units = [f"<tu>{variant('en', one.source)}{variant('de', one.target)}</tu>" for one in given]
    return '<tmx version="1.4"><body>' + "\n".join(units) + "</body></tmx>"


def as_rows(given: list[Pair]) -> str:
    return "\n".join(f"{one.source}\t{one.target}" for one in given)


FORMATS: dict[str, Written] = {
    "a.tsv": as_rows,
    "a.jsonl": as_json(("source", "target")),
    "b.jsonl": as_json(("en", "de"), inner=True),
    "a.tmx": as_tmx,
    "a.tmx.gz": as_tmx,
    "a.json.gz": as_json(("src", "tgt")),
}


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_a_round_trip_loses_nothing(name, tmp_path):
    given = pairs(random.Random(0), 500)
    again, findings = read_pairs(write(tmp_path / name, FORMATS[name](given).encode()), EN_DE)
    assert again == given
    assert not [finding for finding in findings if finding.level == "error"]


def test_a_round_trip_through_parallel_files_loses_nothing(tmp_path):
    given = pairs(random.Random(0), 500)
    write(tmp_path / "a.de.gz", "\n".join(one.target or "" for one in given).encode())
    path = write(tmp_path / "a.en", "\n".join(one.source for one in given).encode())
    assert read_pairs(path, Languages())[0] == given


JUNK = [b"", b"\t", b"\n", b'"', b"}", b"<", b"&", b"</tu>", b"<seg>", b"]]>", b"null", b"\xff", b"\\ud800", b"&#0;", b"\x00"]


def broken(data: bytes, chance: random.Random) -> bytes:
    """Bytes put in, taken out, doubled or cut off."""
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(data) + 1)
        stop = min(len(data), start + chance.choice([1, 1, 2, 8, 40]))
        junk = chance.choice(JUNK)
        data = chance.choice([data[:start] + junk + data[stop:], data[:start], data[:stop] + data[start:], data[start:]])
    return data


def outcome(path: Path, languages: Languages) -> tuple[list[Pair], list[Finding], InputError | None]:
    try:
        return *read_pairs(path, languages), None
    except InputError as error:
        return [], [], error


@pytest.mark.parametrize("name", [*FORMATS, "a.en"])
@pytest.mark.parametrize("languages", [EN_DE, Languages()])
def test_broken_files_give_pairs_or_findings_or_are_refused(name, languages, tmp_path):
    chance = random.Random(1)
    outcomes = {"refused": 0, "error": 0, "read": 0}
    for _ in range(100):
        data = FORMATS.get(name, as_rows)(pairs(chance, 3)).encode()
        path = write(tmp_path / name, broken(data, chance))
        if name == "a.en":
            write(tmp_path / "a.de", data)
        found, findings, refused = outcome(path, languages)
        if refused:
            assert refused.file
            assert Path(refused.file).parent == tmp_path
            outcomes["refused"] += 1
            continue
        errors = [finding for finding in findings if finding.level == "error"]
        assert found or errors
        assert all(one.source.strip() and (one.target or "").strip() and one.line for one in found)
        outcomes["error" if errors else "read"] += 1
    assert outcomes["refused"] + outcomes["error"] > 20


@pytest.mark.parametrize("suffix", [".gz", ".zip"])
def test_broken_archives_are_refused(suffix, tmp_path):
    chance = random.Random(2)
    whole = gzip.compress(as_tmx(pairs(chance, 50)).encode())
    for _ in range(100):
        (tmp_path / f"a.tmx{suffix}").write_bytes(broken(whole, chance))
        found, findings, refused = outcome(tmp_path / f"a.tmx{suffix}", EN_DE)
        assert found or findings or (refused and str(tmp_path) in str(refused))
