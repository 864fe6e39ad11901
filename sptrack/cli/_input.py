"""Options that several commands share: shapes, seeds, the device in its three forms."""

from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from sptrack.crossbar.threads import thread_count
from sptrack.devices import Cells, sample_cells
from sptrack.devices.sampling import cells_shape
from sptrack.errors import ParameterError
from sptrack.values import as_seed

DEFAULT_DEVICE = "soft-bounds"


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayInput:
    """The simulated array of a command.

    Parameters
    ----------
    device
        Preset (see `sptrack devices list`) or TOML file, as `sptrack fit --out` writes it; the default is
        soft-bounds.
    config
        TOML file that describes a device; the same as --device FILE.toml.
    measured
        File of readings of one or many cells (as `sptrack fit` reads it); cells are drawn with the
        uncertainty of the fit of one, or the spread between several.
    family
        Family of the measured cells; by default chosen by held-out readings.
    cells
        Rows x columns of the array.
    seed
        Root seed.
    threads
        Threads of the kernels; default: one per processor.
    """

    device: str | None = None
    config: Path | None = None
    measured: Path | None = None
    family: str | None = None
    cells: str = "512x512"
    seed: int = 0
    threads: int | None = None

    def draw(self) -> tuple[Cells, float]:
        """Cells of the named, described or measured device, and the reading noise that comes with them.

        Raises
        ------
        ParameterError
            If shape, seed or threads are refused, more than one device is given, or it is refused where it is
            read.
        """
        shape = cells_shape(self.cells)
        as_seed(self.seed)
        thread_count(self.threads)
        given = [name for name in ("device", "config", "measured") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ParameterError(
                f"--{given[0]} and --{given[1]}: only one of --device, --config, --measured can be given"
            )
        if self.family is not None and self.measured is None:
            raise ParameterError("--family: only with --measured")
        if self.measured is not None:
            return _measured_cells(self.measured, self.family, shape, self.seed)
        from sptrack.devices.config import device_named, load_device

        made = (
            device_named(self.device or DEFAULT_DEVICE) if self.config is None else load_device(self.config)
        )
        return sample_cells(made, shape, seed=self.seed), made.read_noise


def _measured_cells(path: Path, family: str | None, shape: tuple[int, int], seed: int) -> tuple[Cells, float]:
    from sptrack.fitting import fit_responses, measured_cells, read_measurement

    fit = fit_responses(read_measurement(path), family)
    return measured_cells(fit, shape, seed=seed), fit.read_noise
