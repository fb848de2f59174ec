"""Theano's settings that are not this package's own: their types, and the values that are accepted.

Most have no effect: they say what happens here anyway, how to compile, or what to print. A value
that asks for something that isn't here is accepted with a warning, which says what to do instead.
`mode`, `profile` and those of `NanGuardMode` are what `function` takes where it is given none. All
other settings that act are properties of `config.Config`.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple


class Setting(NamedTuple):
    """default: its value until it is set. allowed: its values; () for all of its type. instead: of
    a setting whose values other than the default ask for something that isn't here, what to do
    instead."""

    default: object
    allowed: tuple[object, ...] = ()
    instead: str = ""

    @property
    def type(self) -> type:
        return type(self.default)


def _choice(*values: object, instead: str = "") -> Setting:
    return Setting(values[0], values, instead)


def _all(default: object, *names: str) -> dict[str, Setting]:
    return {name: Setting(default) for name in names}


def _in(section: str, default: object, names: str) -> dict[str, Setting]:
    return _all(default, *(f"{section}.{name}" for name in names.split()))


_SEEN = ("ignore", "warn", "raise", "pdb")
_NUMPY = ("None", "ignore", "warn", "raise", "call", "print", "log")
_ALGORITHM = (
    *("none", "small", "large", "fft", "fft_tiling", "winograd", "winograd_non_fused", "auto"),
    *("guess_once", "guess_on_shape_change", "time_once", "time_on_shape_change"),
    "deterministic",
)

# Those of Theano's modes that choose how much to optimise and to check; here there is one way to
# make a plan.
MODES = (
    "FAST_RUN",
    "FAST_COMPILE",
    "Mode",
    "DebugMode",
    "DEBUG_MODE",
    "FAST_RUN_NOGC",
    "STABILIZE",
    "SANITY_CHECK",
    "ProfileMode",
    "PROFILE_MODE",
)
NAN_GUARD = ("nan_guard", "NanGuardMode")  # names of that mode, whose module few programs load

SETTINGS: dict[str, Setting] = {
    # What is computed and shown beside the results.
    "cast_policy": _choice(
        "custom", "numpy+floatX", instead="dtypes of results are those of 'custom'"
    ),
    "compute_test_value_opt": _choice("off", *_SEEN, instead="call x.eval({input: value})"),
    "deterministic": _choice("default", "more"),
    "int_division": _choice("int", "raise", "floatX", instead="`/` is T.true_div"),
    "mode": _choice(*MODES, *NAN_GUARD),
    "profile": _choice(False, True),
    "profile_memory": _choice(False, True, instead="fn.plan lists all buffers"),
    "profile_optimizer": _choice(False, True, instead="DEBUG=3 prints what is rewritten"),
    "warn_float64": _choice(*_SEEN, instead="look at x.dtype"),
    # How to compile and to run.
    "allow_gc": Setting(True),
    "base_compiledir": Setting(""),
    "cache_optimizations": Setting(False),
    "check_input": Setting(True),
    "check_stack_trace": _choice("off", "log", "warn", "raise"),
    "compiledir": Setting(""),
    "compiledir_format": Setting(""),
    "conv.assert_shape": Setting(False),
    "cxx": Setting(""),
    "cycle_detection": _choice("regular", "fast"),
    "force_device": Setting(False),
    "init_gpu_device": Setting(""),
    "linker": _choice(
        *("cvm", "c|py", "py", "c", "c|py_nogc", "vm", "vm_nogc", "cvm_nogc"),
    ),
    "nocleanup": Setting(False),
    "on_opt_error": _choice("warn", "raise", "pdb", "ignore"),
    "on_shape_error": _choice("warn", "raise"),
    "openmp": Setting(False),
    "openmp_elemwise_minsize": Setting(200000),
    "optimizer": _choice(
        *("fast_run", "fast_compile", "o4", "o3", "o2", "o1", "unsafe", "merge", "None"),
    ),
    "optimizer_excluding": Setting(""),
    "optimizer_including": Setting(""),
    "optimizer_requiring": Setting(""),
    "optimizer_verbose": Setting(False),
    "pickle_test_value": Setting(True),
    "reoptimize_unpickled_function": Setting(False),
    "unpickle_function": Setting(True),
    "vm.lazy": Setting("None"),
    # What to print.
    "assert_no_cpu_op": _choice(*_SEEN),
    "contexts": Setting(""),
    "exception_verbosity": _choice("low", "high"),
    "print_active_device": Setting(True),
    "print_global_stats": Setting(False),
    "print_test_value": Setting(False),
    "traceback.compile_limit": Setting(0),
    "traceback.limit": Setting(8),
    "unittests.rseed": Setting("666"),
    # Sections of compilers, libraries and devices.
    **_in("blas", "", "ldflags"),
    **_in("blas", True, "check_openmp"),
    **_in("cmodule", False, "compilation_warning debug preload_cache remove_gxx_opt"),
    **_in("cmodule", False, "warn_no_version"),
    **_in("cmodule", 2073600, "age_thresh_use"),
    **_in("compile", 120, "timeout"),
    **_in("compile", 5, "wait"),
    **_in("ctc", "", "root"),
    **_in("cuda", "", "include_path root"),
    **_in("cuda", True, "disabled enabled"),
    **_in("dnn", "", "base_path bin_path include_path library_path"),
    "dnn.enabled": _choice("auto", "True", "False", "no_check"),
    "dnn.conv.algo_bwd": Setting("", ("", *_ALGORITHM)),
    "dnn.conv.algo_bwd_data": Setting("none", _ALGORITHM),
    "dnn.conv.algo_bwd_filter": Setting("none", _ALGORITHM),
    "dnn.conv.algo_fwd": Setting("small", _ALGORITHM),
    "dnn.conv.precision": _choice(
        *("as_input_f32", "as_input", "float16", "float32", "float64"),
    ),
    **_in("dnn.conv", "", "workmem workmem_bwd"),
    **_in("experimental", True, "local_alloc_elemwise local_alloc_elemwise_assert"),
    **_in("experimental", False, "unpickle_gpu_on_cpu mrg"),
    **_in("gcc", "", "cxxflags"),
    **_in("gpu", True, "local_elemwise_fusion"),
    **_in("gpuarray", "", "cache_path"),
    **_in("gpuarray", 0.0, "preallocate"),
    **_in("gpuarray", True, "single_stream"),
    **_in("gpuarray", False, "sync"),
    "gpuarray.sched": _choice("default", "multi", "single"),
    **_in("gpuelemwise", True, "sync"),
    **_in("lib", False, "amdlibm"),
    **_in("lib", 0.0, "cnmem"),
    **_in("magma", False, "enabled"),
    **_in("magma", "", "include_path library_path"),
    **_in("metaopt", 0, "verbose"),
    **_in("metaopt", "", "optimizer_excluding optimizer_including"),
    **_in("nvcc", "", "compiler_bindir cudafe flags"),
    **_in("nvcc", False, "fastmath"),
    **_in("numpy", "None", "seterr_divide seterr_invalid seterr_over seterr_under"),
    "numpy.seterr_all": Setting("ignore", _NUMPY),
    **_in("optdb", float("inf"), "position_cutoff"),
    **_in("optdb", 8.0, "max_use_ratio"),
    **_in("scan", False, "allow_gc debug"),
    **_in("scan", True, "allow_output_prealloc"),
    "tensor.cmp_sloppy": _choice(0, 1, 2),
    **_in("tensor", -1, "insert_inplace_optimizer_validate_nb"),
    **_in("tensor", True, "local_elemwise_fusion"),
    # Sections of modes: of Theano's profile, its debug mode and its guard against NaN.
    **_in("DebugMode", 10, "patience"),
    **_in("DebugMode", 4, "check_preallocated_output_ndim"),
    **_in("DebugMode", 0, "check_strides"),
    **_in("DebugMode", "", "check_preallocated_output"),
    **_in("DebugMode", True, "check_c check_finite check_py warn_input_not_reused"),
    **_in("NanGuardMode", True, "big_is_error inf_is_error nan_is_error"),
    "NanGuardMode.action": _choice("raise", "warn", "pdb", instead="the error can be caught"),
    **_in("ProfileMode", 15, "n_apply_to_print n_ops_to_print"),
    **_in("profiling", 20, "n_apply n_ops"),
    **_in("profiling", 1024, "min_memory_size"),
    **_in("profiling", 512, "output_line_width"),
    **_in("profiling", False, "debugprint ignore_first_call min_peak_memory"),
    **_in("profiling", "stderr", "destination"),
    **_in("profiling", True, "time_thunks"),
    # Warnings about results of older versions of Theano.
    **_in("warn", "0.9", "ignore_bug_before"),
    **_in("warn", False, "argmax_pushdown_bug gpu_set_subtensor1 gpusum_01_011_0111_bug"),
    **_in("warn", False, "identify_1pexp_bug inc_set_subtensor1 inc_subtensor1_opt reduce_join"),
    **_in("warn", False, "round signal_conv2d_interface subtensor_merge_bug sum_sum_bug"),
    **_in("warn", False, "sum_div_dimshuffle_bug vm_gc_bug"),
}

_TRUE = ("True", "true", "1")
_FALSE = ("False", "false", "0")


def check(name: str, value: object) -> object:
    """The value of a setting as its type has it: a text is read as in THEANO_FLAGS, a bool or a
    float may be an int, and a text may be anything. Raises ValueError for any other."""
    setting = SETTINGS[name]
    converted = _converted(value, setting.type)
    right = type(converted) is setting.type
    if setting.allowed and not (right and converted in setting.allowed):
        listed = " or ".join(map(repr, dict.fromkeys(setting.allowed)))
        raise ValueError(f"{name} is {value!r}; here it can be {listed}")
    if not right:
        raise ValueError(f"{name} is {value!r}; it is a {setting.type.__name__}")
    if setting.instead and converted != setting.default:
        warnings.warn(f"{name} = {converted!r} has no effect here: {setting.instead}", stacklevel=3)
    return converted


def _converted(value: object, type: type) -> object:
    if isinstance(value, str):
        return from_text(value, type)
    if type is str:
        return str(value)
    is_number = isinstance(value, int) and (type is float or value in (0, 1))
    return type(value) if is_number and type is not int else value


def from_text(text: str, type: type) -> object:
    """A value that is written as a text: `True` and `1` are true, `False` and `0` false. A text
    that is no value of the type stays as it is, for an error to show."""
    if type is bool:
        return text in _TRUE if text in (*_TRUE, *_FALSE) else text
    try:
        return type(text)
    except ValueError:
        return text
