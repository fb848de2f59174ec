// Arithmetic that NumPy lacks: multiply-adds that round once, and directed rounding.
#pragma once

#include <cstddef>

namespace tgm {

enum class Arithmetic { Fma, Add, Sub, Mul, Div, Sqrt };
enum class Rounding { Nearest, Zero, Down, Up };

// An operand of n results: an element for each, or one for all (step 0).
template <class T>
struct Factor {
  const T* data;
  size_t step;
};

// out[i] = a[i] op b[i], or a[i] * b[i] + c[i], rounded once in this mode. Sqrt takes a alone.
template <class T>
void rounded(Arithmetic op, Rounding mode, size_t n, Factor<T> a, Factor<T> b, Factor<T> c, T* out);

}  // namespace tgm
