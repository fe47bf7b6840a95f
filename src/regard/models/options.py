"""What a person may choose about each model. Imports nothing heavy: the command line reads these for its help."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TaggerOptions:
    """Word and character embeddings, a recurrent layer, attention, a CRF.

    Args:
        d_word: width of word embeddings
        d_character: width of what is read from a word's characters
        d_affix: width of the embeddings of its first and last three letters and its shape, each
        d_recurrent: width of each direction of the recurrent layer
        num_layers: recurrent layers
        mechanism: attention after the recurrent layer, a name of `regard list mechanisms`, or "none"
        num_heads: its heads
        dropout: share of features hidden while training, the same at every word of a sentence
        word_dropout: share of words hidden while training, so that letters and shape are learnt from
    """

    d_word: int = 100
    d_character: int = 100
    d_affix: int = 32
    d_recurrent: int = 200
    num_layers: int = 1
    mechanism: str = "softmax"
    num_heads: int = 4
    dropout: float = 0.35
    word_dropout: float = 0.2


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
