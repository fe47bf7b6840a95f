"""What a person may choose about each model. Imports nothing heavy: the command line reads these for its help."""

from regard.models.options.detection import BackboneOptions, DetectorOptions
from regard.models.options.painting import FeatureOptions, GanOptions, PainterOptions, VaeOptions, usual_widths
from regard.models.options.pictures import ClassifierOptions, ConvolutionalOptions, ImageTransformerOptions, PretrainedOptions
from regard.models.options.ranges import COUNT, POSITIVE, SEED, SHARE, require
from regard.models.options.stack import TransformerOptions
from regard.models.options.translating import PairOptions, SearchOptions, TransducerOptions, TranslatorOptions
from regard.models.options.views import (
    AugmentOptions,
    FindingOptions,
    PaintViewOptions,
    SceneAugmentOptions,
    SceneOptions,
    ViewOptions,
)
from regard.models.options.words import EncoderOptions, RoleDecodingOptions, RoleOptions, TaggerOptions, WordOptions
from regard.models.options.writing import LanguageOptions, SamplingOptions, ScoringOptions, TextOptions, WritingOptions

__all__ = [
    "COUNT",
    "POSITIVE",
    "SEED",
    "SHARE",
    "AugmentOptions",
    "BackboneOptions",
    "ClassifierOptions",
    "ConvolutionalOptions",
    "DetectorOptions",
    "EncoderOptions",
    "FeatureOptions",
    "FindingOptions",
    "GanOptions",
    "ImageTransformerOptions",
    "LanguageOptions",
    "PaintViewOptions",
    "PainterOptions",
    "PairOptions",
    "PretrainedOptions",
    "RoleDecodingOptions",
    "RoleOptions",
    "SamplingOptions",
    "SceneAugmentOptions",
    "SceneOptions",
    "ScoringOptions",
    "SearchOptions",
    "TaggerOptions",
    "TextOptions",
    "TransducerOptions",
    "TransformerOptions",
    "TranslatorOptions",
    "VaeOptions",
    "ViewOptions",
    "WordOptions",
    "WritingOptions",
    "require",
    "usual_widths",
]
