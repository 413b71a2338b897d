# Sourced by ./demo and ./test: finds the tools, makes the virtual environments, builds.
# Everything is made inside the project's folder (.tools/, target/) and kept for the next time.

say() { printf '%s\n' "$*"; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# find_python MINOR...: prints a Python 3 of the first minor version that is there.
find_python() {
    local minor candidate
    for minor in "$@"; do
        for candidate in "python3.$minor" "$HOME"/.pyenv/versions/3."$minor"*/bin/python python3 python; do
            if "$candidate" -c "import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, $minor))" \
                >/dev/null 2>&1; then
                command -v "$candidate"
                return 0
            fi
        done
    done
    return 1
}

# environment FOLDER REQUIREMENTS PYTHON: a virtual environment that holds what the file pins.
# A stamp keyed by the file's checksum makes the second call free.
environment() {
    local folder=$1 requirements=$2 python=$3 stamp
    stamp="$(cksum <"$requirements")"
    if [[ -f $folder/.stamp && $(cat "$folder/.stamp") == "$stamp" ]] && "$folder/bin/python" -c '' 2>/dev/null; then
        return 0
    fi
    say "making $folder from $requirements"
    if ! "$folder/bin/python" -c '' 2>/dev/null; then
        rm -rf "$folder"
        "$python" -m venv "$folder"
    fi
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" ||
        fail "pip could not install $requirements (is the network there?)"
    printf '%s' "$stamp" >"$folder/.stamp"
}

# prepare: a compiler, Rust, Python and cmake are there (HDF5 is built from source).
prepare() {
    command -v cargo >/dev/null 2>&1 || [[ ! -f $HOME/.cargo/env ]] || . "$HOME/.cargo/env"
    command -v cargo >/dev/null 2>&1 || fail "cargo was not found; install Rust 1.95 or later from https://rustup.rs"
    command -v "${CC:-cc}" >/dev/null 2>&1 || fail "no C compiler was found; HDF5 is built from source and needs one (cc)"
    PYTHON=$(find_python 13 12 14) ||
        fail "no Python 3.12, 3.13 or 3.14 with venv was found on PATH or under ~/.pyenv/versions; install one"
    mkdir -p .tools
    environment .tools/build tests/requirements-build.txt "$PYTHON"
    export PATH="$PWD/.tools/build/bin:$PATH"
}

# build: the command itself, target/release/cellmill.
build() {
    cargo build --release --workspace --locked
}
