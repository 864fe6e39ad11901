"""Where zero-shifting settles on any smooth device, to leading order in the granularity.

Both results need steps that are small on the scale of the response's own features, and weights that stay
clear of the hard bounds; `sptrack.theory.moments` is exact where the device is linear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sptrack.devices.constants import additive_levels, local_derivatives, noise_power
from sptrack.errors import ParameterError
from sptrack.theory.moments import Moments
from sptrack.theory.zero_shifting import Mode

if TYPE_CHECKING:
    from sptrack.devices.cells import Cells


def small_step_moments(cells: Cells, mode: Mode) -> Moments:
    """Approximate stationary mean and variance of zero-shifting after an even number of pulses.

    With h = dw_min, q0 the response, G' and G'' the slope and curvature of G, s_plus = -q_plus' and s_minus
    = q_minus' at w*, and n the variance of one pulse's noise over h^2 (sigma^2 q0^2 when proportional to
    the step):

    - Fluctuation: a pulse adds h^2 (q0^2 + n) with random directions, h^2 n with alternating ones, and
      contracts the variance by 2 h G', so Var = h (q0^2 + n)/(2 G') or h n/(2 G').
    - Curvature: the mean step is -h E G, zero when stationary: G' m + G'' Var/2 = 0, m = -G'' Var/(2 G').
    - Last pulse (alternating only): the after-down fixed point of the linearised pair,
      -h q0 s_minus/(s_plus + s_minus - h s_plus s_minus).

    Parameters
    ----------
    cells : cells of a device
        Any cells with a smooth response.
    mode : {"cyclic", "stochastic"}
        Cyclic starts with an up pulse: the result is for samples after a down pulse.

    Returns
    -------
    Moments
        Of w - w*; NaN where there is no symmetric point, and for additive noise on a device that is not
        linear.

    Raises
    ------
    ParameterError
        If the mode is unknown.
    """
    if mode not in ("cyclic", "stochastic"):
        raise ParameterError(f"mode must be 'cyclic' or 'stochastic', got {mode!r}")
    h = cells.dw_min
    plus, minus, curvature = local_derivatives(cells)
    slope = (plus + minus) / 2
    point = np.asarray(cells.symmetric_point, dtype=np.float64)
    q0 = cells.q_plus(point)
    noise = noise_power(cells, q0, np.hypot(*additive_levels(cells)) / np.sqrt(2), point)
    if mode == "stochastic":
        variance = h * (q0**2 + noise) / (2 * slope)
        return Moments(-curvature * variance / (2 * slope), variance)
    variance = h * noise / (2 * slope)
    last_pulse = -h * q0 * minus / (plus + minus - h * plus * minus)
    return Moments(last_pulse - curvature * variance / (2 * slope), variance)
