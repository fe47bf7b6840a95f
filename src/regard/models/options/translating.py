"""How one text becomes another."""

from dataclasses import dataclass
from typing import Literal

from regard.errors import InputError
from regard.models.options.ranges import COUNT, POSITIVE, SHARE, require
from regard.models.options.stack import TransformerOptions, stack_of


@dataclass(frozen=True)
class PairOptions:
    """How the two sides of a pair are cut into tokens.

    Args:
        tokens: bpe (byte pairs), unigram (not learnt twice the same, whatever the seed), characters, bytes or words
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
        name: transformer (attention in every layer) or recurrent (layers of a cell, and one head that looks at the source)
        cell: of recurrent layers, lstm or gru
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
    cell: Literal["lstm", "gru"] = "lstm"
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
        if self.name == "recurrent" and self.d_model % 2:
            raise InputError(f"d_model of recurrent layers must be even, half of it for each direction, got {self.d_model}.")
        if self.name != "recurrent" and (self.input_feeding or self.coverage or self.cell != "lstm"):
            raise InputError(
                "cell, input_feeding and coverage are of recurrent layers: set name to recurrent, or leave them out."
            )
        if self.coverage and self.mechanism == "none":
            raise InputError("coverage counts what attention has seen: mechanism must not be none.")

    @property
    def transformer(self) -> TransformerOptions:
        """Of one side of a transformer."""
        return stack_of(self, mechanism=self.mechanism or "softmax", window=0)


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
