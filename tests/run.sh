#!/usr/bin/env bash
# Everything that must hold, from the format to the browser; stops at the first thing that does not.
# Installs what it needs with the system's package manager: a C compiler, curl, Chromium and its driver, npm. Of npm's
# registry it takes axe-core alone, which looks over the pages.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step() {
    printf '\n== %s (%s s)\n' "$*" "$SECONDS"
    "$@"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# install APT DNF PACMAN APK BREW: the packages of one thing, as each manager calls them.
install() {
    if command -v apt-get >/dev/null; then
        as_root apt-get update -qq
        # shellcheck disable=SC2086
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $1
    elif command -v dnf >/dev/null; then
        # shellcheck disable=SC2086
        as_root dnf install -y -q $2
    elif command -v pacman >/dev/null; then
        # shellcheck disable=SC2086
        as_root pacman -S --noconfirm --needed $3
    elif command -v apk >/dev/null; then
        # shellcheck disable=SC2086
        as_root apk add -q $4
    elif command -v brew >/dev/null; then
        # shellcheck disable=SC2086
        brew install $5
    else
        echo "Please install this yourself, no known package manager is here: $1" >&2
        exit 1
    fi
}

has_browser() {
    command -v chromedriver >/dev/null || return 1
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null ||
        command -v google-chrome >/dev/null || [ -d "/Applications/Google Chrome.app" ]
}

command -v cargo >/dev/null || {
    echo "Rust is missing: https://rustup.rs" >&2
    exit 1
}
command -v cc >/dev/null || install "gcc libc6-dev" "gcc glibc-devel" "gcc" "build-base" ""
command -v curl >/dev/null || install curl curl curl curl curl
has_browser || install "chromium chromium-driver" "chromium chromedriver" "chromium" "chromium chromium-chromedriver" \
    "--cask google-chrome chromedriver"
command -v npm >/dev/null || install npm npm npm npm node
[ -f target/axe/node_modules/axe-core/axe.min.js ] ||
    npm install --prefix target/axe --no-save --no-audit --no-fund --ignore-scripts --loglevel=error axe-core@4.14.1
cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy

step cargo fmt --check
step cargo clippy --locked --all-targets -- -D warnings
# The browser's tests are not among all targets: `cargo test` alone needs no browser.
step cargo clippy --locked --test browser -- -D warnings
step cargo test --locked
step cargo test --locked --test browser
step cargo bench --locked --bench figures -- --smoke
printf '\nEverything holds (%s s).\n' "$SECONDS"
