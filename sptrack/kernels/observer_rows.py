"""Rows of the memory of an input-aware observer (`sptrack.kernels.observers`) that all forms share."""

POINT, VARIANCE, SHARE, SEEN, READ, SUM, SIZE, COUNT, LEVEL, SLOPE = range(10)
"""Symmetric point, its variance, the prior's share of the information on it; whether there was a read, and
the last one (an adaptive observer and a predictor keep the expected weight there); N, A, the variance of the
number of pulses since; F and G' at the symmetric point."""
PREDICTED = READ
OWN = SLOPE + 1
"""First row of a form's own."""
