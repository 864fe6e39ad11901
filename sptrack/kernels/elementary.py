"""exp, log and powers that vectorise in float32, and the exact functions in float64, behind one name each.

The float32 forms are polynomials on a reduced range (fitted at Chebyshev nodes). Measured against float64 on
1e6 arguments each: `log` within 2.5 units in the last place, `exp` within a relative error of 3e-7, `power`
of 0 <= x <= 1 within an absolute error of 3e-7, relative 1e-6 where the result is above 3e-4.
"""

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from sptrack.kernels._jit import inline

_MANTISSA = np.int32(0x007FFFFF)
_EXPONENT_SHIFT = np.int32(23)
_SQRT_HALF_BITS = np.int32(0x3F3504F3)
_ONE_BITS = np.int32(0x3F800000)
_BIAS = np.int32(127)
_LN2 = np.float32(0.6931471805599453)
_LN2_HIGH = np.float32(0.693359375)
_LN2_LOW = np.float32(-2.12194440e-4)
_INVERSE_LN2 = np.float32(1.4426950408889634)
_LOWEST = np.float32(-87.0)
_HIGHEST = np.float32(88.0)
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_HALF = np.float32(0.5)
_L0, _L1, _L2, _L3 = (
    np.float32(0.33333418),
    np.float32(-0.25000918),
    np.float32(0.19984711),
    np.float32(-0.16592978),
)
_L4, _L5, _L6 = np.float32(0.14681703), np.float32(-0.14117957), np.float32(0.09253827)
_E2, _E3, _E4, _E5, _E6 = (np.float32(1.0 / math.factorial(k)) for k in (2, 3, 4, 5, 6))
_ROUND = np.float32(12582912.0)


@inline
def log32(x: Any) -> Any:
    """Natural logarithm of a positive normal float32."""
    offset = np.int32(np.float32(x).view(np.int32) - _SQRT_HALF_BITS)
    exponent = np.int32(offset >> _EXPONENT_SHIFT)
    mantissa = np.int32(np.int32(offset & _MANTISSA) + _SQRT_HALF_BITS).view(np.float32)
    f = mantissa - _ONE
    square = f * f
    tail = _L0 + f * (_L1 + f * (_L2 + f * (_L3 + f * (_L4 + f * (_L5 + f * _L6)))))
    e = np.float32(exponent)
    return e * _LN2 + (f + square * (f * tail - _HALF))


@inline
def exp32(x: Any) -> Any:
    """Exponential of a float32, saturating outside -87..88."""
    x = _LOWEST if x < _LOWEST else x
    x = _HIGHEST if x > _HIGHEST else x
    n = (x * _INVERSE_LN2 + _ROUND) - _ROUND
    f = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = _ONE + f * (_ONE + f * (_E2 + f * (_E3 + f * (_E4 + f * (_E5 + f * _E6)))))
    scale = np.int32(np.int32(np.int32(n) + _BIAS) << _EXPONENT_SHIFT).view(np.float32)
    return p * scale


def exp(x: Any) -> Any:
    """exp(x) in the precision of ``x``."""
    return exp32(x) if isinstance(x, np.float32) else math.exp(x)


def power(x: Any, y: Any) -> Any:
    """x**y for x >= 0 and y > 0, in the precision of ``x``; 0**y is 0."""
    if not x > 0.0:
        return type(x)(0.0)
    return exp32(y * log32(x)) if isinstance(x, np.float32) else x**y


@overload(exp)
def _exp(x: Any) -> Any:
    def single(x: Any) -> Any:
        return exp32(x)

    def double(x: Any) -> Any:
        return math.exp(x)

    return single if x == types.float32 else double


@overload(power)
def _power(x: Any, y: Any) -> Any:
    def single(x: Any, y: Any) -> Any:
        value = exp32(y * log32(x if x > _ZERO else _ONE))
        return value if x > _ZERO else _ZERO

    def double(x: Any, y: Any) -> Any:
        return x**y if x > 0.0 else 0.0

    return single if x == types.float32 else double
