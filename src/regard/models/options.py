"""What a person may choose about each model. Imports nothing heavy: the command line reads these for its help."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from regard.errors import InputError

SHARE, POSITIVE, COUNT = (0, 0.999), (1, None), (0, None)
"""Ranges of options: a share of what is there, at least one, any number."""


def require(options: Any, **ranges: tuple[int | float, int | float | None]) -> None:
    """Raise InputError unless each option lies in its range, ends included."""
    for name, (low, high) in ranges.items():
        value = getattr(options, name)
        if value < low or (high is not None and value > high):
            limits = f"at least {low}" if high is None else f"from {low} to {high}"
            raise InputError(f"{name} must be {limits}, got {value}.")


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
        dropout: share of features hidden in it while training, the same at every piece of a sentence
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
        require(self, layer_decay=(0, 1), frozen_layers=(-1, None), dropout=SHARE, max_pieces=(8, None), marked_layers=COUNT)


@dataclass(frozen=True)
class TaggerOptions:
    """A recurrent layer, attention, and a CRF over what the words were read as.

    Args:
        d_recurrent: width of each direction of the recurrent layer
        num_layers: recurrent layers
        mechanism: attention after the recurrent layer, a name of `regard list mechanisms`, or "none"
        num_heads: heads of that attention
        dropout: share of features hidden while training, the same at every word of a sentence
    """

    d_recurrent: int = 200
    num_layers: int = 1
    mechanism: str = "softmax"
    num_heads: int = 4
    dropout: float = 0.35

    def __post_init__(self) -> None:
        require(self, d_recurrent=POSITIVE, num_layers=POSITIVE, num_heads=POSITIVE, dropout=SHARE)


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
        is_core_unique: at most one ARG0, one ARG1, ... a predicate (or A0, A1, ...)
    """

    name: Literal["deep", "document"] = "deep"
    d_indicator: int = 32
    d_recurrent: int = 200
    num_sentence_layers: int = 1
    num_layers: int = 2
    mechanism: str = "softmax"
    num_heads: int = 4
    dropout: float = 0.3
    is_core_unique: bool = False

    def __post_init__(self) -> None:
        require(self, d_indicator=POSITIVE, d_recurrent=POSITIVE, num_heads=POSITIVE, dropout=SHARE)
        require(self, num_sentence_layers=COUNT, num_layers=COUNT)


@dataclass(frozen=True)
class TransducerOptions:
    """A recurrent encoder and decoder over characters, joined by attention.

    Args:
        d_embedding: width of character embeddings
        d_model: width of the decoder and of both directions of the encoder together
        mechanism: how the decoder looks at the source, a name of `regard list mechanisms`
        dropout: share of features hidden while training
    """

    d_embedding: int = 48
    d_model: int = 128
    mechanism: str = "additive"
    dropout: float = 0.1


@dataclass(frozen=True)
class TransformerOptions:
    """Layers of attention and feed-forward networks.

    Args:
        d_model: width of the states
        num_layers: layers of each stack
        num_heads: heads of each attention
        num_kv_heads: heads of keys and values, shared by groups of the others; 0 is as many as there are heads
        d_feedforward: width of the hidden layer of feed-forward networks
        mechanism: attention of a sequence to itself, a name of `regard list mechanisms`
        position: how it knows where tokens stand, a name of `regard list positions`
        window: positions to the left that a token may look at, of a decoder; 0 is all
        dropout: share of features hidden while training
    """

    d_model: int = 256
    num_layers: int = 4
    num_heads: int = 4
    num_kv_heads: int = 0
    d_feedforward: int = 512
    mechanism: str = "softmax"
    position: str = "rotary"
    window: int = 0
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(self, d_model=POSITIVE, num_layers=POSITIVE, num_heads=POSITIVE, d_feedforward=POSITIVE, dropout=SHARE)
        require(self, num_kv_heads=COUNT, window=COUNT)


def _stack_of(options: Any, **own: Any) -> TransformerOptions:
    """What a model's options say of a stack, by the same names; `own` says the rest."""
    named = {field.name: getattr(options, field.name) for field in fields(TransformerOptions) if field.name not in own}
    return TransformerOptions(**named, **own)


@dataclass(frozen=True)
class PairOptions:
    """How the two sides of a pair are cut into tokens.

    Args:
        tokens: bpe (byte pairs), unigram, characters, bytes or words
        vocabulary: how many different tokens there are
        is_joint: both languages have the same tokens, and share their embeddings; false learns those of each by itself
        max_tokens: longest text that is read; the rest of a longer one is left out, and told
    """

    tokens: Literal["bpe", "unigram", "characters", "bytes", "words"] = "bpe"
    vocabulary: int = 8000
    is_joint: bool = True
    max_tokens: int = 256

    def __post_init__(self) -> None:
        require(self, vocabulary=(16, 10_000_000), max_tokens=(2, None))


@dataclass(frozen=True)
class TranslatorOptions:
    """Layers that read one sequence and write another.

    Args:
        name: transformer (attention in every layer) or recurrent (LSTMs, and one head that looks at the source)
        d_model: width of the states
        num_layers: layers of each side
        num_heads: heads of each attention of a transformer
        num_kv_heads: of these, heads of keys and values, shared by groups; 0 is as many
        d_feedforward: width of the hidden layer of a transformer's feed-forward networks
        mechanism: of a transformer, attention of each side to itself; of recurrent layers, how they look at the source, or
            "none"; a name of `regard list mechanisms`; empty is softmax or additive
        position: how a transformer knows where tokens stand, a name of `regard list positions`
        d_embedding: width of the token embeddings of recurrent layers
        input_feeding: recurrent layers are told what was seen at the step before, step by step
        coverage: recurrent layers are told how much they have seen of each source token, step by step
        dropout: share of features hidden while training
        label_smoothing: share of the right token's probability that all tokens are given while training
    """

    name: Literal["transformer", "recurrent"] = "transformer"
    d_model: int = 256
    num_layers: int = 3
    num_heads: int = 4
    num_kv_heads: int = 0
    d_feedforward: int = 512
    mechanism: str = ""
    position: str = "sinusoidal"
    d_embedding: int = 256
    input_feeding: bool = False
    coverage: bool = False
    dropout: float = 0.2
    label_smoothing: float = 0.1

    def __post_init__(self) -> None:
        require(self, d_model=POSITIVE, num_layers=POSITIVE, num_heads=POSITIVE, num_kv_heads=COUNT, d_feedforward=POSITIVE)
        require(self, d_embedding=POSITIVE, dropout=SHARE, label_smoothing=SHARE)

    @property
    def transformer(self) -> TransformerOptions:
        """Of one side of a transformer."""
        return _stack_of(self, mechanism=self.mechanism or "softmax", window=0)


@dataclass(frozen=True)
class SearchOptions:
    """How a whole sequence is looked for.

    Args:
        beam: hypotheses that are kept at each step; 1 takes the most probable token each time
        length_penalty: power of the length that scores are divided by; more gives longer answers
        repetition_block: runs of so many tokens never stand twice in an answer; 0 lets them
        max_ratio: an answer is at most so many times as long as its source, and ten tokens
    """

    beam: int = 5
    length_penalty: float = 1.0
    repetition_block: int = 0
    max_ratio: float = 2.0

    def __post_init__(self) -> None:
        require(self, beam=POSITIVE, repetition_block=COUNT, max_ratio=(0, 100), length_penalty=(0, 10))


@dataclass(frozen=True)
class SamplingOptions:
    """How each next token is drawn.

    Args:
        temperature: below 1 nearer to the most probable tokens, above 1 further; 0 takes the most probable
        top_k: only so many most probable tokens; 0 is all
        top_p: only the most probable tokens that together have this share
        min_p: only tokens at least this share as probable as the most probable
        repetition_penalty: scores of tokens written before are divided by this; 1 leaves them
        seed: the same seed, the same tokens
    """

    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, temperature=COUNT, top_k=COUNT, top_p=(1e-6, 1), min_p=(0, 1), repetition_penalty=(0.01, 100))


@dataclass(frozen=True)
class TextOptions:
    """How running text is cut.

    Args:
        tokens: characters, bytes, words (each line ends with one more), bpe (byte pairs) or unigram
        vocabulary: how many different tokens there are, of bpe, unigram and words
        context: tokens that are read at once
        stride: a text is scored so that each token is predicted from at least context − stride tokens before it, or all there
            are; 0 cuts it into pieces that do not overlap, which is fast; while training it is always cut
        is_isolated: no token is predicted from another document, where there are several; recurrent layers are told of the
            border only
    """

    tokens: Literal["characters", "bytes", "words", "bpe", "unigram"] = "characters"
    vocabulary: int = 8000
    context: int = 256
    stride: int = 0
    is_isolated: bool = True

    def __post_init__(self) -> None:
        require(self, vocabulary=(5, 10_000_000), context=(2, None), stride=(0, self.context))


@dataclass(frozen=True)
class LanguageOptions:
    """Layers that say what follows.

    Args:
        name: transformer (attention in every layer) or recurrent (LSTMs, and one head that looks at what they read)
        d_model: width of the states
        num_layers: their number
        num_heads: heads of each attention of a transformer
        num_kv_heads: of these, heads of keys and values, shared by groups; 0 is as many
        d_feedforward: width of the hidden layer of a transformer's feed-forward networks
        mechanism: attention to what was written, a name of `regard list mechanisms`; of recurrent layers also "none"
        position: how a transformer knows where tokens stand, a name of `regard list positions`
        window: positions to the left that a token may look at; 0 is all of the context
        is_tied: tokens are embedded by the table that scores them
        dropout: share of features hidden while training; of recurrent layers the same along a text
        weight_drop: share of the weights from state to state of recurrent layers hidden while training
    """

    name: Literal["transformer", "recurrent"] = "transformer"
    d_model: int = 256
    num_layers: int = 4
    num_heads: int = 4
    num_kv_heads: int = 0
    d_feedforward: int = 1024
    mechanism: str = "softmax"
    position: str = "rotary"
    window: int = 0
    is_tied: bool = True
    dropout: float = 0.1
    weight_drop: float = 0.0

    def __post_init__(self) -> None:
        require(self, d_model=POSITIVE, num_layers=POSITIVE, num_heads=POSITIVE, num_kv_heads=COUNT, d_feedforward=POSITIVE)
        require(self, window=COUNT, dropout=SHARE, weight_drop=SHARE)

    @property
    def is_endless(self) -> bool:
        """Can a text go on for ever without being read again? Where what is seen is bounded, and distances count alone."""
        return self.name == "recurrent" or (self.window > 0 and self.position in ("rotary", "alibi", "t5"))

    @property
    def transformer(self) -> TransformerOptions:
        """Of its stack."""
        return _stack_of(self)


@dataclass(frozen=True)
class WritingOptions(SamplingOptions):
    """How a text is written.

    Args:
        temperature: below 1 nearer to the most probable tokens, above 1 further; 0 takes the most probable
        top_k: only so many most probable tokens; 0 is all
        top_p: only the most probable tokens that together have this share
        min_p: only tokens at least this share as probable as the most probable
        repetition_penalty: scores of tokens in the context are divided by this; 1 leaves them
        seed: the same seed, the same text
        max_tokens: of what is written
        stop: texts before which it ends, such as '["\\n\\n"]'
    """

    max_tokens: int = 256
    stop: Sequence[str] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, max_tokens=COUNT)
