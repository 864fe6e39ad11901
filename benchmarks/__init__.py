"""Speed of the kernels and commands: asv-style classes, and a report that needs no asv.

``python -m benchmarks report`` measures everything, each kernel as best of five after its compilation, and
holds it against targets and against the ceiling of this machine.
"""
