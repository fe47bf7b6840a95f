"""How words are read, and what tags them."""

from dataclasses import dataclass
from typing import Literal

from regard.errors import InputError
from regard.models.options.ranges import COUNT, POSITIVE, SHARE, require


@dataclass(frozen=True)
class WordOptions:
    """How words are read from the training data alone, and from vectors that were learnt elsewhere.

    Args:
        d_word: width of word embeddings
        d_character: width of what is read from a word's characters
        d_affix: width of the embeddings of its first and last three letters and its shape, each
        word_dropout: share of words hidden while training, so that letters and shape are learnt from
        vectors: text file of word vectors, a word and its numbers a line, as GloVe and fastText have them
        max_vectors: lines of it that are read, from the top
    """

    d_word: int = 100
    d_character: int = 100
    d_affix: int = 32
    word_dropout: float = 0.2
    vectors: str = ""
    max_vectors: int = 400_000

    def __post_init__(self) -> None:
        require(self, d_word=POSITIVE, d_character=(2, None), d_affix=POSITIVE, word_dropout=SHARE, max_vectors=POSITIVE)


@dataclass(frozen=True)
class EncoderOptions:
    """A pretrained encoder that reads the words beside their embeddings.

    Args:
        path: a transformers folder, or an id of the hub; empty for none
        learning_rate: peak rate of its last layer, with the same schedule as the rest
        layer_decay: each layer below learns at this share of the rate
        frozen_layers: its embeddings and so many layers stay as they are; -1 freezes all of it
        dropout: share of features hidden in it while training, in most kinds the same at every piece of a sentence
        max_pieces: longest window; a longer sentence is read in several
        marked_layers: of roles: the last so many layers read a sentence again for each predicate, with a mark on it
    """

    path: str = ""
    learning_rate: float = 2e-4
    layer_decay: float = 0.9
    frozen_layers: int = 0
    dropout: float = 0.1
    max_pieces: int = 512
    marked_layers: int = 0

    def __post_init__(self) -> None:
        require(self, learning_rate=COUNT, layer_decay=(0, 1), frozen_layers=(-1, None), dropout=SHARE)
        require(self, max_pieces=(8, None), marked_layers=COUNT)


@dataclass(frozen=True)
class TaggerOptions:
    """A recurrent layer, attention, and a CRF over what the words were read as.

    Args:
        d_recurrent: width of each direction of the recurrent layer
        num_layers: recurrent layers
        mechanism: attention after the recurrent layer, a name of `regard list mechanisms`, or "none"
        num_heads: heads of that attention
        dropout: share of features hidden while training, the same at every word of a sentence
        beta: how readily words are taken for entities is chosen on dev by F-beta: 1 is F1, above it recall counts more
    """

    d_recurrent: int = 200
    num_layers: int = 1
    mechanism: str = "softmax"
    num_heads: int = 4
    dropout: float = 0.35
    beta: float = 1.0

    def __post_init__(self) -> None:
        require(self, d_recurrent=POSITIVE, num_layers=POSITIVE, num_heads=POSITIVE, dropout=SHARE, beta=(0, 100))
        _require_heads(self.d_recurrent, self.num_heads)


@dataclass(frozen=True)
class RoleOptions:
    """Layers that read a sentence once, then layers that read it again for each predicate.

    Args:
        name: deep (highway layers in both directions) or document (one direction, as in the source document, corrected)
        d_indicator: width of the embedding that marks the predicate
        d_recurrent: width of each direction
        num_sentence_layers: recurrent layers before a predicate is marked; they find predicates too
        num_layers: recurrent layers after it is marked
        mechanism: attention after them, a name of `regard list mechanisms`, or "none"
        num_heads: heads of that attention
        dropout: share of features hidden while training, the same at every word of a sentence
    """

    name: Literal["deep", "document"] = "deep"
    d_indicator: int = 32
    d_recurrent: int = 200
    num_sentence_layers: int = 1
    num_layers: int = 2
    mechanism: str = "softmax"
    num_heads: int = 4
    dropout: float = 0.3

    def __post_init__(self) -> None:
        require(self, d_indicator=POSITIVE, d_recurrent=POSITIVE, num_heads=POSITIVE, dropout=SHARE)
        require(self, num_sentence_layers=COUNT, num_layers=COUNT)
        _require_heads(self.d_recurrent, self.num_heads)


def _require_heads(d_recurrent: int, num_heads: int) -> None:
    """Heads share the features of both directions."""
    if 2 * d_recurrent % num_heads:
        raise InputError(f"2 × d_recurrent must be a multiple of num_heads, got 2 × {d_recurrent} and {num_heads} heads.")


@dataclass(frozen=True)
class RoleDecodingOptions:
    """What the best tags of a proposition are held to.

    Args:
        is_core_unique: at most one ARG0, one ARG1, ... a predicate (or A0, A1, ...)
    """

    is_core_unique: bool = True
