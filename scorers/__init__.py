"""The table of built-in scorers: a new one is one file here and one line below."""

SCORERS = {
    "bartscore": "parabench.scorers.bartscore:build",
    "bertscore": "parabench.scorers.bertscore:build",
    "bleu": "parabench.scorers.bleu:build",
    "chrf": "parabench.scorers.chrf:build",
    "divergence": "parabench.scorers.divergence:build",
    "ibleu": "parabench.scorers.ibleu:build",
    "rouge": "parabench.scorers.rouge:build",
    "sari": "parabench.scorers.sari:build",
    "ter": "parabench.scorers.ter:build",
}
