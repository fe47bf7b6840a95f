"""An object detector."""

from regard.models.detection.detector import Detector, DetectorSizes, Found
from regard.models.options.detection import DetectorOptions
from regard.models.pictures.mobile import PLANS
from regard.models.pictures.pretrained import Normalisation

__all__ = ["Detector", "DetectorSizes", "Found", "build_detector", "normalisation"]


def build_detector(options: DetectorOptions, sizes: DetectorSizes) -> Detector:
    """A detector, untrained."""
    return Detector(options, sizes)


def normalisation(options: DetectorOptions) -> Normalisation:
    """(mean, standard deviation) that pixels from 0 to 1 are to be normalised by, a number for each channel."""
    return PLANS[options.backbone.architecture].normalisation
