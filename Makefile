# The two commands of the README, and the developer's checks. Each target shows the plain commands it runs.
CARGO ?= cargo
PYTHON ?= python3
VENV := target/venv
OUT ?= target/demo
UNET_VOL := target/release/unet-vol

.PHONY: demo test test-all test-python wheel check miri bench venv

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

# The Python package: built into the virtual environment, types checked, tests and examples run.
test-python: $(VENV)/python-ready
	cd python && VIRTUAL_ENV=$(CURDIR)/$(VENV) $(CURDIR)/$(VENV)/bin/maturin develop --locked --skip-install
	cd python && $(CURDIR)/$(VENV)/bin/mypy --strict python
	cd python && VIRTUAL_ENV=$(CURDIR)/$(VENV) PYTHONPATH=$(CURDIR)/python/python $(CURDIR)/$(VENV)/bin/python -m pytest -q
	PYTHONPATH=$(CURDIR)/python/python $(VENV)/bin/python examples/python/run.py

$(VENV)/python-ready: $(VENV)/ready python/tests/requirements.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r python/tests/requirements.txt
	touch $@

# The wheel that people install: target/wheels/unet_vol-*.whl.
wheel: $(VENV)/python-ready
	cd python && $(CURDIR)/$(VENV)/bin/maturin build --release --locked --out $(CURDIR)/target/wheels
	ls -l target/wheels

# The big foreign models too (minutes to an hour of CPU).
test-all: test
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(CARGO) test --release --locked --test it -- --ignored foreign::

check:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps
	$(CARGO) deny check bans licenses sources
	$(CARGO) deny --manifest-path python/Cargo.toml --config python/deny.toml check bans licenses sources
	for feature in cli dicom embedded onnxruntime openvino; do \
	  $(CARGO) check --locked --no-default-features --features $$feature || exit 1; done

# The engine's portable kernels under Miri (`rustup toolchain install nightly --component miri rust-src`). Rayon's
# queues keep to tree borrows only, and cast pointers.
miri:
	MIRIFLAGS="-Zmiri-tree-borrows -Zmiri-permissive-provenance" $(CARGO) +nightly miri test --locked --lib \
	  --no-default-features --features embedded inference::embedded::tests::small

bench: venv
	$(CARGO) build --release --locked --benches --bins
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/python tests/bench/vs_peers.py
