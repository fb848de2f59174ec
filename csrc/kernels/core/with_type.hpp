// Calls of a function template with the C++ type of a dtype: f is a lambda []<class T>().
#pragma once

#include <cstdint>

#include "simd.hpp"
#include "tensor.hpp"

namespace tgm::TGM_TARGET {

// T is the type of the elements; a bool is a uint8_t.
template <class F>
TGM_INLINE auto with_type(DType dtype, F f) {
  switch (dtype) {
    case DType::Int8:
      return f.template operator()<int8_t>();
    case DType::Int16:
      return f.template operator()<int16_t>();
    case DType::Int32:
      return f.template operator()<int32_t>();
    case DType::Int64:
      return f.template operator()<int64_t>();
    case DType::UInt16:
      return f.template operator()<uint16_t>();
    case DType::UInt32:
      return f.template operator()<uint32_t>();
    case DType::Float32:
      return f.template operator()<float>();
    case DType::Float64:
      return f.template operator()<double>();
    default:
      return f.template operator()<uint8_t>();
  }
}

// The same for the dtypes of tapes: float, double or int64_t.
template <class F>
TGM_INLINE auto with_tape_type(DType dtype, F f) {
  if (dtype == DType::Float32) return f.template operator()<float>();
  if (dtype == DType::Float64) return f.template operator()<double>();
  return f.template operator()<int64_t>();
}

// T is the unsigned integer with the size of an element: for what only moves elements.
template <class F>
TGM_INLINE auto with_word(DType dtype, F f) {
  switch (item_size(dtype)) {
    case 1:
      return f.template operator()<uint8_t>();
    case 2:
      return f.template operator()<uint16_t>();
    case 4:
      return f.template operator()<uint32_t>();
    default:
      return f.template operator()<uint64_t>();
  }
}

}  // namespace tgm::TGM_TARGET
