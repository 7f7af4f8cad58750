# The two commands of the README, and the developer's checks. Each target shows the plain commands it runs.
CARGO ?= cargo
PYTHON ?= python3
VENV := target/venv
OUT ?= target/demo
UNET_VOL := target/release/unet-vol

.PHONY: demo test test-all check miri bench venv

demo:
	$(CARGO) build --release --locked
	mkdir -p $(OUT)
	$(UNET_VOL) segment testdata/synthetic_head.nii.gz -o $(OUT)/synthetic_head_seg.nii.gz \
	  --stats $(OUT)/synthetic_head_stats.csv --preview $(OUT)/synthetic_head.png \
	  --manifest $(OUT)/synthetic_head.json --overwrite

# What the Python oracles need, in a virtual environment of its own.
venv: $(VENV)/ready
$(VENV)/ready: tests/oracle/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/oracle/requirements.txt
	touch $@

test: venv
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(CARGO) test --locked
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/python tests/oracle/run.py

# The big foreign models too (minutes to an hour of CPU).
test-all: test
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(CARGO) test --release --locked --test it -- --ignored foreign::

check:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps
	$(CARGO) deny check bans licenses sources
	for feature in cli dicom embedded onnxruntime openvino; do \
	  $(CARGO) check --locked --no-default-features --features $$feature || exit 1; done

# The engine's kernels under Miri, which is part of the nightly toolchain.
miri:
	MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-tree-borrows" $(CARGO) +nightly miri test --locked --lib \
	  --no-default-features --features embedded inference::embedded::tests::small

bench: venv
	$(CARGO) build --release --locked --benches --bins
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/python tests/bench/vs_peers.py
