#include "kernels/tape/convert.hpp"

namespace tgm::TGM_TARGET {
namespace {

template <class To, class From>
TGM_INLINE To converted(From x) {
  // Through int64, so that all small integers wrap alike.
  if constexpr (std::is_same_v<To, bool>) {
    return x != 0;
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    return static_cast<To>(static_cast<int64_t>(x));
  } else {
    return static_cast<To>(x);
  }
}

template <class To, class From>
void convert(To* to, int64_t to_stride, const From* from, int64_t from_stride, int64_t n) {
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

template <class To>
void load_as(To* to, DType from_dtype, const char* from, int64_t stride, int64_t n) {
  const auto load_from = [&](const auto* typed) { convert(to, 1, typed, stride, n); };
  switch (from_dtype) {
    case DType::Bool:
    case DType::UInt8:
      return load_from(reinterpret_cast<const uint8_t*>(from));
    case DType::Int8:
      return load_from(reinterpret_cast<const int8_t*>(from));
    case DType::Int16:
      return load_from(reinterpret_cast<const int16_t*>(from));
    case DType::Int32:
      return load_from(reinterpret_cast<const int32_t*>(from));
    case DType::Int64:
      return load_from(reinterpret_cast<const int64_t*>(from));
    case DType::Float32:
      return load_from(reinterpret_cast<const float*>(from));
    case DType::Float64:
      return load_from(reinterpret_cast<const double*>(from));
  }
}

template <class From>
void store_as(DType to_dtype, char* to, int64_t stride, const From* from, int64_t from_stride,
              int64_t n) {
  const auto store_to = [&](auto* typed) { convert(typed, stride, from, from_stride, n); };
  switch (to_dtype) {
    case DType::Bool:
      return store_to(reinterpret_cast<bool*>(to));
    case DType::UInt8:
      return store_to(reinterpret_cast<uint8_t*>(to));
    case DType::Int8:
      return store_to(reinterpret_cast<int8_t*>(to));
    case DType::Int16:
      return store_to(reinterpret_cast<int16_t*>(to));
    case DType::Int32:
      return store_to(reinterpret_cast<int32_t*>(to));
    case DType::Int64:
      return store_to(reinterpret_cast<int64_t*>(to));
    case DType::Float32:
      return store_to(reinterpret_cast<float*>(to));
    case DType::Float64:
      return store_to(reinterpret_cast<double*>(to));
  }
}

}  // namespace

void load_elements(DType to_dtype, void* to, DType from_dtype, const char* from, int64_t stride,
                   int64_t n) {
  if (to_dtype == DType::Float32) {
    load_as(static_cast<float*>(to), from_dtype, from, stride, n);
  } else if (to_dtype == DType::Float64) {
    load_as(static_cast<double*>(to), from_dtype, from, stride, n);
  } else {
    load_as(static_cast<int64_t*>(to), from_dtype, from, stride, n);
  }
}

void store_elements(DType to_dtype, char* to, int64_t stride, DType from_dtype, const void* from,
                    int64_t from_stride, int64_t n) {
  if (from_dtype == DType::Float32) {
    store_as(to_dtype, to, stride, static_cast<const float*>(from), from_stride, n);
  } else if (from_dtype == DType::Float64) {
    store_as(to_dtype, to, stride, static_cast<const double*>(from), from_stride, n);
  } else {
    store_as(to_dtype, to, stride, static_cast<const int64_t*>(from), from_stride, n);
  }
}

}  // namespace tgm::TGM_TARGET
