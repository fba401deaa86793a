#!/bin/sh
# A whole run with only the package: generated phrases and the small encoder that comes with it.
set -eu
cat <<'TEXT'
polyhead demo: fine-tune a very small encoder for part-of-speech tagging on generated English phrases, rank its 32 attention heads by
gradients on English dev, find the most heads (at most 12) that cost at most half a point there, prune them, and test in nine languages,
eight of them unseen. Three seeds, each with at most five fine-tunings. Text and encoder come with the package: the figures
show how the tool works and are not evidence about a language.
TEXT
[ ! -f runs/demo/result.json ] || rm -r runs/demo # a finished demo starts over, a stopped one continues
.venv/bin/polyhead run --model polyhead/tiny --task pos --source phrases/en \
    --target phrases/en phrases/de phrases/nl phrases/es phrases/ar phrases/he phrases/zh phrases/ja phrases/tr \
    --max-pruned 12 --search screened --objective within:0.5 --seeds 42 43 44 --out runs/demo
