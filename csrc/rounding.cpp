#include "rounding.hpp"

#include <cfenv>
#include <cmath>

#if defined(__x86_64__) && defined(__GNUC__)
#define TGM_FMA __attribute__((target("avx2,fma")))
#define TGM_HAS_FMA __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2")
#else
#define TGM_FMA
#define TGM_HAS_FMA false
#endif

namespace tgm {
namespace {

// The processor's mode within a block. This file is compiled with -frounding-math.
class Mode {
 public:
  explicit Mode(Rounding mode) : before_(std::fegetround()) {
    static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    std::fesetround(modes[static_cast<int>(mode)]);
  }
  ~Mode() { std::fesetround(before_); }
  Mode(const Mode&) = delete;
  Mode& operator=(const Mode&) = delete;

 private:
  int before_;
};

template <class T>
TGM_FMA void fused_fast(size_t n, Factor<T> a, Factor<T> b, Factor<T> c, T* out) {
  if (a.step && b.step && c.step) {
    for (size_t i = 0; i < n; i++) out[i] = std::fma(a.data[i], b.data[i], c.data[i]);
    return;
  }
  for (size_t i = 0; i < n; i++) {
    out[i] = std::fma(a.data[i * a.step], b.data[i * b.step], c.data[i * c.step]);
  }
}

template <class T, class F>
void each(size_t n, Factor<T> a, Factor<T> b, T* out, F f) {
  for (size_t i = 0; i < n; i++) out[i] = f(a.data[i * a.step], b.data[i * b.step]);
}

}  // namespace

template <class T>
void rounded(Arithmetic op, Rounding mode, size_t n, Factor<T> a, Factor<T> b, Factor<T> c,
             T* out) {
  const Mode within(mode);
  switch (op) {
    case Arithmetic::Fma:
      if (TGM_HAS_FMA) return fused_fast(n, a, b, c, out);
      for (size_t i = 0; i < n; i++) {
        out[i] = std::fma(a.data[i * a.step], b.data[i * b.step], c.data[i * c.step]);
      }
      return;
    case Arithmetic::Add:
      return each(n, a, b, out, [](T x, T y) { return x + y; });
    case Arithmetic::Sub:
      return each(n, a, b, out, [](T x, T y) { return x - y; });
    case Arithmetic::Mul:
      return each(n, a, b, out, [](T x, T y) { return x * y; });
    case Arithmetic::Div:
      return each(n, a, b, out, [](T x, T y) { return x / y; });
    case Arithmetic::Sqrt:
      return each(n, a, b, out, [](T x, T) { return std::sqrt(x); });
  }
}

template void rounded(Arithmetic, Rounding, size_t, Factor<float>, Factor<float>, Factor<float>,
                      float*);
template void rounded(Arithmetic, Rounding, size_t, Factor<double>, Factor<double>, Factor<double>,
                      double*);

}  // namespace tgm
