"""One wrong password of a recorder must not be tried for each of its cameras: accounts get locked."""

from __future__ import annotations

from streamwatch.lockout import ALONE_S, MAX_ACCOUNTS, MAX_OWN, TURN_S, Account, Lockout, account_of
from streamwatch.model.look import StreamKind
from streamwatch.model.report import Credentials, Ticket
from streamwatch.wire.url import Origin

ACCOUNT = Account(Origin("rtsp", "192.0.2.7", 554), "admin", 7)


def ticket(camera: int, url: str = "rtsp://192.0.2.7/1", password: str | None = "secret") -> Ticket:
    return Ticket(
        camera=camera,
        url=url,
        stream=StreamKind.MAIN,
        offset_ms=0,
        deadline_ms=20_000,
        host="192.0.2.7",
        credentials=None if password is None else Credentials("admin", password),
    )


def test_cameras_of_one_device_share_an_account() -> None:
    """The path does not matter, the port does: behind a router every port is another device."""
    assert account_of(ticket(1)) == account_of(ticket(2, "rtsp://192.0.2.7:554/2"))
    assert account_of(ticket(1)) != account_of(ticket(2, "rtsp://192.0.2.7:1554/2"))
    assert account_of(ticket(1, password=None)) is None


def test_an_account_holds_no_password() -> None:
    """Whoever prints or dumps it sees a salted number."""
    assert "secret" not in repr(account_of(ticket(1)))


def test_a_corrected_password_is_tried_at_once() -> None:
    """It is another account, for every camera."""
    lockout = Lockout()
    wrong, right = account_of(ticket(1)), account_of(ticket(2, password="better"))
    assert wrong is not None
    lockout.refused(wrong, 1, 0.0)
    assert lockout.withholds(wrong, 2, 1.0)
    assert not lockout.withholds(right, 2, 1.0)


def test_only_the_refused_camera_asks_on() -> None:
    """It is the one that finds out that the device was put right; the planner makes it ask ever more rarely."""
    lockout = Lockout()
    account = Account(Origin("rtsp", "192.0.2.7", 554), "admin", 7)
    assert not lockout.is_proven(account)
    lockout.refused(account, 1, 0.0)
    lockout.refused(account, 2, 0.5)  # it was under way already
    assert not lockout.withholds(account, 1, 1.0)
    assert lockout.withholds(account, 2, 1.0)
    assert not lockout.is_proven(account)
    lockout.let_in(account, 1)
    assert not lockout.withholds(account, 2, 1.0)
    assert lockout.is_proven(account)


def test_another_camera_takes_over_from_one_that_is_gone() -> None:
    """After half an hour without a word of the one; and it alone then."""
    lockout = Lockout()
    account = Account(Origin("rtsp", "192.0.2.7", 554), "admin", 7)
    lockout.refused(account, 1, 0.0)
    assert lockout.withholds(account, 2, ALONE_S - 1)
    assert not lockout.withholds(account, 2, ALONE_S)
    lockout.refused(account, 2, ALONE_S)
    assert lockout.withholds(account, 1, ALONE_S + 1)
    assert lockout.withholds(account, 3, ALONE_S + 1)


def test_the_refused_camera_keeps_its_place_as_long_as_it_asks() -> None:
    """Each of its refusals holds the others back for another half hour."""
    lockout = Lockout()
    account = Account(Origin("rtsp", "192.0.2.7", 554), "admin", 7)
    for now in (0.0, ALONE_S - 1, 2 * ALONE_S - 2):
        lockout.refused(account, 1, now)
        assert lockout.withholds(account, 2, now + ALONE_S - 1)


def test_a_device_that_asks_for_no_password_is_not_doubted() -> None:
    """Its cameras may be looked at all at once; but a camera that is open says nothing of a password refused before."""
    lockout = Lockout()
    lockout.not_asked(ACCOUNT)
    assert lockout.is_proven(ACCOUNT)
    refusing = ACCOUNT._replace(password=8)
    lockout.refused(refusing, 1, 0.0)
    lockout.not_asked(refusing)
    assert lockout.withholds(refusing, 2, 1.0)


def test_a_channel_that_is_refused_by_itself_blinds_no_other() -> None:
    """401 for want of a permission: as others are let in, its refusals say nothing of the password, however many."""
    lockout = Lockout()
    lockout.let_in(ACCOUNT, 2)
    for now in range(0, 9000, 300):
        lockout.refused(ACCOUNT, 1, now)
        assert not lockout.withholds(ACCOUNT, 2, now + 1)
        lockout.let_in(ACCOUNT, 2)
        assert lockout.is_proven(ACCOUNT)
    lockout.let_in(ACCOUNT, 1)
    lockout.refused(ACCOUNT, 1, 9000.0)
    assert not lockout.is_proven(ACCOUNT), "once let in, it counts again"


def test_a_password_that_is_changed_at_the_device_is_tried_for_two_cameras() -> None:
    """The first refusal is doubt, in which few ask at once; with a second one all wait for half an hour."""
    lockout = Lockout()
    for camera in range(1, 33):
        lockout.let_in(ACCOUNT, camera)
    lockout.refused(ACCOUNT, 1, 0.0)
    assert not lockout.is_proven(ACCOUNT)
    lockout.refused(ACCOUNT, 1, 1.0)
    assert not lockout.withholds(ACCOUNT, 3, 2.0), "the same camera again is no second opinion"
    lockout.refused(ACCOUNT, 2, 3.0)
    assert all(lockout.withholds(ACCOUNT, camera, ALONE_S) for camera in range(1, 33))
    assert not lockout.withholds(ACCOUNT, 5, ALONE_S + 3)
    lockout.refused(ACCOUNT, 5, ALONE_S + 3)
    assert not lockout.withholds(ACCOUNT, 5, ALONE_S + 4)
    assert lockout.withholds(ACCOUNT, 1, ALONE_S + 4)


def test_two_channels_that_are_refused_by_themselves_blind_the_others_once() -> None:
    """They look like a changed password, until another camera's turn comes; then both are known."""
    lockout = Lockout()
    lockout.let_in(ACCOUNT, 3)
    lockout.refused(ACCOUNT, 1, 0.0)
    lockout.refused(ACCOUNT, 2, 1.0)
    assert lockout.withholds(ACCOUNT, 3, 2.0)
    assert not lockout.withholds(ACCOUNT, 3, ALONE_S + 1)
    lockout.let_in(ACCOUNT, 3)
    for camera in (1, 2):
        lockout.refused(ACCOUNT, camera, 3.0)
    assert lockout.is_proven(ACCOUNT)


def test_another_camera_has_its_turn_although_the_refused_one_asks_on() -> None:
    """It may be the only one that is refused; if not, that one goes on in its place, and the others wait again."""
    lockout = Lockout()
    for now in range(0, int(TURN_S), 900):
        lockout.refused(ACCOUNT, 1, now)
        assert lockout.withholds(ACCOUNT, 2, now + 1)
    assert not lockout.withholds(ACCOUNT, 2, TURN_S)
    lockout.refused(ACCOUNT, 2, TURN_S)
    assert lockout.withholds(ACCOUNT, 1, TURN_S + 1)
    assert lockout.withholds(ACCOUNT, 3, TURN_S + 1)


def test_cameras_of_an_account_are_bounded() -> None:
    """Beyond the cap a camera's own refusals raise doubt each time, and nothing grows."""
    lockout = Lockout()
    lockout.let_in(ACCOUNT, 0)
    for camera in range(1, MAX_OWN + 1):
        lockout.refused(ACCOUNT, camera, 0.0)
        lockout.let_in(ACCOUNT, 0)
        lockout.refused(ACCOUNT, camera, 0.0)
        assert lockout.is_proven(ACCOUNT)
    lockout.refused(ACCOUNT, MAX_OWN + 1, 0.0)
    lockout.let_in(ACCOUNT, 0)
    lockout.refused(ACCOUNT, MAX_OWN + 1, 0.0)
    assert not lockout.is_proven(ACCOUNT)


def test_accounts_are_bounded() -> None:
    """Those not heard of for the longest time are forgotten first."""
    lockout = Lockout()
    origin = Origin("rtsp", "192.0.2.7", 554)
    for number in range(MAX_ACCOUNTS + 1):
        lockout.refused(Account(origin, "admin", number), 1, 0.0)
    assert not lockout.withholds(Account(origin, "admin", 0), 2, 1.0)
    assert lockout.withholds(Account(origin, "admin", 1), 2, 1.0)
