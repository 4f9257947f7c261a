"""The table of built-in systems: a new family is one file here and one line below."""

SYSTEMS = {
    "bart": "parabench.baselines.seq2seq:build_bart",
    "copy": "parabench.baselines.controls:build_copy",
    "drop-last": "parabench.baselines.sentinels:build_drop_last",
    "empty": "parabench.baselines.sentinels:build_empty",
    "endpoint": "parabench.baselines.endpoint:build_endpoint",
    "fewshot": "parabench.baselines.fewshot:build_fewshot",
    "finetuned": "parabench.baselines.causal:build_finetuned",
    "first-half": "parabench.baselines.sentinels:build_first_half",
    "human": "parabench.baselines.controls:build_human",
    "lora": "parabench.baselines.causal:build_lora",
    "near-copy": "parabench.baselines.sentinels:build_near_copy",
    "negated": "parabench.baselines.sentinels:build_negated",
    "other-sentence": "parabench.baselines.sentinels:build_other_sentence",
    "ptuning": "parabench.baselines.causal:build_ptuning",
    "seq2seq": "parabench.baselines.seq2seq:build_seq2seq",
    "shuffled": "parabench.baselines.sentinels:build_shuffled",
    "softprompt": "parabench.baselines.causal:build_softprompt",
    "source-twice": "parabench.baselines.sentinels:build_source_twice",
    "vllm": "parabench.baselines.vllm:build_vllm",
    "zeroshot": "parabench.baselines.causal:build_zeroshot",
}
