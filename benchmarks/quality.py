"""How well are a picture's faults told from healthy ones? Natural pictures with graded defects and without, through
the product's decoder, measures and thresholds; beside the rules in use today on the same frames."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import quality_cost
from benchmarks.measure import Result
from benchmarks.quality_figures import FILM_FOCUS, HEALTHY, ROWS, Observation, measured, tally, versus
from benchmarks.quality_frozen import HANGS, QPS, RATES, SIGMAS, Stream, Watched, watch
from benchmarks.quality_looks import Eye
from benchmarks.quality_peers import ALONE, FILTERS, RULES, Called, Filters, missing
from benchmarks.quality_render import Task, rendered
from benchmarks.quality_scenes import CIF, Kind, Plane, Scene, Shot, natural, shot_of, shots, simulated
from benchmarks.quality_table import markdown

__all__ = ["FULL", "QUICK", "Plan", "markdown", "run"]

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Plan:
    """`healthy` pictures of each clip as they came, `damaged` of them in each grade of each defect."""

    healthy: int = 40
    damaged: int = 4
    qps: tuple[int, ...] = (24, 29, 34)  # a camera set to a high, an ordinary and a low rate
    damaged_qps: tuple[int, ...] = (29, 34)
    widths: tuple[int, ...] = (640, 960, 1280)  # of photographs; clips have the first
    stills: int = 10
    still_looks: int = 3_001  # at each; the first has nothing to be compared with
    hang_looks: int = 100  # at each of the stills in each way to hang
    rated_stills: int = 10  # of the stills, so many under rate control
    rate_looks: int = 20  # at each of them, in each way; each costs 60 pictures
    rate_every: int = 5  # groups of pictures from look to look
    cost_runs: int = 7
    sized: int = 8  # photographs at most, at every size
    workers: int = 2  # processes at most: as many cores as the smallest machine that it has to be quick on
    full: bool = True
    data: Path | None = None


FULL = Plan()
QUICK = Plan(
    healthy=12, damaged=1, qps=(29,), damaged_qps=(29,), widths=(640, 1280), still_looks=301, hang_looks=8,
    rated_stills=3, rate_looks=4, rate_every=1, cost_runs=3, sized=3, full=False,
)  # fmt: skip


def run(plan: Plan, cache: Path) -> Result:
    """Costs first, alone; then every scene and every still stream, on as many processes as there are cores."""
    scenes, notes = _scenes(plan.data)
    simulates = scenes[0].file is None
    clips = [scene for scene in scenes if scene.kind is Kind.CLIP]
    photographs = [scene for scene in scenes if scene.kind is not Kind.CLIP]
    fixture = {
        "pictures": "simulated" if simulates else "natural", "clips": len(clips), "photographs": len(photographs),
        "healthy": plan.healthy, "damaged": plan.damaged, "qps": "/".join(map(str, plan.qps)),
        "still_looks": plan.stills * (plan.still_looks - 1), "full": plan.full and not simulates,
    }  # fmt: skip
    result = Result("quality", fixture, notes=[*notes, *missing(), *NOTES])
    quality_cost.cost(result, scenes, plan.cost_runs)
    tasks = list(_tasks(scenes, plan, cache))
    streams = list(_streams([scene for scene in scenes if scene.kind is not Kind.BLURRED], plan))
    with _mapping(min(plan.workers, len(os.sched_getaffinity(0)))) as each:
        watching = each(watch, streams)
        looking = each(observe, tasks)
        sizing = each(quality_cost.sizes, photographs[: plan.sized])
        watched, found = list(watching), list(looking)
        for spreads in sizing:
            for name, value in spreads.items():
                result.samples.add(name, value)
    seen = [one for task, some in zip(tasks, found, strict=True) if task.scene.kind is not Kind.BLURRED for one in some]
    seen += [one for stream in watched for one in stream.observations]
    tally(result, seen)
    _frozen(result, streams, watched)
    _photographs(result, tasks, found)
    return result


@contextmanager
def _mapping(workers: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """`map`, on so many processes; in this one where that is one."""
    if workers < 2:
        yield map
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
        yield pool.map


def _scenes(data: Path | None) -> tuple[list[Scene], list[str]]:
    """Of the folder; of the one beside the project that tests use where none is named, if it is there."""
    beside = Path(os.environ.get("STREAMWATCH_SHARED", ROOT.parent / "shared")) / "data"
    folder = data or (beside if beside.is_dir() else None)
    if folder is not None:
        return natural(folder), []
    said = (
        f"no natural pictures: none named by --data, and none in {beside}. These figures are of the simulator's "
        "painted scenes; they say little about cameras, and nothing about photographs really blurred."
    )
    return simulated(), [said]


def _tasks(scenes: Sequence[Scene], plan: Plan, cache: Path) -> Iterator[Task]:
    """Defects are rendered over healthy pictures, at the first width only."""
    for scene in scenes:
        for width in plan.widths if scene.kind is not Kind.CLIP else plan.widths[:1]:
            damaged = 0 if scene.kind is Kind.BLURRED or width != plan.widths[0] else plan.damaged
            yield Task(scene, width, cache, plan.healthy, plan.qps, damaged, plan.damaged_qps)


# One scene


def observe(task: Task) -> list[Observation]:
    """What is said of every picture of a scene; frozen only of its pictures as they came, in their order."""
    eye, found = Eye(), []
    memory: dict[int, bytes | None] = {}
    filters: dict[int | None, Filters] = {}  # of the pictures at each quantiser, and of those that stand alone
    for kept in rendered(task):
        alone = kept.series is None
        seen = eye.look(kept.unit, None if alone else memory.get(kept.qp), kept.series or 0)
        peers: dict[tuple[str, str], Called] = {}
        if seen.i420 is not None:
            shot = shot_of(seen.i420)
            height, width = shot.y.shape
            peers = {(rule.fault, rule.name): rule.call(shot.y) for rule in RULES}
            stream = None if alone else kept.qp
            if stream not in filters:
                filters[stream] = Filters(width, height, ALONE if alone else FILTERS)
            if alone:
                filters[stream].call(_white(seen.i420, height), height)  # ends whatever began
            peers |= filters[stream].call(seen.i420, height)
        if not alone:
            memory[kept.qp] = seen.memory
        found.append(
            Observation(
                task.scene.name, kept.grade, kept.fault, kept.held, seen.faults, seen.scores, seen.measures, peers,
                second=bool(kept.series),
            )
        )  # fmt: skip
    return found


def _white(i420: Plane, height: int) -> Plane:
    white = np.full_like(i420, 128)
    white[:height] = 235
    return white


# What needs more than one picture, and photographs


def _streams(scenes: Sequence[Scene], plan: Plan) -> Iterator[Stream]:
    """Still scenes at CIF: the first pictures of all scenes, then later ones of the clips."""
    found: list[tuple[str, Shot]] = []
    rounds = [shots(scene, 1 if scene.kind is not Kind.CLIP else plan.stills, CIF) for scene in scenes]
    for number in range(plan.stills):
        found += [(scene.name, some[number]) for scene, some in zip(scenes, rounds, strict=True) if number < len(some)]
    for number, (name, shot) in enumerate(found[: plan.stills]):
        sigma, qp = SIGMAS[number % len(SIGMAS)], QPS[number % len(QPS)]
        yield Stream(name, shot, plan.still_looks, sigma, qp, seed=number)
        rated = RATES if number < plan.rated_stills else {}
        for rate in rated:
            yield Stream(name, shot, plan.rate_looks, sigma, qp, None, rate, plan.rate_every, number)
        for hang in HANGS:
            if hang not in RATES or hang in rated:
                looks = plan.rate_looks if hang in RATES else plan.hang_looks
                yield Stream(name, shot, looks, sigma, qp, hang, None, plan.rate_every, number)


def _frozen(result: Result, streams: Sequence[Stream], watched: Sequence[Watched]) -> None:
    """Looks at still scenes that live, those of them that suspect one frozen, and those whose followers confirm it."""
    alive = [seen for stream, seen in zip(streams, watched, strict=True) if stream.hang is None]
    result.samples.add("frozen.live_looks", sum(len(seen.observations) for seen in alive))
    result.samples.add("frozen.false_suspected", sum(seen.said for seen in alive))
    result.samples.add("frozen.false_confirmed", sum(seen.confirmed for seen in alive))
    second = [
        "frozen" in seen.observations[0].faults
        for stream, seen in zip(streams, watched, strict=True)
        if stream.hang is not None and HANGS[stream.hang]
    ]
    result.samples.add("frozen.recall_by_second_look", sum(second) / len(second))


def _photographs(result: Result, tasks: Sequence[Task], found: Sequence[Sequence[Observation]]) -> None:
    """Photographs really blurred against the healthy pictures of all clips, at all widths together and apart."""
    pairs = list(zip(tasks, found, strict=True))
    good = [
        one for task, some in pairs if task.scene.kind is Kind.CLIP
        for one in some if one.grade == HEALTHY
    ]  # fmt: skip
    blurred = [(task.width, one) for task, some in pairs if task.scene.kind is Kind.BLURRED for one in some]
    if not blurred or not good:
        result.notes.append("auc.blur_photographs: needs clips, and photographs that are known to be blurred.")
        return
    versus(result, "blur_photographs", [one for _, one in blurred], good, "blur")
    row = next(row for row in ROWS if row.fault == "blur")
    measured(result, "blur_photographs", row, [one for _, one in blurred], good)
    soft = [one for some in found for one in some if one.grade == FILM_FOCUS]
    if soft:
        versus(result, "blur_photographs_all", [one for _, one in blurred], [*good, *soft], "blur")
    for width in sorted({width for width, _ in blurred}):
        versus(result, f"blur_photographs_{width}", [one for at, one in blurred if at == width], good, "blur")


NOTES = [
    "AUC: the chance that a picture with the fault scores worse than one without, pooled over all scenes with one "
    "threshold, each scene weighing the same; one that cannot be judged ties with all. recall and false_per_1000: of "
    "looks, at the thresholds that ship, one look alone, without baseline, hysteresis or confirmation.",
    "Pictures are encoded by x264 at constant quantisers, decoded by the product's decoder, scored and judged by the "
    "product. Peers see the same decoded frames: variance of the Laplacian below 100, mean luma below 40 (60, above "
    "200), FFmpeg's blackdetect and freezedetect with their own thresholds, blurdetect, which has none.",
    "auc_of and recall_of are by grade; what is milder than the bars of auc.<fault> is only there. …_again is damage "
    "that a recorder painted over and encoded anew: nothing in its stream is wrong.",
    "night, infrared, fog, rain, snowfall, flare, web are rendered over natural pictures by day: a hint, no proof.",
    "frozen: pictures that hang against natural clips and still scenes with fresh sensor noise (CIF, a look a minute, "
    "constant quantisers 24 to 38). Held to the bar are repeated bytes and a held picture encoded anew, with a running "
    "clock and without; under rate control (crf, abr) two looks cannot tell. frozen.live_looks also counts living "
    "scenes under rate control. Clips smaller than CIF are enlarged to it: blur found in them is no proof.",
    "cannot judge: shares of the bad and of the healthy pictures. auc_judged leaves those out; auc_of_measure is of a "
    "measure itself, without what the fault's rule makes of it.",
    "film_focus: seconds of a film whose maker let them be out of focus, told by eye; neither healthy nor a camera's "
    "defect, and only in blur_photographs_all counted as healthy.",
    "loso: a measure's bar set at its worst healthy picture of all other scenes; what that would miss and call falsely "
    "in the scene left out, averaged over scenes.",
    "false_per_1000.baseline and false_confirmed_per_1000_camera_days are not measured: there is no baseline yet.",
]
