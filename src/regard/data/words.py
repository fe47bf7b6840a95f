"""Raw text cut into words and sentences by rules that know no language."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import groupby, pairwise

from regard.data.sentence import Sentence

Piece = tuple[str, int, int]
"""A part of a text, and its [start, stop) there in characters."""

# Han, kana, Thai, Lao, Burmese, Khmer: no white space between words, so each letter is one.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_UNSPACED_LETTER = re.compile(f"[{_UNSPACED}]")
_MOST_UNSPACED = 4
"""Of such letters, more are hardly one word."""
_JOINERS = r"\u200c\u200d\U0001f3fb-\U0001f3ff"
_URL = r"(?:https?://|www\.)[^\s<>\"]*[^\s<>\"'’”».,;:!?…()\[\]{}]"
_EMAIL = r"\w[\w.+-]{0,63}@\w[\w-]{0,63}(?:\.\w[\w-]{0,63})+"

_SENTENCE_END = re.compile(r"\n\s*|[.!?…؟।۔]+[\"'’”»)\]]*\s+(?=\S)|[。！？]+[”」』）]*\s*(?=\S)")
_LAST_WORD = re.compile(r"[^\s(\[\"'“‘«]*\Z")
_ABBREVIATION = re.compile(
    "mr|mrs|ms|dr|prof|st|sr|jr|rev|gen|col|lt|sgt|capt|gov|sen|rep|hon|vs|etc|cf|al|nr|vol|fig|pp|approx|inc|ltd|co|corp|dept|"
    "univ|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|bzw|ca|usw|mme|mlle",
    re.IGNORECASE,
)


def words_of(text: str) -> list[Piece]:
    """Words, in order; together they hold every character that is not white space.

    Whole stay: words with - ' ’ . inside (don't, U.S), numbers with , and : inside, @names, #tags, addresses of the web and
    of mail, letters with their combining marks, joined emoji. Any other character is a word, as is each letter of a script
    that puts no white space between words.
    """
    return [(match[0], *match.span()) for match in _words().finditer(text)]


def may_be_word(text: str) -> bool:
    """Whether it could be a word of text that somebody else cut: no white space, and few letters of scripts that have none."""
    return len(text.split()) == 1 and len(_UNSPACED_LETTER.findall(text)) <= _MOST_UNSPACED


def sentences_of(text: str) -> list[Piece]:
    """Sentences, without the white space around them.

    Rules, not a model: a line's end always ends one, and . ! ? before white space do, except where a lower-case letter
    follows, or where a period stands after one letter (J. Smith), after letters with periods inside (U.S.) or after an
    abbreviation of a short list. So a sentence that ends in such a word is not parted from the next.
    """
    ends = [match.end() for match in _SENTENCE_END.finditer(text) if _ends_sentence(text, match)]
    pieces = []
    for start, stop in pairwise([0, *ends, len(text)]):
        part = text[start:stop]
        if stripped := part.strip():
            first = start + len(part) - len(part.lstrip())
            pieces.append((stripped, first, first + len(stripped)))
    return pieces


def sentence_from_text(text: str, line: int | None = None) -> Sentence:
    """The words of a text, with their places in it and no tags."""
    words = words_of(text)
    tokens, offsets = tuple(word for word, _, _ in words), tuple((start, stop) for _, start, stop in words)
    return Sentence(tokens, line=line, text=text, offsets=offsets)


@cache
def _words() -> re.Pattern[str]:
    """Built at its first use: the combining marks have to be looked up."""
    extend = f"[{_marks()}{_JOINERS}]"
    letter = rf"[^\W{_UNSPACED}]"
    run = rf"{letter}+(?:{extend}+{letter}*)*"
    word = rf"{run}(?:(?:[-'’.]|(?<=\d)[,:](?=\d)){run})*"
    emoji = rf"[\U0001f1e6-\U0001f1ff]{{2}}|\S{extend}*(?:(?<=\u200d)\S{extend}*)*"
    return re.compile(rf"{_URL}|{_EMAIL}|{word}|[@#]{run}|{emoji}")


def _marks() -> str:
    """Ranges of combining marks, for a class of a regular expression."""
    planes = (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0))
    marks = [code for code in planes if unicodedata.category(chr(code)).startswith("M")]
    runs = (list(group) for _, group in groupby(enumerate(marks), lambda pair: pair[1] - pair[0]))
    return "".join(rf"\U{run[0][1]:08x}-\U{run[-1][1]:08x}" for run in runs)


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    if "\n" in match[0] or match[0][0] in "。！？":
        return True
    if text[match.end()].islower():
        return False
    last = _LAST_WORD.search(text, max(0, match.start() - 40), match.start())
    return match[0][0] != "." or not _is_abbreviation(last[0] if last else "")


def _is_abbreviation(word: str) -> bool:
    """Whether the period after a word belongs to it."""
    is_initial = len(word) == 1 and word.isalpha() and word != "I"
    return is_initial or ("." in word and word.replace(".", "").isalpha()) or bool(_ABBREVIATION.fullmatch(word))
