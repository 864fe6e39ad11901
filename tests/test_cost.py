import numpy as np
import pytest

from sptrack.cost import CostModel
from sptrack.errors import ParameterError


def test_cost_is_a_weighted_sum():
    model = CostModel(pulse=2.0, read=3.0, program=5.0)
    assert model.total(pulses=7, reads=11, programs=13) == 2 * 7 + 3 * 11 + 5 * 13
    assert model.total(pulses=7) == 14


def test_one_product_reads_a_row_of_cells():
    assert CostModel(read_product=6.0).total(pulses=0, reads=100, columns=50) == 12.0
    assert CostModel(read_product=6.0).total(pulses=0, reads=1) == 6.0


@pytest.mark.parametrize("name", ["pulse", "read", "read_product", "program"])
@pytest.mark.parametrize("value", [-1.0, np.inf, np.nan])
def test_impossible_weights_are_refused(name, value):
    with pytest.raises(ParameterError, match=f"cost of a {name} must be .*>= 0, got {value}"):
        CostModel(**{name: value})
