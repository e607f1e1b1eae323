# Two commands matter: `make local` and `make test`. Both set up what they need, in .venv and .build only.

PYTHON ?= python3
STACK  ?= dev
VENV   := .venv/bin

# No target here deploys, so packages for Lambda need not be compiled: Python 3.14 is only required for `pulumi up`.
export ALLOW_UNCOMPILED_PACKAGES := 1

.PHONY: local test fuzz contact-sheet check format packages bench cost migration migrate rollback upload clear clean help

help:
	@echo "make local                    the whole stack on this machine, with a photo taken through it"
	@echo "make local ARGS='--once P..'  the same with your photos, then exit"
	@echo "make test                     every test"
	@echo "make fuzz COUNT= SEED=        broken and hostile files through the image engine"
	@echo "make contact-sheet            all pictures of the tests, in and out, as one: .build/contact-sheet.png"
	@echo "make check                    formatter, linter, type checker"
	@echo "make packages                 build the Lambda packages and print their sizes"
	@echo "make bench                    ours beside sharp and Node (needs Node 20 and npm; takes minutes)"
	@echo "make cost                     dollars per million uploads, from what was measured; updates the README"
	@echo "make migration NAME=          begin the next change of the database, in migrations/versions"
	@echo "make migrate                  bring the database up to date: the one DATABASE_URL names, or a local run's"
	@echo "make rollback                 take its newest migration back"
	@echo "make upload STACK= PHOTO=     take a photo through a deployed stack, as one of its users"
	@echo "make clear STACK=             remove what that user's uploads left"

local: .venv/installed
	@$(VENV)/python -m local --stack $(STACK) $(ARGS)

test: .venv/installed
	$(VENV)/python -m pytest $(ARGS)

fuzz: .venv/installed
	$(VENV)/python -m fuzz $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

contact-sheet: .venv/installed
	@$(VENV)/python -m tests.fixtures.contact_sheet .build/contact-sheet.png

check: .venv/installed
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(VENV)/basedpyright

format: .venv/installed
	$(VENV)/ruff format .
	$(VENV)/ruff check --fix .

packages: .venv/installed
	@$(VENV)/python -m lambda_packages

bench: .venv/installed
	@$(VENV)/python -m bench $(ARGS)

cost: .venv/installed
	@$(VENV)/python -m bench.cost

migration: .venv/installed
	@printf '%s\n' "$$NAME" | grep -Eqx '[a-z][a-z0-9_]*' || \
	  { echo "make migration needs a name of a-z, 0-9 and _: make migration NAME=add_x" >&2; exit 2; }
	@$(VENV)/alembic revision --message "$$NAME" \
	  --rev-id $$(printf %04d $$(($$(ls migrations/versions/*.py | wc -l) + 1)))

migrate: .venv/installed
	@$(VENV)/alembic upgrade head

rollback: .venv/installed
	@$(VENV)/alembic downgrade -1

upload: .venv/installed .build/outputs/$(STACK).json
	@test -n "$(PHOTO)" || { echo "make upload needs a photo: make upload STACK=$(STACK) PHOTO=me.jpg" >&2; exit 2; }
	@$(VENV)/python -m client upload --outputs .build/outputs/$(STACK).json $(PHOTO)

clear: .venv/installed .build/outputs/$(STACK).json
	@$(VENV)/python -m client clear --outputs .build/outputs/$(STACK).json

# Read anew each time: a stack's outputs change with every `pulumi up`.
.PHONY: .build/outputs/$(STACK).json
.build/outputs/$(STACK).json:
	@command -v pulumi > /dev/null || { echo "this needs the Pulumi CLI, to ask stack $(STACK) for its outputs" >&2; exit 2; }
	@mkdir -p $(@D)
	@pulumi stack output --json --stack $(STACK) > $@.partial
	@mv $@.partial $@

.venv/installed: requirements.txt requirements-dev.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $$($(PYTHON) --version) was found. Try: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(VENV)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@touch $@

clean:
	rm -rf .venv .build .local
