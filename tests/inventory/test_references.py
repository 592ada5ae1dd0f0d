"""Loops of parents: found whatever their shape, by one walk over all codes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamwatch.inventory.references import looped

CODES = st.sampled_from("ABCDEFGH")


@given(st.dictionaries(CODES, CODES))
def test_a_code_is_looped_where_its_parents_lead_back_to_it(parents: dict[str, str]) -> None:
    """The oracle walks from each code as many steps as there are codes."""

    def leads_back(code: str) -> bool:
        at: str | None = code
        for _ in range(len(parents)):
            at = parents.get(at) if at is not None else None
            if at == code:
                return True
        return False

    assert looped(parents) == {code for code in parents if leads_back(code)}


def test_a_chain_as_long_as_a_city_takes_one_walk() -> None:
    """No recursion, no quadratic time: 200,000 lines that hang on each other."""
    assert looped({str(at): str(at + 1) for at in range(200_000)}) == set()
