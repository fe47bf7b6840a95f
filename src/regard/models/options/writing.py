"""What follows a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from regard.errors import InputError
from regard.models.options.ranges import COUNT, POSITIVE, SEED, SHARE, require
from regard.models.options.stack import TransformerOptions, stack_of


@dataclass(frozen=True)
class TextOptions:
    """How running text is cut.

    Args:
        tokens: characters, bytes, words (each line ends with one more), bpe (byte pairs) or unigram (not learnt twice the
            same, whatever the seed)
        vocabulary: how many different tokens there are, of bpe, unigram and words
        context: tokens that are read at once
        is_isolated: no token is predicted from another document, where there are several; recurrent layers are told of the
            border only
    """

    tokens: Literal["characters", "bytes", "words", "bpe", "unigram"] = "characters"
    vocabulary: int = 8000
    context: int = 256
    is_isolated: bool = True

    def __post_init__(self) -> None:
        require(self, vocabulary=(5, 10_000_000), context=(2, None))


@dataclass(frozen=True)
class ScoringOptions:
    """How a text is scored.

    Args:
        stride: each token is predicted from at least context − stride tokens before it, or all there are; 0 cuts the text into
            pieces that do not overlap, which is fast; while training it is always cut
    """

    stride: int = 0

    def __post_init__(self) -> None:
        require(self, stride=COUNT)


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
        return stack_of(self)


TEMPERATURES = 1e-4, 1e4
"""Between them scores can be divided in float32."""


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
        require(self, top_k=COUNT, top_p=(1e-6, 1), min_p=(0, 1), repetition_penalty=(0.01, 100), seed=SEED)
        low, high = TEMPERATURES
        if self.temperature and not low <= self.temperature <= high:
            raise InputError(f"temperature must be 0, or from {low} to {high:.0f}, got {self.temperature}.")


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
        if "" in self.stop:
            raise InputError(
                f"stop must be texts of a letter or more, got {list(self.stop)}: every text ends before an empty one."
            )
