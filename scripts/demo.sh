#!/bin/sh
# The main job on a sample: 2,000 English training sentences, three languages the model is never trained on.
set -eu
shared=${SHARED:-../shared}
[ -d "$shared/data/ud" ] && [ -d "$shared/models/mini" ] || {
    echo "make demo: needs UD treebanks in $shared/data/ud and an encoder in $shared/models/mini (set SHARED=FOLDER)" >&2
    exit 2
}
cat <<'TEXT'
polyhead demo: fine-tune a small multilingual encoder for part-of-speech tagging on 2,000 sentences of UD English-EWT, rank its
48 attention heads by gradients on English dev, find the most heads (at most 12, in at most five fine-tunings) that cost no more
than half a point there, prune them for good, and test on English, German, Dutch and Chinese. The encoder is a very small one:
its scores outside English are low, and one seed proves nothing about them.
TEXT
[ ! -f runs/demo/result.json ] || rm -r runs/demo # a finished demo starts over, a stopped one goes on
.venv/bin/polyhead run --model "$shared/models/mini" --task pos --data "$shared/data" --source ud/en_ewt \
    --target ud/en_ewt ud/de_gsd ud/nl_alpino ud/zh_gsdsimp --train-limit 2000 --max-pruned 12 --search screened \
    --objective within:0.5 --seed 42 --out runs/demo
