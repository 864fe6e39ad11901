"""Measures of streams [time, cells]: densities, held spectra, frequency responses, Allan deviation."""

from sptrack.spectrum.allan import AllanDeviation, allan_deviation, expected_allan, one_pole_allan
from sptrack.spectrum.held import HeldSpectrum
from sptrack.spectrum.tones import ToneResponse, Tones
from sptrack.spectrum.welch import Spectrum, Welch

__all__ = [
    "AllanDeviation",
    "HeldSpectrum",
    "Spectrum",
    "ToneResponse",
    "Tones",
    "Welch",
    "allan_deviation",
    "expected_allan",
    "one_pole_allan",
]
