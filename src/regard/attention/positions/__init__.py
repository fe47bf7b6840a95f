"""Where a token stands: added to embeddings, turned into queries and keys, or added to scores."""

from regard.attention.positions.absolute import Learned, Sinusoidal
from regard.attention.positions.alibi import Alibi
from regard.attention.positions.bias import Bias
from regard.attention.positions.position import Position
from regard.attention.positions.relative import T5Relative
from regard.attention.positions.rotary import Rotary, Rotary2d
from regard.attention.positions.scaling import DynamicNtk, Linear, Llama3, Ntk, Scaling, Yarn

__all__ = [
    "Alibi",
    "Bias",
    "DynamicNtk",
    "Learned",
    "Linear",
    "Llama3",
    "Ntk",
    "Position",
    "Rotary",
    "Rotary2d",
    "Scaling",
    "Sinusoidal",
    "T5Relative",
    "Yarn",
]
