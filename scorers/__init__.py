"""The table of built-in scorers: a new one is one file here and one line below."""

SCORERS = {
    "answers": "parabench.scorers.answers:build_answers",
    "bartscore": "parabench.scorers.bartscore:build",
    "bertibleu": "parabench.scorers.bertibleu:build",
    "bertscore": "parabench.scorers.bertscore:build",
    "bleu": "parabench.scorers.bleu:build",
    "chrf": "parabench.scorers.chrf:build",
    "divergence": "parabench.scorers.divergence:build",
    "evaluate": "parabench.scorers.evaluate:build",
    "fluency": "parabench.scorers.fluency:build",
    "ibleu": "parabench.scorers.ibleu:build",
    "intent-slot": "parabench.scorers.intentslot:build",
    "labels": "parabench.scorers.answers:build_labels",
    "nli": "parabench.scorers.nli:build",
    "paraphrase-opt": "parabench.scorers.paraphraseopt:build",
    "parascore": "parabench.scorers.parascore:build",
    "rouge": "parabench.scorers.rouge:build",
    "sari": "parabench.scorers.sari:build",
    "selfbleu": "parabench.scorers.selfbleu:build",
    "side": "parabench.scorers.diagnostics:build",
    "ter": "parabench.scorers.ter:build",
}
