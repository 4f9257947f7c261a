"""The table of built-in systems: a new family is one file here and one line below."""

SYSTEMS = {
    "bart": "parabench.baselines.bart:build",
    "copy": "parabench.baselines.controls:build_copy",
    "finetuned": "parabench.baselines.causal:build_finetuned",
    "human": "parabench.baselines.controls:build_human",
    "ptuning": "parabench.baselines.causal:build_ptuning",
    "softprompt": "parabench.baselines.causal:build_softprompt",
    "zeroshot": "parabench.baselines.causal:build_zeroshot",
}
