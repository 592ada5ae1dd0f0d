"""Bad logins wait longer and longer, per account and address, within a bound."""

from __future__ import annotations

from streamwatch.access.backoff import FORGET_S, FREE_FAILURES, LONGEST_WAIT_S, Backoff


def test_wait_doubles_after_the_free_failures_up_to_the_longest() -> None:
    """Five mistypings are free, then 1, 2, 4 … seconds, at most 15 minutes."""
    backoff = Backoff()
    waits = []
    for _ in range(20):
        backoff.failed("ann", "192.0.2.1", 100.0)
        waits.append(backoff.wait_s("ann", "192.0.2.1", 100.0))

    assert waits[: FREE_FAILURES - 1] == [0.0] * (FREE_FAILURES - 1)
    assert waits[FREE_FAILURES - 1 : FREE_FAILURES + 3] == [1.0, 2.0, 4.0, 8.0]
    assert waits[-1] == LONGEST_WAIT_S


def test_wait_runs_down_and_concerns_one_account_at_one_address() -> None:
    """Somebody else at another address is not locked out by an attacker; waiting helps."""
    backoff = Backoff()
    for _ in range(FREE_FAILURES + 2):
        backoff.failed("ann", "192.0.2.1", 100.0)

    assert backoff.wait_s("ann", "192.0.2.1", 101.5) == 2.5
    assert backoff.wait_s("ann", "192.0.2.1", 104.0) == 0.0
    assert backoff.wait_s("ann", "192.0.2.2", 100.0) == 0.0
    assert backoff.wait_s("bob", "192.0.2.1", 100.0) == 0.0


def test_success_and_quiet_forget() -> None:
    """A good login, or an hour without a failure, starts over."""
    backoff = Backoff()
    for _ in range(FREE_FAILURES + 2):
        backoff.failed("ann", "192.0.2.1", 0.0)
        backoff.failed("bob", "192.0.2.1", 0.0)

    backoff.succeeded("ann", "192.0.2.1")
    backoff.failed("bob", "192.0.2.1", FORGET_S + 1)

    assert backoff.wait_s("ann", "192.0.2.1", 0.0) == 0.0
    assert backoff.wait_s("bob", "192.0.2.1", FORGET_S + 1) == 0.0


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    """At the limit the pair that failed longest ago goes."""
    backoff = Backoff(limit=3)
    for _ in range(FREE_FAILURES):
        for name in ("a", "b", "c"):
            backoff.failed(name, "192.0.2.1", 0.0)
    assert backoff.wait_s("a", "192.0.2.1", 0.0) > 0

    backoff.failed("d", "192.0.2.1", 0.0)

    assert len(backoff) == 3
    assert backoff.wait_s("a", "192.0.2.1", 0.0) == 0
    assert backoff.wait_s("b", "192.0.2.1", 0.0) > 0
