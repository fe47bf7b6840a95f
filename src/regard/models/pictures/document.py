"""The source document's image classifier."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from regard.attention.gates import ConvolutionalGate
from regard.models.classifier import Classifier, ImageSizes
from regard.models.options import ClassifierOptions

SIDE = 8
"""Rows and columns that the linear layers read."""


class DocumentClassifier(Classifier):
    """Two convolutions, a gate, two linear layers; the ImageClassifier of the source document, section 4.2.

    Corrected, since it does not run as printed:
    - its attention joined sums over the channels to features, so that the 128 × 8 × 8 numbers of the next line never came;
      the gate returns the features, rescaled (see ConvolutionalGate for what else was wrong there);
    - 128 × 8 × 8 numbers come from pictures of 32 × 32 pixels only; means over 8 × 8 fields make them of any size;
    - it took 3 channels only; it takes as many as the pictures have.
    """

    def __init__(self, options: ClassifierOptions, sizes: ImageSizes) -> None:
        super().__init__(sizes, options.label_smoothing)
        self.body = nn.Sequential(
            nn.Conv2d(sizes.channels, 64, 3, padding=1),
            nn.MaxPool2d(2, ceil_mode=True),  # keeps the last row of an odd picture, and the only one of a tiny one
            nn.ReLU(),
            nn.Conv2d(64, 128, 3, padding=1),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.ReLU(),
            ConvolutionalGate(128),
        )
        convert_conv2d_weight_memory_format(self.body, torch.channels_last)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(SIDE),
            nn.Flatten(),
            nn.Linear(128 * SIDE * SIDE, 1024),
            nn.ReLU(),
            nn.Dropout(options.dropout),
            nn.Linear(1024, sizes.num_classes),
        )

    def features(self, pixels: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch 128 rows columns"]:
        return self.body(pixels)
