"""The table of built-in scorers: a new one is one file here and one line below."""

SCORERS = {
    "bartscore": "parabench.scorers.bartscore:build",
    "bertscore": "parabench.scorers.bertscore:build",
    "bleu": "parabench.scorers.bleu:build",
    "ibleu": "parabench.scorers.ibleu:build",
    "rouge": "parabench.scorers.rouge:build",
}
