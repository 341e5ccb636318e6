# For people; the build itself is CMake's (CMakePresets.json).
#
#   make            builds build/release/lmu
#   make demo       from raw text to a trained model that writes (FILE=... takes your own text)
#   make test       installs what is missing, builds and runs the tests
#   make test-arm64, make test-x86-64   test programs on CPUs that are not here, by qemu
#   make bench      builds and runs the benchmarks
#   make interop    checks our files against other programs that read and write them
#   make format     lays the code out
#   make docs       writes docs/cli.md anew
#   make clean      removes what was built

BUILD := build/release

.PHONY: all demo test test-arm64 test-x86-64 bench interop format docs clean

all: $(BUILD)/build.ninja
	cmake --build $(BUILD)

$(BUILD)/build.ninja:
	@command -v cmake >/dev/null || { echo "cmake is missing; ./scripts/setup installs what the build needs"; exit 1; }
	cmake --preset release

demo:
	./scripts/demo $(FILE)

test:
	./scripts/test

test-arm64 test-x86-64: all
	./scripts/test-emulated $(@:test-%=%) all

bench: all
	@for bench in $(BUILD)/bench/bench_*; do [ -x "$$bench" ] || continue; echo "# $${bench##*/}"; "$$bench" || exit 1; done

interop: all
	./tests/interop/run $(BUILD)/lmu

format:
	git ls-files -z -- '*.c' '*.h' | xargs -0 clang-format -i

docs: all
	$(BUILD)/lmu help --markdown > docs/cli.md

clean:
	rm -rf $(BUILD)
