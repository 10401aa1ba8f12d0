#!/usr/bin/env bash
# Installs what a build and its tests need on Debian 12, and the packages named. Quick when nothing is missing. Without
# root it names the packages to ask for and exits 1.
set -euo pipefail
packages=(
  g++ cmake ninja-build pkg-config git ccache
  protobuf-compiler libprotobuf-dev libcli11-dev libspdlog-dev libfmt-dev nlohmann-json3-dev libtomlplusplus-dev
  libturbojpeg0-dev libeigen3-dev coinor-libcbc-dev libxxhash-dev zlib1g-dev libjs-chart.js libgtest-dev libgmock-dev libbenchmark-dev
  python3 python3-pip python3-venv clang-format clang-tidy
  "$@"
)
installed=$(dpkg-query --show --showformat='${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null || true)
missing=()
for package in "${packages[@]}"; do
  grep -qxF "$package installed" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "missing packages, and only root can install them: apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
