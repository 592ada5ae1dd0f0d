"""The booking table and the faults, row by row."""

from __future__ import annotations

import msgspec
import pytest

from streamwatch.errors import Blame, Reason, Step
from streamwatch.model.look import Depth, Look, Measurement, State, StreamKind
from streamwatch.model.verdict import Attributed, Opinion, Verdict
from streamwatch.verdict import BOOKING, FAULTS, Policy, blame_of, faults_of, judge, state_of

POLICY = Policy()
AT_US = 1_764_000_000_000_000
UP, DOWN, UNKNOWN = State.UP, State.DOWN, State.UNKNOWN

# The table of the stable interface, written once more by hand: reason, reach, stream, picture, blame, probe's state.
TABLE = """
net.refused             down    down    -       camera   down
net.unreachable         down    down    -       camera   down
net.timeout             down    down    -       camera   down
net.reset               down    down    -       camera   down
net.name                down    down    -       camera   down
rtsp.auth               up      unknown -       access   down
rtsp.forbidden          up      unknown -       access   down
rtsp.not_found          up      unknown -       access   down
tls.untrusted           up      unknown -       access   down
rtsp.busy               up      unknown -       recorder unknown
rtsp.protocol           up      down    -       camera   down
rtsp.redirect           up      down    -       camera   down
rtsp.transport          up      down    -       camera   down
tls.failed              up      down    -       camera   down
media.no_video          up      down    -       camera   down
media.no_data           up      down    -       camera   down
media.no_keyframe       up      up      unknown camera   up
media.unsupported_codec up      up      unknown ours     up
media.encrypted         up      up      unknown ours     up
media.too_large         up      up      unknown ours     up
media.broken            up      up      down    camera   up
ours.path               void    void    void    ours     unknown
ours.overload           void    void    void    ours     unknown
ours.clock              void    void    void    ours     unknown
ours.worker             void    void    void    ours     unknown
ours.memory             void    void    void    ours     unknown
ours.limit              void    void    void    ours     unknown
ours.store              void    void    void    ours     unknown
"""
ROWS = [tuple(line.split()) for line in TABLE.strip().splitlines()]

GOOD = {"luma_mean": 110.0, "luma_std": 50.0, "dark_share": 0.1, "texture": 60.0, "sharpness": 0.5}
GOOD |= {"same_textured": 0.01, "textured_tiles": 300.0}


def look(
    reason: Reason | None = None,
    depth: Depth = Depth.PICTURE,
    reference_us: int | None = AT_US - 300_000_000,
    **measures: float | None,
) -> Look:
    """A look; by default a good picture. A measure given as None is one that could not be judged."""
    wanted = {} if reason is not None else GOOD | measures
    return Look(
        camera=7,
        depth=depth,
        stream=StreamKind.SUB,
        started_us=AT_US,
        duration_us=50_000,
        vantage="here",
        reason=reason,
        measures=tuple(
            Measurement(name, value) if value is not None else Measurement(name, 0.0, valid=False, why="no_detail")
            for name, value in wanted.items()
        ),
        reference_us=reference_us,
    )


def opinions(seen: Look, *present: str, blame: Blame | None = None, policy: Policy = POLICY) -> dict[str, Opinion]:
    verdict = judge(Attributed(seen, blame), policy, frozenset(present))
    assert (verdict.camera, verdict.at_us, verdict.void) == (7, AT_US, None)
    assert len({opinion.dimension for opinion in verdict.opinions}) == len(verdict.opinions)
    return {opinion.dimension: opinion for opinion in verdict.opinions}


def test_the_table_names_every_reason_once() -> None:
    """A new reason needs a row here and in the interface."""
    assert sorted(row[0] for row in ROWS) == sorted(Reason)
    assert set(BOOKING) == set(Reason)


@pytest.mark.parametrize(("name", "reach", "stream", "picture", "blame", "state"), ROWS)
def test_reason_is_booked_as_the_interface_says(
    name: str, reach: str, stream: str, picture: str, blame: str, state: str
) -> None:
    """States, blame, confirmations and `probe`'s own state, for a look that asked for everything."""
    reason = Reason(name)
    seen = look(reason)
    assert blame_of(reason) == blame
    assert state_of(seen) == state
    if reach == "void":
        assert judge(Attributed(seen), POLICY) == Verdict(7, AT_US, void=reason)
        return
    found = opinions(seen)
    for dimension, expected in (("reach", reach), ("stream", stream), ("picture", picture)):
        if expected == "-":
            assert dimension not in found
            continue
        opinion = found[dimension]
        assert opinion.state == expected
        assert opinion.confirmations == (2 if expected == "down" else 0)
        if expected == "up":
            assert (opinion.reason, opinion.blame) == (None, None)
        else:
            shown = "picture_broken" if reason is Reason.MEDIA_BROKEN else name
            assert (opinion.reason, opinion.blame) == (shown, blame)


@pytest.mark.parametrize("row", [row for row in ROWS if row[1] != "void"], ids=lambda row: row[0])
@pytest.mark.parametrize(
    ("depth", "asked"), [(Depth.REACH, {"reach"}), (Depth.STREAM, {"reach", "stream"}), (Depth.RECORD, set())]
)
def test_a_look_says_nothing_of_what_it_did_not_ask(row: tuple[str, ...], depth: Depth, asked: set[str]) -> None:
    """`reach` never extends `stream`, and neither says anything of the picture."""
    assert set(opinions(look(Reason(row[0]), depth))) == asked
    assert set(opinions(look(None, depth))) == asked


def test_a_good_picture_is_up_in_everything() -> None:
    """Reach, stream, picture, and each fault judged absent, at once."""
    found = opinions(look())
    assert set(found) == {"reach", "stream", "picture", *(f"fault.{name}" for name in FAULTS)}
    assert set(found.values()) == {Opinion(dimension, UP) for dimension in found}
    assert state_of(look()) is UP
    assert faults_of(look(), POLICY) == ()


def test_attributed_blame_replaces_the_camera_only_where_it_is_down() -> None:
    """A shared line takes the blame of a failure; a stale password stays access."""
    found = opinions(look(Reason.NET_TIMEOUT), blame=Blame.LINE)
    assert (found["stream"].blame, found["reach"].blame) == (Blame.LINE, Blame.LINE)
    assert opinions(look(Reason.RTSP_AUTH), blame=Blame.LINE)["stream"].blame is Blame.ACCESS


def test_void_look_says_nothing_whatever_it_saw() -> None:
    """Blame made it void: our clock, our path."""
    for seen in (look(), look(Reason.NET_TIMEOUT)):
        assert judge(Attributed(seen, void=Reason.OURS_PATH), POLICY) == Verdict(7, AT_US, void=Reason.OURS_PATH)


def test_broken_picture_is_a_fault_that_two_more_looks_confirm() -> None:
    """And it says nothing of blackout, blur or frozen; a whole picture clears it."""
    found = opinions(look(Reason.MEDIA_BROKEN))
    assert {name for name in found if name.startswith("fault.")} == {"fault.picture_broken"}
    assert found["fault.picture_broken"] == Opinion(
        "fault.picture_broken", DOWN, "picture_broken", Blame.CAMERA, confirmations=2
    )
    assert faults_of(look(Reason.MEDIA_BROKEN), POLICY) == ("picture_broken",)
    assert faults_of(look(Reason.MEDIA_NO_KEYFRAME), POLICY) == ()


def test_no_keyframe_is_a_broken_picture_once_three_looks_waited_as_long_as_the_camera_may_need() -> None:
    """Unknown as long as it was not; two more such looks confirm it, whatever the settings say of other failures."""
    waited = msgspec.structs.replace(look(Reason.MEDIA_NO_KEYFRAME), waited_out=True)
    for policy in (POLICY, Policy(confirmations=0)):
        found = opinions(waited, policy=policy)
        assert found["picture"] == Opinion("picture", DOWN, "picture_broken", Blame.CAMERA, confirmations=2)
        assert found["fault.picture_broken"].confirmations == 2
        assert (found["reach"].state, found["stream"].state) == (UP, UP)
    assert opinions(look(Reason.MEDIA_NO_KEYFRAME))["picture"].state is UNKNOWN
    assert set(opinions(msgspec.structs.replace(waited, depth=Depth.STREAM))) == {"reach", "stream"}


BLACK = {"luma_mean": 20.0, "dark_share": 1.0, "texture": 1.0, "sharpness": None, "same_textured": None}


def test_black_picture_is_blackout_and_rules_out_the_rest() -> None:
    """Neither blurred nor sharp, neither frozen nor live: no opinion, even where the numbers would say so."""
    found = opinions(look(**(BLACK | {"sharpness": 0.1, "sharpness_coarse": 0.1, "same_textured": 1.0})))
    assert {name for name in found if name.startswith("fault.")} == {"fault.blackout", "fault.picture_broken"}
    assert found["picture"] == Opinion("picture", DOWN, "blackout", Blame.CAMERA, confirmations=2)


@pytest.mark.parametrize("change", [{"luma_mean": 41.0}, {"dark_share": 0.97}, {"texture": 4.5}])
def test_blackout_needs_all_three_and_clears_more_reluctantly(change: dict[str, float]) -> None:
    """Just past one bar: not raised, but a standing blackout stands."""
    seen = look(**(BLACK | change))
    assert opinions(seen)["fault.blackout"].state is UP
    assert opinions(seen, "blackout")["fault.blackout"].state is DOWN
    far = look(**(BLACK | {"luma_mean": 60.0}))
    assert opinions(far, "blackout")["fault.blackout"].state is UP


@pytest.mark.parametrize(
    ("fine", "coarse", "raised", "standing"),
    [
        (0.45, None, UP, UP),
        (0.35, 0.20, UP, UP),
        (0.32, 0.20, UP, DOWN),
        (0.29, 0.27, DOWN, DOWN),
        (0.29, 0.35, DOWN, DOWN),
        (0.29, 0.37, UP, DOWN),
        (0.29, 0.40, UP, UP),  # an enlarged picture
        (0.27, 0.27, DOWN, DOWN),  # a small picture: there is no coarser one
        (0.29, 0.29, UP, DOWN),
        (0.31, 0.31, UP, UP),
        (0.29, None, None, None),  # soft, but why cannot be told
        (None, None, None, None),
    ],
)
def test_blur_asks_both_scales(
    fine: float | None, coarse: float | None, raised: State | None, standing: State | None
) -> None:
    """Below both bars to raise; above one of the laxer ones to clear; None is no opinion."""
    seen = look(sharpness=fine, sharpness_coarse=coarse)
    for present, expected in (((), raised), (("blur",), standing)):
        found = opinions(seen, *present)
        opinion = found.get("fault.blur")
        assert (opinion.state if opinion else None) is expected
        assert found["picture"].state is (DOWN if expected is DOWN else UP)
        if expected is DOWN:
            assert found["picture"] == Opinion("picture", DOWN, "blur", Blame.CAMERA, confirmations=2)


@pytest.mark.parametrize(
    ("same", "tiles", "lone", "raised", "standing", "confirmations"),
    [
        (0.00, 300, None, UP, UP, 0),
        (0.09, 300, 0, UP, UP, 0),
        (0.11, 300, 0, None, DOWN, 1),  # rate control may hide a frozen picture here: cannot be told
        (0.18, 300, 0, None, DOWN, 1),
        (0.20, 300, 0, DOWN, DOWN, 1),
        (0.20, 60, 0, None, DOWN, 1),  # of fewer tiles more have to be equal
        (0.36, 60, 0, DOWN, DOWN, 1),
        (0.73, 19, 0, None, DOWN, 1),  # what a live asphalt road reached behind a coarse quantiser
        (0.38, 19, 0, UP, UP, 0),
        (1.00, 13, 0, None, DOWN, 1),  # so few say nothing, whatever they do
        (0.90, 19, 0, DOWN, DOWN, 1),
        (0.90, 20, 0, DOWN, DOWN, 0),
        (0.90, 300, 1, DOWN, DOWN, 0),
        (0.90, 300, 2, None, DOWN, 1),  # noise here and there, or two more clocks
        (0.90, 300, 40, None, DOWN, 1),  # or rate control that took another quantiser: no proof of life
        (None, 3, None, None, None, 0),
    ],
)
def test_frozen_by_strength_of_evidence(
    same: float | None, tiles: float, lone: float | None,
    raised: State | None, standing: State | None, confirmations: int,
) -> None:  # fmt: skip
    """Strong evidence needs no further look; it reaches back to the look that was compared with."""
    seen = look(same_textured=same, textured_tiles=tiles, lone_changes=lone)
    for present, expected in (((), raised), (("frozen",), standing)):
        found = opinions(seen, *present)
        opinion = found.get("fault.frozen")
        assert (opinion.state if opinion else None) is expected
        if expected is DOWN:
            expected_opinion = Opinion("picture", DOWN, "frozen", Blame.CAMERA, confirmations, AT_US - 300_000_000)
            assert found["picture"] == expected_opinion


def test_first_look_cannot_be_frozen_and_is_intact() -> None:
    """Nothing to compare with: no opinion on frozen, the picture is up all the same."""
    found = opinions(look(same_textured=None, reference_us=None))
    assert "fault.frozen" not in found
    assert found["picture"].state is UP


def test_of_several_faults_the_surest_names_the_picture() -> None:
    """Frozen on strong evidence before blur, which waits for two more looks; all are named."""
    seen = look(same_textured=1.0, sharpness=0.1, sharpness_coarse=0.1)
    found = opinions(seen)
    assert found["picture"] == Opinion("picture", DOWN, "frozen", Blame.CAMERA, 0, AT_US - 300_000_000)
    assert found["fault.blur"].confirmations == 2
    assert faults_of(seen, POLICY) == ("frozen", "blur")
    weak = opinions(look(same_textured=0.6, sharpness=0.1, sharpness_coarse=0.1))
    assert (weak["picture"].reason, weak["picture"].confirmations) == ("frozen", 1)


@pytest.mark.parametrize("missing", ["luma_mean", "dark_share", "texture"])
def test_picture_without_exposure_is_unknown(missing: str) -> None:
    """Intact is said only of a picture that was judged; the blame is ours."""
    found = opinions(look(**{missing: None}))
    assert (found["picture"].state, found["picture"].blame) == (UNKNOWN, Blame.OURS)
    assert "fault.blackout" not in found
    assert found["stream"].state is UP


def test_confirmations_are_a_setting() -> None:
    """`policy.confirmations` counts for all that is not told by stillness."""
    policy = Policy(confirmations=5)
    assert opinions(look(Reason.NET_RESET), policy=policy)["stream"].confirmations == 5
    assert opinions(look(**BLACK), policy=policy)["picture"].confirmations == 5
    assert opinions(look(same_textured=1.0), policy=policy)["picture"].confirmations == 0


def test_faults_carry_the_numbers_of_the_enumeration() -> None:
    """As the interface lists them; all four break intact."""
    assert {name: row.vqd for name, row in FAULTS.items()} == {
        "blackout": None,
        "blur": 1,
        "frozen": 6,
        "picture_broken": 10,
    }
    assert all(row.breaks_intact for row in FAULTS.values())
    assert blame_of(None) is None


@pytest.mark.parametrize("reason", [Reason.OURS_WORKER, Reason.OURS_MEMORY, Reason.OURS_OVERLOAD])
def test_our_decoders_failure_does_not_take_back_that_the_stream_was_up(reason: Reason) -> None:
    """A whole keyframe had come: reach and stream are up, the picture was not judged; before that nothing is said."""
    failed = Look(
        camera=7, depth=Depth.PICTURE, stream=StreamKind.SUB, started_us=AT_US, duration_us=1, vantage="v",
        reason=reason, step=Step.DECODE, media_flowed=True,
    )  # fmt: skip

    assert judge(Attributed(failed, Blame.OURS, reason), POLICY) == Verdict(
        7, AT_US, (Opinion("reach", UP), Opinion("stream", UP))
    )
    early = msgspec.structs.replace(failed, step=Step.DESCRIBE, media_flowed=False)
    assert judge(Attributed(early, Blame.OURS, reason), POLICY) == Verdict(7, AT_US, void=reason)
    path = Attributed(failed, Blame.OURS, Reason.OURS_PATH)
    assert judge(path, POLICY) == Verdict(7, AT_US, void=Reason.OURS_PATH)
