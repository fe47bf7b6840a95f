"""Running text of any size: read once to be checked, kept as numbers in a file, never whole in memory."""

from regard.data.corpus.blocks import Block, Passage, passages_of, read_corpus
from regard.data.corpus.files import find_corpora
from regard.data.corpus.quality import check_corpora
from regard.data.corpus.tokens import TokenFile, tokenised
from regard.data.corpus.windows import Window, Windows

__all__ = [
    "Block",
    "Passage",
    "TokenFile",
    "Window",
    "Windows",
    "check_corpora",
    "find_corpora",
    "passages_of",
    "read_corpus",
    "tokenised",
]
