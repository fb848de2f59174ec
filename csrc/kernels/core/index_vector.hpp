// Vectors of indices or labels, of any integer dtype.
#pragma once

#include "simd.hpp"
#include "tensor.hpp"

namespace tgm::TGM_TARGET {

TGM_INLINE bool is_integer(DType dtype) {
  return dtype != DType::Float32 && dtype != DType::Float64 && dtype != DType::Bool;
}

// The integer at p.
TGM_INLINE int64_t read_integer(const char* p, DType dtype) {
  switch (dtype) {
    case DType::Int8:
      return *reinterpret_cast<const int8_t*>(p);
    case DType::Int16:
      return *reinterpret_cast<const int16_t*>(p);
    case DType::Int32:
      return *reinterpret_cast<const int32_t*>(p);
    case DType::Int64:
      return *reinterpret_cast<const int64_t*>(p);
    case DType::UInt16:
      return *reinterpret_cast<const uint16_t*>(p);
    case DType::UInt32:
      return *reinterpret_cast<const uint32_t*>(p);
    default:
      return *reinterpret_cast<const uint8_t*>(p);
  }
}

// Element i of an index vector into `size` elements; negative ones count from the end. check_range
// has refused what is out of range. In a plan without it such an index counts as 0, so that no
// access leaves a buffer; callers don't read an empty axis.
TGM_INLINE int64_t read_index(const Tensor& index, int64_t i, int64_t size) {
  const auto item = static_cast<int64_t>(item_size(index.dtype));
  const int64_t value = read_integer(index.data + i * index.stride[0] * item, index.dtype);
  const int64_t from_start = value < 0 ? value + size : value;
  return static_cast<uint64_t>(from_start) < static_cast<uint64_t>(size) ? from_start : 0;
}

}  // namespace tgm::TGM_TARGET
