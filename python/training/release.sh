#!/bin/sh
# New weights into the program: export, description, golden file, figures, pictures. Run in this folder; takes minutes.
#
#   SCANS=brain MESHNETS=models DATA=data PYTHON=venv/bin/python PROGRAM=../../target/debug/unet-vol ./release.sh run/state.pt
#
# PROGRAM is a build of this version with any weights; NO_HEADS may name scans of no brain. Before: `version` in
# brain-mri.toml and, where scores have moved, its [quality] section (quality_ranges.py prints it from manifests of good
# scans). After: `cargo test brain`, which holds the bundled model to brain-mri.figures.json, and the text of brain-mri.md.
set -eu
state=$1
: "${PYTHON:=python3}" "${PROGRAM:=../../target/debug/unet-vol}"
: "${SCANS:?folder of oasis_t1.nii.gz and the other scans}" "${DATA:?folder of map_NN.npy}"
weights=../../src/model/weights
plain=$(mktemp -d)/brain-mri.onnx

"$PYTHON" export.py --model "$state" --out "$plain" --fp16 --golden "$weights/brain-mri.golden" --data "$DATA"
"$PROGRAM" models describe "$plain" --spec "$weights/brain-mri.toml" -o "$weights/brain-mri.onnx" --overwrite
"$PYTHON" evaluate_program.py --program "$PROGRAM" --model "$weights/brain-mri.onnx" --scans "$SCANS" --data "$DATA" \
  ${MESHNETS:+--meshnets "$MESHNETS"} ${NO_HEADS:+--no-heads $NO_HEADS} \
  --figures "$weights/brain-mri.figures.json" >"$weights/brain-mri.figures.md"
"$PYTHON" failures.py --program "$PROGRAM" --model "$weights/brain-mri.onnx" --out "$weights/brain-mri.failures.png"
