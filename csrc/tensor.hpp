// What a kernel sees of its operands: a pointer, a dtype, a shape and strides.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tgm {

constexpr int kMaxDims = 8;

enum class DType : int32_t {
  Bool,
  Int8,
  Int16,
  Int32,
  Int64,
  UInt8,
  UInt16,
  UInt32,
  Float32,
  Float64
};

constexpr size_t item_size(DType dtype) {
  switch (dtype) {
    case DType::Bool:
    case DType::Int8:
    case DType::UInt8:
      return 1;
    case DType::Int16:
    case DType::UInt16:
      return 2;
    case DType::Int32:
    case DType::UInt32:
    case DType::Float32:
      return 4;
    case DType::Int64:
    case DType::Float64:
      return 8;
  }
  return 0;
}

// A strided array. Strides count elements, not bytes; 0 broadcasts a dimension.
struct Tensor {
  char* data;
  DType dtype;
  int32_t ndim;
  int64_t shape[kMaxDims];
  int64_t stride[kMaxDims];

  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data);
  }
};

}  // namespace tgm
