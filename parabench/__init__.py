"""parabench: a paraphrase-generation benchmark that copying, wrong sentences and chance cannot
fool.
"""

from parabench.api import Results, load, paraphrase, run, score
from parabench.contracts import Example, UserError

__all__ = ["Example", "Results", "UserError", "load", "paraphrase", "run", "score"]
__version__ = "0.1.0"
