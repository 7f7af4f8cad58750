#!/bin/sh
# New weights into the program: export -> describe -> build -> figures. Run in this folder; takes minutes.
#
#   SCANS=brain MESHNETS=models DATA=data PYTHON=venv/bin/python ./release.sh run/state.pt
#
# Then: cargo test (tests/it/brain.rs holds the bundled model to brain-mri.figures.json), and write version, table and
# text of brain-mri.md. Where scores moved, measure the ranges again first: quality_ranges.py prints the [quality] section
# of brain-mri.toml from manifests of good scans.
set -eu
state=$1
: "${PYTHON:=python3}" "${SCANS:?folder of oasis_t1.nii.gz and the other scans}" "${DATA:?folder of map_NN.npy}"
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
weights=$root/src/model/weights
program="cargo run --quiet --offline --manifest-path $root/Cargo.toml --bin unet-vol --"
cd "$here"

"$PYTHON" export.py --model "$state" --out "$weights/brain-mri.plain.onnx" --fp16 \
  --golden "$weights/brain-mri.golden" --data "$DATA"
$program models describe "$weights/brain-mri.plain.onnx" --spec "$weights/brain-mri.toml" \
  -o "$weights/brain-mri.onnx" --overwrite
rm "$weights/brain-mri.plain.onnx"
cargo build --offline --manifest-path "$root/Cargo.toml" --bin unet-vol
$program models verify brain-mri
"$PYTHON" evaluate_program.py --program "$root/target/debug/unet-vol" --scans "$SCANS" --data "$DATA" \
  ${MESHNETS:+--meshnets "$MESHNETS"} --figures "$weights/brain-mri.figures.json"
