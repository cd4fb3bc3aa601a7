"""Bad values into chains, their moves and estimates, exact results, networks and exports."""

import bad_chains
import bad_networks
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

ENTRIES: dict[str, Entry] = {**bad_chains.ENTRIES, **bad_networks.ENTRIES}


@pytest.mark.parametrize("name", ENTRIES)
def test_the_valid_arguments_are_accepted(name: str) -> None:
    accepts_the_valid(ENTRIES[name])


@pytest.mark.parametrize(("name", "argument"), cases(ENTRIES))
@settings(max_examples=60, phases=[Phase.generate], deadline=None)
@given(data=st.data())
def test_a_bad_value_is_refused(name: str, argument: str, data: st.DataObject) -> None:
    refuses_a_bad_value(ENTRIES[name], argument, data)


@pytest.mark.parametrize(("name", "argument"), integers(ENTRIES))
def test_integers_of_numpy_and_torch_are_integers(name: str, argument: str) -> None:
    takes_integers_of_numpy_and_torch(ENTRIES[name], argument)
