"""Bad values into every public entry, one argument at a time, raise a ValueError that names it."""

import bad_kernels
import bad_models
import bad_samplers
import bad_training
import pytest
from bad_values import (
    Entry,
    accepts_the_valid,
    cases,
    integers,
    refuses_a_bad_value,
    takes_integers_of_numpy_and_torch,
)
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

ENTRIES: dict[str, Entry] = {
    **bad_models.ENTRIES,
    **bad_samplers.ENTRIES,
    **bad_training.ENTRIES,
    **bad_kernels.ENTRIES,
}


@pytest.mark.parametrize("name", ENTRIES)
def test_the_valid_arguments_are_accepted(name: str) -> None:
    accepts_the_valid(ENTRIES[name])


@pytest.mark.parametrize(("name", "argument"), cases(ENTRIES))
@settings(max_examples=14, phases=[Phase.generate])
@given(data=st.data())
def test_a_bad_value_is_refused(name: str, argument: str, data: st.DataObject) -> None:
    refuses_a_bad_value(ENTRIES[name], argument, data)


@pytest.mark.parametrize(("name", "argument"), integers(ENTRIES))
def test_integers_of_numpy_and_torch_are_integers(name: str, argument: str) -> None:
    takes_integers_of_numpy_and_torch(ENTRIES[name], argument)
