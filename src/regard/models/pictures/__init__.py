"""Image classifiers."""

from collections.abc import Callable

from regard.models.classifier import Classifier, ImageSizes
from regard.models.options import ClassifierOptions
from regard.models.pictures.convolutional import ConvolutionalClassifier
from regard.models.pictures.document import DocumentClassifier
from regard.models.pictures.pretrained import Normalisation, PretrainedClassifier, normalisation_of
from regard.models.pictures.transformer import TransformerClassifier

KINDS: dict[str, Callable[[ClassifierOptions, ImageSizes], Classifier]] = {
    "document": DocumentClassifier,
    "convolutional": ConvolutionalClassifier,
    "transformer": TransformerClassifier,
    "pretrained": PretrainedClassifier,
}


def build_classifier(options: ClassifierOptions, sizes: ImageSizes) -> Classifier:
    """The classifier that the options name, untrained."""
    return KINDS[options.name](options, sizes)


def normalisation(options: ClassifierOptions) -> Normalisation:
    """(mean, standard deviation) that pixels from 0 to 1 are to be normalised by: one number for each channel.

    Those of pretrained weights have three, and grey pictures become of three channels; any other model has one for all.
    """
    return normalisation_of(options.pretrained) if options.name == "pretrained" else ((0.5,), (0.5,))
