"""`python -m streamwatch.simulator`: the farm alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from streamwatch.simulator.command import serve
from streamwatch.simulator.farm import simulate
from streamwatch.simulator.plan import FarmPlan, sizes
from streamwatch.simulator.profile import Profile


def main() -> int:
    """Reads the arguments and runs the farm until SIGTERM. Exit 0, 64 for wrong usage, 78 where the machine cannot."""
    parser = argparse.ArgumentParser(prog="python -m streamwatch.simulator", description=__doc__)
    default = FarmPlan()
    parser.add_argument("--cameras", type=int, default=default.cameras, metavar="N")
    parser.add_argument("--villages", type=int, default=default.villages, metavar="N")
    parser.add_argument("--seed", type=int, default=default.seed, metavar="N")
    parser.add_argument(
        "--bind", default=default.bind, metavar="CIDR", help="a camera an address (default %(default)s)"
    )
    parser.add_argument("--port", type=int, default=default.port, metavar="P", help="the same on all; 0 picks one")
    parser.add_argument("--control", default=default.control, metavar="HOST:PORT")
    parser.add_argument("--inventory", type=Path, metavar="DIR", help="write the lists that import takes there")
    parser.add_argument("--log", type=Path, metavar="FILE", help="one JSON line a change")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep rendered clips there")
    parser.add_argument(
        "--churn", type=float, default=default.fault_rate, metavar="SHARE", help="faults come and go by themselves"
    )
    parser.add_argument("--hold", type=float, default=default.fault_hold_s, metavar="S", help="for about so long each")
    parser.add_argument("--installed-days-ago", type=int, metavar="N", help="what the inventory says of every camera")
    parser.add_argument("--udp", type=float, default=default.udp, metavar="SHARE", help="serve datagrams only")
    parser.add_argument("--both", type=float, default=default.both, metavar="SHARE", help="serve either way")
    parser.add_argument("--smart", type=float, default=default.smart, metavar="SHARE", help="key frames are rare")
    parser.add_argument("--smart-interval", type=int, metavar="S", help="what the inventory says of such cameras")
    parser.add_argument("--hostile", type=float, default=default.hostile, metavar="SHARE", help="are hostile")
    parser.add_argument("--sizes", default=",".join(default.sizes), metavar="LIST", help="e.g. 360p,720p,1080p")
    parser.add_argument("--fps", type=int, default=default.profile.fps, metavar="N", help="pictures a second")
    parser.add_argument("--gop", type=int, default=default.profile.gop_frames, metavar="N", help="a key frame every N")
    parser.add_argument("--qp", type=int, default=default.profile.qp, metavar="N", help="quantiser: less is larger")
    parser.add_argument("--kbps", type=int, metavar="N", help="a rate instead of a quantiser (that of 720p)")
    paced = argparse.BooleanOptionalAction
    parser.add_argument("--paced", action=paced, default=default.paced, help="a packet a write, else a frame a write")
    parser.add_argument("--random-start", action="store_true", help="who comes waits for the next key frame")
    parser.add_argument(
        "--latency", type=float, default=0.0, metavar="S", help="each answers later by its own time up to S"
    )
    parser.add_argument("--loss", type=float, default=0.0, metavar="SHARE", help="of all packets, they never arrive")
    parser.add_argument(
        "--wide", action=argparse.BooleanOptionalAction, help="one listener for all; none of them can be refused then"
    )
    given = parser.parse_args()

    async def farm() -> None:
        plan = FarmPlan(
            villages=given.villages, cameras=given.cameras, seed=given.seed, bind=given.bind, port=given.port,
            control=given.control, cache_dir=given.cache, log=given.log, fault_rate=given.churn,
            fault_hold_s=given.hold, installed_days_ago=given.installed_days_ago,
            udp=given.udp, both=given.both, smart=given.smart,
            smart_interval_s=given.smart_interval,
            hostile=given.hostile,
            sizes=sizes(given.sizes), profile=Profile(given.fps, given.gop, given.qp, given.kbps),
            paced=given.paced, random_start=given.random_start, latency_s=given.latency, loss=given.loss,
            wide=given.wide,
        )  # fmt: skip
        await simulate(plan, given.inventory)

    return serve(farm)


if __name__ == "__main__":
    sys.exit(main())
