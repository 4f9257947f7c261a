"""The table of built-in systems: a new family is one file here and one line below."""

SYSTEMS = {
    "bart": "parabench.baselines.bart:build",
    "copy": "parabench.baselines.controls:build_copy",
    "finetuned": "parabench.baselines.opt:build_finetuned",
    "human": "parabench.baselines.controls:build_human",
    "softprompt": "parabench.baselines.softprompt:build",
    "zeroshot": "parabench.baselines.opt:build_zeroshot",
}
