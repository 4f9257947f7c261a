"""parabench: a paraphrase-generation benchmark that copying, wrong sentences and chance cannot fool."""

__version__ = "0.1.0"
