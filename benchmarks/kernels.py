"""Classes in the form that asv looks for; compilation falls into ``setup``."""

from benchmarks.cases import CASES, LOOPS, TILES, TRAINS, UPDATES


class _Timed:
    param_names = ("case",)

    def setup(self, name):
        self.case = CASES[name]
        self.bar = self.case.subject()
        self.case.work(self.bar)

    def time_work(self, name):
        self.case.work(self.bar)


class Trains(_Timed):
    """Pulse trains on 512 x 512 cells."""

    params = (tuple(TRAINS),)


class Updates(_Timed):
    """Sparse updates of 512 x 512 cells."""

    params = (tuple(UPDATES),)


class Loops(_Timed):
    """The fused tracking recursion on 512 x 512 cells."""

    params = (tuple(LOOPS),)


class Tiles(_Timed):
    """Phases of training on a tile of 512 x 512 cells."""

    params = (tuple(TILES),)
