# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What packaging/run and packaging/test share: system packages, the virtual environment, llama-cpp-python.
# Sourced, never run; `top` is the checkout.

LLAMA_VERSION=0.3.36
export PIP_DISABLE_PIP_VERSION_CHECK=1
lib=$top/packaging/lib
wheels=${XDG_CACHE_HOME:-$HOME/.cache}/rigpanel/wheels

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }
elapsed() { printf '%d:%02d' $((SECONDS / 60)) $((SECONDS % 60)); }
phase() { say "[$(elapsed)] $*"; }

# last_line LOG: of a compiler's line only how far it is and which file.
last_line() {
  tail -n 1 "$1" | tr '\r\033' '\n ' | tail -n 1 | sed -E 's|^ *(\[[0-9]+/[0-9]+\]).*/([^/]+)$|\1 \2|' | cut -c 1-100
}

# run_logged WHAT LOG COMMAND…: run it quietly, with a sign of life every ten seconds and its last lines when it fails.
run_logged() {
  local what=$1 log=$2 job waited=0 status=0
  shift 2
  # A session of its own, so that an interrupt ends the compilers too.
  setsid "$@" </dev/null >"$log" 2>&1 &
  job=$!
  # shellcheck disable=SC2064  # the job of this call, not of a later one
  trap "kill -- -$job 2>/dev/null; exit 130" INT TERM
  while kill -0 "$job" 2>/dev/null; do
    sleep 0.2
    waited=$((waited + 1))
    if ((waited % 50 == 0)); then
      phase "  … $what: $(last_line "$log")"
    fi
  done
  wait "$job" || status=$?
  trap - INT TERM
  if ((status)); then
    say "$what failed (status $status); the last lines of $log:"
    tail -n 25 "$log" >&2
  fi
  return "$status"
}

# --- system packages ---------------------------------------------------------------------------

distribution() {
  if command -v apt-get >/dev/null; then echo apt
  elif command -v dnf >/dev/null; then echo dnf
  elif command -v pacman >/dev/null; then echo pacman
  else echo unknown; fi
}

# package_for NEED: what the distribution calls the package that brings a command or a library.
package_for() {
  local row need apt dnf pacman
  while read -r need apt dnf pacman; do
    [[ $need == "$1" ]] || continue
    row=found
    case $(distribution) in
      apt) echo "$apt" ;; dnf) echo "$dnf" ;; pacman) echo "$pacman" ;; *) echo "$need" ;;
    esac
    break
  done <"$lib/system-packages.txt"
  [[ -n ${row:-} ]] || echo "$1"
}

libraries() { "$(command -v ldconfig || echo /sbin/ldconfig)" -p 2>/dev/null; }

# missing_libraries SONAME…: those the loader does not know.
missing_libraries() {
  local known soname
  known=$(libraries)
  for soname in "$@"; do
    grep -qF "$soname " <<<"$known" || echo "$soname"
  done
}

missing_commands() {
  local name
  for name in "$@"; do command -v "$name" >/dev/null || echo "$name"; done
}

is_root() { ((EUID == 0)); }

# require_system WHY NEED…: install the packages that bring these needs, or say the command and stop.
require_system() {
  local why=$1 need package packages=() command as_root=()
  shift
  (($#)) || return 0
  for need in "$@"; do
    package=$(package_for "$need")
    [[ " ${packages[*]-} " == *" $package "* ]] || packages+=("$package")
  done
  case $(distribution) in
    apt) command=(env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends) ;;
    dnf) command=(dnf install -y) ;;
    pacman) command=(pacman -S --needed --noconfirm) ;;
    *) die "$why needs what this system lacks: $*. Install it with the system's package manager and start again." ;;
  esac
  if ! is_root; then
    if sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    else
      say "$why needs system packages that are missing. Install them with"
      case $(distribution) in
        apt) say "    sudo apt-get install ${packages[*]}" ;;
        dnf) say "    sudo dnf install ${packages[*]}" ;;
        pacman) say "    sudo pacman -S --needed ${packages[*]}" ;;
      esac
      die "and start again."
    fi
  fi
  phase "System packages for $why: ${packages[*]}"
  local log=$logs/system.log
  if [[ $(distribution) == apt ]]; then
    # Without lists (a fresh image) or with old ones the first try fails at once.
    "${as_root[@]}" "${command[@]}" "${packages[@]}" </dev/null >"$log" 2>&1 && return 0
    run_logged "apt-get update" "$log" "${as_root[@]}" apt-get update ||
      die "the package lists could not be fetched; is there a network?"
  elif [[ $(distribution) == pacman ]] && ! ls /var/lib/pacman/sync/*.db >/dev/null 2>&1; then
    command=(pacman -Sy --needed --noconfirm)
  fi
  run_logged "installing ${packages[*]}" "$log" "${as_root[@]}" "${command[@]}" "${packages[@]}" ||
    die "the packages could not be installed: ${packages[*]}"
}

# find_python: the first interpreter that is new enough; prints nothing when there is none.
find_python() {
  local name
  for name in python3 python3.14 python3.13 python3.12 python3.11; do
    command -v "$name" >/dev/null || continue
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
}

require_python() {
  local version
  python=$(find_python)
  if [[ -z $python ]]; then
    # Ubuntu 22.04's own python3 is 3.10, and 3.11 stands beside it.
    if [[ $(distribution) == apt ]] && command -v python3 >/dev/null; then
      require_system "rigpanel (Python 3.11 or newer)" python3.11 python3.11-venv
    else
      require_system "rigpanel (Python 3.11 or newer)" python3 python3-venv
    fi
    python=$(find_python)
    [[ -n $python ]] || die "no Python 3.11 or newer was found; install one and start again."
  fi
  if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    require_system "a virtual environment" "python$version-venv"
  fi
}

# What Qt's window plugin loads at run time beside what it brings.
QT_LIBRARIES=(
  libxcb-cursor.so.0 libxcb-icccm.so.4 libxcb-keysyms.so.1 libxcb-shape.so.0 libxcb-image.so.0
  libxcb-render-util.so.0 libxcb-randr.so.0 libxcb-xkb.so.1 libxcb-util.so.1 libxkbcommon-x11.so.0
  libxkbcommon.so.0 libX11-xcb.so.1 libEGL.so.1 libGL.so.1 libdbus-1.so.3 libfontconfig.so.1
  libfreetype.so.6 libglib-2.0.so.0
)

require_build_and_qt() {
  local needs=()
  mapfile -t needs < <(missing_libraries "${QT_LIBRARIES[@]}")
  if [[ ! -d $(wheel_folder) ]]; then
    command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || needs+=(gcc)
    command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || needs+=(g++)
  fi
  require_system "the panel" "${needs[@]}"
}

# check_qt: ask the loader about the plugins that were really installed.
check_qt() {
  local plugins missing=()
  plugins=$("$venv/bin/python" -c 'import PySide6; print(PySide6.__path__[0] + "/Qt/plugins")')
  mapfile -t missing < <(
    ldd "$plugins"/platforms/{libqxcb,libqoffscreen}.so "$plugins"/../lib/libQt6{Widgets,DBus,Svg}.so.6 2>/dev/null |
      awk '/not found/ {print $1}' | sort -u
  )
  require_system "Qt" "${missing[@]}"
}

# --- llama-cpp-python --------------------------------------------------------------------------

nvcc_path() {
  command -v nvcc && return
  local path
  for path in /usr/local/cuda/bin/nvcc /opt/cuda/bin/nvcc; do
    [[ -x $path ]] && echo "$path" && return
  done
  return 1
}

has_card() { compgen -G '/proc/driver/nvidia/gpus/*' >/dev/null || [[ -e /dev/nvidiactl || -e /dev/dxg ]]; }

# choose_build: sets build (cpu or cuda) and build_why, in a few milliseconds.
choose_build() {
  case ${RIGPANEL_LLAMA_BUILD:-} in
    cpu | cuda) build=$RIGPANEL_LLAMA_BUILD build_why="RIGPANEL_LLAMA_BUILD asks for it" ; return ;;
    "") ;;
    *) die "RIGPANEL_LLAMA_BUILD=$RIGPANEL_LLAMA_BUILD: must be cpu or cuda" ;;
  esac
  build=cpu
  if ! nvcc_path >/dev/null; then
    build_why="no nvcc found; with the CUDA toolkit installed the next start builds for the cards"
  elif [[ -n $(missing_libraries libcuda.so.1) ]] || ! has_card; then
    build_why="nvcc is here, but no NVIDIA driver with a card, and a CUDA build does not start without its libcuda.so.1"
  else
    build=cuda build_why="nvcc and an NVIDIA driver are here"
  fi
}

cmake_args() {
  local arguments="-DGGML_RPC=ON"
  if [[ $build == cuda ]]; then
    arguments+=" -DGGML_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=native -DCMAKE_CUDA_COMPILER=$(nvcc_path || echo nvcc)"
  fi
  echo "$arguments${CMAKE_ARGS:+ $CMAKE_ARGS}"
}

# wheel_folder: named after what decides what is built; llama.cpp compiles for the processor it is built on.
wheel_folder() {
  local processor cards=""
  processor=$(grep -m 1 -E '^(flags|Features)' /proc/cpuinfo || true)
  if [[ $build == cuda ]]; then
    cards=$("$(nvcc_path || echo false)" --version 2>/dev/null | tail -n 1
      nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | sort -u) || true
  fi
  local digest
  digest=$(printf '%s\n' "$(cmake_args)" "$processor" "$cards" | sha256sum)
  echo "$wheels/llama_cpp_python-$LLAMA_VERSION-$build-rpc-py3-linux_$(uname -m)-${digest:0:12}"
}

# build_llama: compile the wheel aside, and put it in place only when it is whole.
build_llama() {
  local folder=$1 temporary jobs memory_gib
  memory_gib=$(awk '/^MemTotal/ {print int($2 / 1048576)}' /proc/meminfo)
  jobs=$(nproc)
  # One compiler can take some 2 GiB; a machine that swaps is slower than one with fewer jobs.
  ((jobs * 2 > memory_gib)) && jobs=$((memory_gib / 2 > 0 ? memory_gib / 2 : 1))
  mkdir -p "$wheels"
  # What an interrupted build left behind, long after it can still be running.
  find "$wheels" -maxdepth 1 -name '.building.*' -mmin +600 -exec rm -rf {} +
  temporary=$(mktemp -d "$wheels/.building.XXXXXX")
  phase "Compiling llama-cpp-python $LLAMA_VERSION ($build: $build_why); this takes some minutes, once"
  if ! CMAKE_ARGS=$(cmake_args) CMAKE_BUILD_PARALLEL_LEVEL=$jobs FORCE_CMAKE=1 \
    run_logged "compiling" "$logs/llama.log" \
    "$venv/bin/pip" wheel -v --no-cache-dir --no-deps --no-binary llama-cpp-python \
    --wheel-dir "$temporary" "llama-cpp-python==$LLAMA_VERSION"; then
    rm -rf "$temporary"
    return 1
  fi
  rm -rf "$folder"
  mv -T "$temporary" "$folder"
}

# try_llama: this build, from the folder of wheels or compiled, installed and found to work.
try_llama() {
  local folder origin="kept from an earlier build" found
  folder=$(wheel_folder)
  if ! compgen -G "$folder/*.whl" >/dev/null; then
    origin="compiled here"
    build_llama "$folder" || return 1
  fi
  phase "Installing llama-cpp-python ($build, $origin)"
  if run_logged "installing llama-cpp-python" "$logs/pip-llama.log" \
    "$venv/bin/pip" install --force-reinstall --no-deps "$folder"/*.whl &&
    run_logged "installing what it needs" "$logs/pip-llama.log" \
      "$venv/bin/pip" install "$folder"/*.whl &&
    found=$("$venv/bin/python" "$lib/check_llama.py" "$build" 2>&1 </dev/null); then
    phase "llama-cpp-python: $found ($build_why)"
    return 0
  fi
  say "llama-cpp-python as built does not work: ${found:-it could not be installed}"
  rm -rf "$folder"
  return 1
}

install_llama() {
  local wanted
  wanted=$(basename "$(wheel_folder)")
  [[ -f $venv/rigpanel-llama && $(<"$venv/rigpanel-llama") == "$wanted" ]] && return 0
  rm -f "$venv/rigpanel-llama"
  if ! try_llama; then
    [[ $build == cuda && -z ${RIGPANEL_LLAMA_BUILD:-} ]] ||
      die "llama-cpp-python could not be built; $logs/llama.log has the whole of it."
    say "The CUDA build did not succeed; models will run on the CPU. To try CUDA again: RIGPANEL_LLAMA_BUILD=cuda $0"
    build=cpu build_why="the CUDA build failed"
    try_llama || die "llama-cpp-python could not be built; $logs/llama.log has the whole of it."
  fi
  echo "$wanted" >"$venv/rigpanel-llama"
}

# --- the virtual environment -------------------------------------------------------------------

# stamp: what an environment must have been made from to be used as it is.
stamp() {
  {
    echo "$top $build ${CMAKE_ARGS:-}"
    cat "$top/pyproject.toml" "$lib/setup.sh" "$lib/system-packages.txt"
  } | sha256sum | cut -d ' ' -f 1
}

# ready NAME EXTRAS: whether the environment NAME, with these extras or more after them, needs no work.
ready() {
  local path=$top/$1
  [[ -x $path/bin/python && -f $path/rigpanel-stamp && $(<"$path/rigpanel-stamp") == "$(stamp) $2"* ]]
}

# set_up NAME EXTRAS [PACKAGE…]: make the environment NAME with rigpanel[EXTRAS] in it, unless it is there.
set_up() {
  local name=$1 extras=$2 lock
  shift 2
  venv=$top/$name
  ready "$name" "$extras" && return 0
  logs=$top/$name.logs
  mkdir -p "$logs"
  exec {lock}>"$top/.venv.lock"
  if ! flock -n "$lock"; then
    phase "Another install is under way in this checkout; waiting for it"
    flock "$lock"
  fi
  if ! ready "$name" "$extras"; then
    make_environment "$extras" "$@"
    phase "Set up in $venv"
  fi
  exec {lock}>&-
}

make_environment() {
  local extras=$1
  shift
  phase "Looking for what the system has to bring"
  require_python
  require_build_and_qt
  if ! "$venv/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    phase "Making a virtual environment with $("$python" --version) in $venv"
    run_logged "making the virtual environment" "$logs/venv.log" "$python" -m venv --clear "$venv" ||
      die "$venv could not be made."
  fi
  rm -f "$venv/rigpanel-stamp"
  install_llama
  phase "Installing rigpanel${extras:+ with its parts ($extras)}"
  run_logged "installing" "$logs/pip.log" \
    "$venv/bin/pip" install --upgrade-strategy only-if-needed -e "$top${extras:+[$extras]}" "$@" ||
    die "the Python packages could not be installed; is there a network?"
  [[ $extras != *panel* ]] || check_qt
  echo "$(stamp) $extras" >"$venv/rigpanel-stamp"
}
