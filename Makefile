.PHONY: check docs notebooks test slow format

check:
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

docs:
	.venv/bin/python scripts/draw_docs.py
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

notebooks:
	.venv/bin/python scripts/build_notebooks.py

format:
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

test:
	bash scripts/test.sh

slow:
	bash scripts/test.sh -m slow
