# For people; the build itself is CMake's (CMakePresets.json).
#
#   make            builds build/release/lmu
#   make demo       from raw text to a trained model that writes (FILE=... takes your own text)
#   make test       installs what is missing, builds and runs the tests
#   make test-arm64, make test-x86-64   test programs on CPUs that are not here, by qemu
#   make bench      builds and runs the benchmarks (ARGS="train --arch lmu ..." takes one; docs/performance.md)
#   make bench-compare  the same training and decoding by PyTorch, in turn with ours (ARGS="--dim 512 ...")
#   make interop    checks our files against other programs that read and write them
#   make interop-harness  checks lmu serve against EleutherAI's lm-evaluation-harness
#   make interop-page  uses the server's page in Chromium
#   make interop-torch  checks our logits and gradients against PyTorch's
#   make install    installs the program, its manual page and the library (PREFIX=/usr/local)
#   make format     lays the code out
#   make docs       writes docs/cli.md anew
#   make clean      removes what was built

BUILD := build/release

.PHONY: all install demo test test-arm64 test-x86-64 bench bench-compare interop interop-harness interop-page interop-torch format docs clean

all: $(BUILD)/build.ninja
	cmake --build $(BUILD)

$(BUILD)/build.ninja:
	@command -v cmake >/dev/null || { echo "cmake is missing; ./scripts/setup installs what the build needs"; exit 1; }
	cmake --preset release

install: all
	cmake --install $(BUILD) $(if $(PREFIX),--prefix $(PREFIX))

demo:
	./scripts/demo $(FILE)

test:
	./scripts/test

test-arm64 test-x86-64: all
	./scripts/test-emulated $(@:test-%=%) all

bench: all
	$(BUILD)/bench/bench_lmu $(ARGS)
	@[ -n "$(ARGS)" ] || $(BUILD)/bench/bench_text

bench-compare: all
	./bench/compare --build $(BUILD) $(ARGS)

interop: all
	./tests/interop/run $(BUILD)/lmu

interop-harness: all
	./tests/interop/harness/run $(BUILD)/lmu

interop-page: all
	./tests/interop/page/run $(BUILD)/lmu

interop-torch: all
	./tests/interop/torch/run $(BUILD)/tests/print_gradients

format:
	git ls-files -z -- '*.c' '*.h' | xargs -0 clang-format -i

docs: all
	$(BUILD)/lmu help --markdown > docs/cli.md

clean:
	rm -rf $(BUILD)
