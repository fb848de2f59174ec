# shellcheck shell=bash
# Steps with a time limit each and a summary; sourced by on_device.sh.
#
#   begin_steps FOLDER SECONDS     summary.txt and logs.tar.gz go into FOLDER; all steps share the
#                                  SECONDS; $steps_logs is a folder for further logs
#   step NAME LIMIT COMMAND...     runs a command for at most LIMIT seconds
#   skip NAME REASON               notes that a step is left out
#   note TEXT                      a line of the summary
#   end_steps                      prints the summary; returns 1 if a step failed
#
# The summary has a line per step: result, exit status, seconds, name. A step that would begin later
# than the SECONDS allow is skipped, and counts as failed.

begin_steps() {
  steps_folder=$1 steps_deadline=$((SECONDS + $2)) steps_failed=0 steps_begin=$SECONDS
  steps_logs=$(mktemp -d)/logs
  mkdir -p "$steps_folder" "$steps_logs"
  : >"$steps_folder/summary.txt"
}

note() {
  printf '%s\n' "$*" | tee -a "$steps_folder/summary.txt"
}

_record() { # result, exit status, seconds, name, further text
  note "$(printf '%-8s %4s %4ss  %s%s' "$1" "$2" "$3" "$4" "${5:+: $5}")"
}

skip() {
  _record skipped - 0 "$1" "$2"
}

step() {
  local name=$1 limit=$2 log status=0 start left
  shift 2
  left=$((steps_deadline - SECONDS))
  if ((left < 5)); then
    steps_failed=1
    _record failed - 0 "$name" "no time is left"
    return 0
  fi
  ((limit < left)) || limit=$left
  log="$steps_logs/${name//[^A-Za-z0-9]/-}.log"
  printf '\n== %s (at most %d s)\n' "$name" "$limit"
  start=$SECONDS
  # In the foreground of its own group, so that its children end with it.
  timeout --kill-after=5 "$limit" "$@" >"$log" 2>&1 </dev/null || status=$?
  tail -n 15 "$log"
  case $status in
    0) _record passed 0 $((SECONDS - start)) "$name" ;;
    124 | 137)
      steps_failed=1
      _record failed $status $((SECONDS - start)) "$name" "stopped at its limit"
      ;;
    *)
      steps_failed=1
      _record failed $status $((SECONDS - start)) "$name"
      ;;
  esac
  # After every step, in case the machine is taken away; one file, since some give back few.
  tar -czf "$steps_folder/logs.tar.gz" -C "${steps_logs%/logs}" logs
}

end_steps() {
  note "$((SECONDS - steps_begin)) s in all"
  printf '\n== summary\n'
  cat "$steps_folder/summary.txt"
  rm -rf "${steps_logs%/logs}"
  return "$steps_failed"
}
