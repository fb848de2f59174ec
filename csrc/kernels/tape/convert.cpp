#include "kernels/tape/convert.hpp"

#include "kernels/core/with_type.hpp"

namespace tgm::TGM_TARGET {
namespace {

template <class To, class From>
TGM_INLINE To converted(From x) {
  // Through int64, so that all small integers wrap the same way.
  if constexpr (std::is_same_v<To, bool>) {
    return x != 0;
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    return static_cast<To>(static_cast<int64_t>(x));
  } else {
    return static_cast<To>(x);
  }
}

template <class To, class From>
TGM_NOINLINE void convert(To* to, int64_t to_stride, const From* from, int64_t from_stride,
                          int64_t n) {
  if (to_stride == 1 && from_stride == 1) {
    if constexpr (std::is_same_v<To, From>) {
      std::memmove(to, from, n * sizeof(To));
    } else {
      TGM_INDEPENDENT_LOOP
      for (int64_t i = 0; i < n; i++) to[i] = converted<To>(from[i]);
    }
  } else if (to_stride == 1 && from_stride == 0) {
    const To x = converted<To>(*from);
    for (int64_t i = 0; i < n; i++) to[i] = x;
  } else {
    for (int64_t i = 0; i < n; i++) to[i * to_stride] = converted<To>(from[i * from_stride]);
  }
}

}  // namespace

void load_elements(DType to_dtype, void* to, DType from_dtype, const char* from, int64_t stride,
                   int64_t n) {
  with_tape_type(to_dtype, [&]<class To>() {
    with_type(from_dtype, [&]<class From>() {
      convert(static_cast<To*>(to), 1, reinterpret_cast<const From*>(from), stride, n);
    });
  });
}

void store_elements(DType to_dtype, char* to, int64_t stride, DType from_dtype, const void* from,
                    int64_t from_stride, int64_t n) {
  with_tape_type(from_dtype, [&]<class From>() {
    const From* typed = static_cast<const From*>(from);
    if (to_dtype == DType::Bool) {
      return convert(reinterpret_cast<bool*>(to), stride, typed, from_stride, n);
    }
    with_type(to_dtype, [&]<class To>() {
      convert(reinterpret_cast<To*>(to), stride, typed, from_stride, n);
    });
  });
}

}  // namespace tgm::TGM_TARGET
