#!/bin/sh
# The main job on a real encoder: UD names a folder of treebanks (UD_English-EWT, ...), as a release of Universal Dependencies has it.
set -eu
[ -n "${UD:-}" ] || { echo "say where the treebanks are: make real UD=/path/to/ud-treebanks-v2.x" >&2; exit 2; }
ls "$UD"/UD_English-EWT/en_ewt-ud-train.conllu* >/dev/null 2>&1 || {
    echo "$UD: holds no UD_English-EWT with en_ewt-ud-train.conllu; give the folder that holds the treebanks' folders" >&2
    exit 2
}
targets=
for treebank in de_gsd:UD_German-GSD nl_alpino:UD_Dutch-Alpino ar_padt:UD_Arabic-PADT he_htb:UD_Hebrew-HTB \
    zh_gsdsimp:UD_Chinese-GSDSimp ja_gsd:UD_Japanese-GSD ur_udtb:UD_Urdu-UDTB fa_seraji:UD_Persian-Seraji; do
    ls "$UD/${treebank#*:}/${treebank%:*}"-ud-test.* >/dev/null 2>&1 && targets="$targets ud/${treebank%:*}"
done
[ -n "$targets" ] || { echo "$UD: holds no test file of German, Dutch, Arabic, Hebrew, Chinese, Japanese, Urdu or Persian" >&2; exit 2; }
[ -f runs/e5/config.json ] || .venv/bin/python recipes/real_encoder.py runs/e5
mkdir -p runs/real.data
ln -sfn "$(cd "$UD" && pwd)" runs/real.data/ud
# shellcheck disable=SC2086
.venv/bin/polyhead run --model runs/e5 --task pos --source ud/en_ewt --target $targets --data runs/real.data \
    --train-limit 1500 --max-pruned 24 --objective within:0.5 --out runs/real
