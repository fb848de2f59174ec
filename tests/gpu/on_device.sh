#!/usr/bin/env bash
# Every check that needs a GPU, in one run of less than 8 minutes. METHOD.md explains it.
#
#   tests/gpu/on_device.sh [FOLDER]              results go into FOLDER, by default $OUT or gpu-results
#   tests/gpu/on_device.sh --dry-run [FOLDER]    the same steps without a GPU, with small substitutes
#
# PYTHON names the interpreter (default python3). Kernels that compile_ahead.py left in .gpu-kernels
# are used; the others are compiled. Exit status: 0 if no step failed.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/gpu/steps.sh
. tests/gpu/steps.sh

dry_run=false
if [ "${1:-}" = --dry-run ]; then
  dry_run=true
  shift
fi
folder=${1:-${OUT:-gpu-results}}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

export PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1
export TINYGRAD_MNIST_CUDA_CACHE=$work/cache
if [ -d .gpu-kernels ] && ! $dry_run; then
  export TINYGRAD_MNIST_CUDA_CODE=$PWD/.gpu-kernels
fi
if $dry_run; then
  export TINYGRAD_MNIST_GPU_TESTS=sim NUMBA_ENABLE_CUDASIM=1
  device=cpu shares=2
  program=(-k swap) functions=(-k several_plans) ties=(-k pool-ties-pool3x3)
  training=(-k "small_dropout and float32")
  suite=(-k "elementwise and add-wide") steps=(--device cudasim --small --steps 1 --repeats 1)
  train=(--net fc --epochs 1 --quiet)
else
  export TINYGRAD_MNIST_GPU_TESTS=gpu TINYGRAD_MNIST_DEVICE=cuda
  device=cuda shares=16
  program=() functions=() ties=(-k ties) training=() suite=() steps=()
  train=(--net conv2-relu --epochs 3)
fi
pytest=("$python" -m pytest -q -p no:cacheprovider)
installed=("$python" -c "import tinygrad_mnist, tinygrad_mnist._native; print(tinygrad_mnist.__file__)")

begin_steps "$folder" 470
$dry_run && note "dry run: no GPU; figures and results mean nothing"

# 1. The package: as installed, else built here, without the network.
if "${installed[@]}" >/dev/null 2>&1; then
  step "package" 20 "${installed[@]}"
else
  step "package, built here" 170 "$python" -m pip install --no-index --no-build-isolation --no-deps \
    --target "$work/site" .
  export PYTHONPATH=$work/site
fi

# 2. What is here.
step "devices" 30 "$python" -m tinygrad_mnist devices
if command -v nvidia-smi >/dev/null; then
  step "nvidia-smi" 20 nvidia-smi
fi

# 3. Machine code loads and graphs run; ties; first costs, the same bits again, a wrong label.
step "programs" 60 "${pytest[@]}" tests/gpu/test_program.py "${program[@]}"
step "functions" 60 "${pytest[@]}" tests/gpu/test_functions.py "${functions[@]}"
step "ties" 60 "${pytest[@]}" tests/gpu/test_conv_tilings.py tests/gpu/test_kernels.py "${ties[@]}"
step "training" 60 "${pytest[@]}" tests/gpu/test_training.py "${training[@]}"

# 4. Times of steps and of kernels.
step "steps in graphs of 1, 16 and 64" 60 "$python" tests/gpu/time_steps.py "${steps[@]}"
step "profile" 40 "$python" -m tinygrad_mnist profile --device "$device" "${train[@]:0:2}" --steps 20

# 5. All tests, in parallel.
step "suite in $shares shares" 150 "$python" tests/gpu/in_shares.py "$shares" \
  --logs "$steps_logs" "${suite[@]}"

# 6. Accesses outside of memory and races, on a small network.
if "$python" tests/gpu/sanitize.py --find >/dev/null 2>&1 && ! $dry_run; then
  for tool in memcheck racecheck; do
    step "$tool" 60 "$python" tests/gpu/sanitize.py "$tool" \
      --logs "$steps_logs" -k "a_small_network and float32"
  done
else
  skip "memcheck and racecheck" "there is no compute-sanitizer"
fi

# 7. A training and the benchmark, with MNIST if it is here.
if [ -z "${TINYGRAD_MNIST_DATA:-}" ] && [ -d data/mnist ]; then
  export TINYGRAD_MNIST_DATA=$PWD/data/mnist
fi
locate="from tinygrad_mnist.datasets import locate; print(locate(None, fetch=False).path)"
if mnist=$("$python" -c "$locate" 2>/dev/null); then
  note "data: MNIST, from $mnist"
  data=(--data "$mnist")
else
  note "data: MNIST is not here; the training reads rendered digits, the benchmark noise"
  data=(--data digits)
fi
step "train" 90 "$python" -m tinygrad_mnist train --device "$device" "${train[@]}" "${data[@]}"
bench=(--device cuda --workloads W3 W1 W2 W4 --rounds 5 --minutes 1.8)
if $dry_run; then
  bench=(--device cpu --workloads W1 --rounds 1 --seconds 0.05 --frameworks pytensor)
fi
step "benchmark, W1 to W4" 120 env PYTHONPATH="$PWD:${PYTHONPATH:-}" "$python" -m benchmarks \
  "${bench[@]}" --output "$folder/benchmark"

end_steps
