.PHONY: check test slow format

check:
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

format:
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

test:
	bash scripts/test.sh

slow:
	bash scripts/test.sh -m slow
