#!/bin/sh
# New weights into the program: export, stored case, [quality] ranges, description, figures, pictures. Takes minutes; run it
# in this folder as often as wanted. Nothing is replaced before all of it is made.
#
#   SCANS=brain MESHNETS=models DATA=data NO_HEADS="ct.nii.gz phantom/" VERSION="1" PYTHON=venv/bin/python \
#     PROGRAM=../../target/release/unet-vol ./release.sh run/state.pt
#
# PROGRAM is a build of this version with any weights. VERSION is the model's new one; the old one stays where it is not
# given. NO_HEADS names scans of no brain (no spaces in the names). After: a build, `cargo test brain`, which holds the
# bundled model to brain-mri.figures.json, and the text of brain-mri.md.
set -eu
state=$1
: "${PYTHON:=python3}" "${PROGRAM:=../../target/release/unet-vol}" "${VERSION:=}" "${NO_HEADS:=}"
: "${SCANS:?folder of oasis_t1.nii.gz and the other scans}" "${DATA:?folder of map_NN.npy}"
weights=../../src/model/weights
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT TERM
mkdir "$new/plain"
plain=$new/plain/brain-mri.onnx

step() {
  echo "--- $(date +%H:%M:%S) $1"
}

step "export"
"$PYTHON" export.py --model "$state" --out "$plain" --store int8 --golden "$new/brain-mri.golden" --data "$DATA"
step "quality ranges"
"$PYTHON" quality_ranges.py --program "$PROGRAM" --model "$plain" --spec "$weights/brain-mri.toml" --scans "$SCANS" \
  --data "$DATA" ${NO_HEADS:+--no-heads $NO_HEADS} --out "$new/brain-mri.toml"
if [ -n "$VERSION" ]; then
  sed -i "s|^version = .*|version = \"$VERSION\"|" "$new/brain-mri.toml"
fi
"$PROGRAM" models describe "$plain" --spec "$new/brain-mri.toml" -o "$new/brain-mri.onnx"
step "figures"
"$PYTHON" evaluate_program.py --program "$PROGRAM" --model "$new/brain-mri.onnx" --scans "$SCANS" --data "$DATA" \
  ${MESHNETS:+--meshnets "$MESHNETS"} ${NO_HEADS:+--no-heads $NO_HEADS} \
  --figures "$new/brain-mri.figures.json" >"$new/brain-mri.figures.md"
step "pictures"
"$PYTHON" failures.py --program "$PROGRAM" --model "$new/brain-mri.onnx" --out "$new/brain-mri.failures.png"
for name in onnx golden toml figures.json figures.md failures.png; do
  mv "$new/brain-mri.$name" "$weights/brain-mri.$name"
done
step "done"
ls -l "$weights"
grep -E "mean of|missed" "$weights/brain-mri.figures.md" || true
