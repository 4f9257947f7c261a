"""parabench: a paraphrase-generation benchmark that copying, wrong sentences and chance cannot fool."""

from parabench.contracts import Example, UserError
from parabench.library import Results, load, paraphrase, run, score

__all__ = ["Example", "Results", "UserError", "load", "paraphrase", "run", "score"]
__version__ = "0.1.0"
