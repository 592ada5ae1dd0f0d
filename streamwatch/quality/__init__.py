"""Stage 5: a luma plane -> Measurements. Pure numpy; every measure may answer "cannot judge"; nothing here knows a
threshold of a fault: `verdict.py` does.

`score(y, previous, at_us)` takes all measures of one picture; `MEASURES` names them with unit, range and source.
"""

from streamwatch.quality.score import Scored, score
from streamwatch.quality.table import MEASURES, Measure

__all__ = ["MEASURES", "Measure", "Scored", "score"]
