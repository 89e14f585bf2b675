// Sixteen numbers at a time, in the compiler's own vectors: AVX-512, AVX2 and NEON all come of them.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

constexpr int64_t LANES = 16;

typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));

struct bf16 {
  uint16_t bits;
};

template <class V>
V read(const void* from) {
  V v;
  std::memcpy(&v, from, sizeof(V));
  return v;
}

inline Floats wide(const float* from) { return read<Floats>(from); }

inline Floats wide(const bf16* from) {
  const Words words = __builtin_convertvector(read<Halves>(from), Words) << 16;
  return read<Floats>(&words);
}

inline Floats wide(const _Float16* from) {
#if defined(__AVX512F__)  // of the plain form, GCC makes sixteen scalar conversions
  return (Floats)_mm512_cvtph_ps(read<__m256i>(from));
#elif defined(__F16C__)
  typedef float Eight __attribute__((vector_size(32)));
  const Eight low = (Eight)_mm256_cvtph_ps(read<__m128i>(from));
  const Eight high = (Eight)_mm256_cvtph_ps(read<__m128i>(from + 8));
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#else
  typedef _Float16 Sixteen __attribute__((vector_size(32)));
  return __builtin_convertvector(read<Sixteen>(from), Floats);
#endif
}

inline float wide1(const float* from) { return *from; }
inline float wide1(const _Float16* from) { return static_cast<float>(*from); }
inline float wide1(const bf16* from) {
  const uint32_t word = uint32_t(from->bits) << 16;
  return read<float>(&word);
}

inline void narrow(float value, float* to) { *to = value; }
inline void narrow(float value, _Float16* to) { *to = static_cast<_Float16>(value); }
inline void narrow(float value, bf16* to) {
  uint32_t word;
  std::memcpy(&word, &value, 4);
  if (value != value) {
    to->bits = 0x7fc0;  // rounding could make an infinity of a NaN
  } else {
    to->bits = uint16_t((word + 0x7fff + ((word >> 16) & 1)) >> 16);  // to even, as torch does
  }
}

// Sixteen at once.
inline void narrow(Floats values, bf16* to) {
#if defined(__AVX512BF16__)
  const __m256bh found = _mm512_cvtneps_pbh((__m512)values);
  std::memcpy(to, &found, sizeof found);
#else
  for (int64_t i = 0; i < LANES; i++) narrow(values[i], to + i);
#endif
}

inline Floats abs(Floats v) { return v < 0.0f ? -v : v; }

inline float sum(Floats v) {
  typedef float Eight __attribute__((vector_size(32)));
  typedef float Four __attribute__((vector_size(16)));
  const Eight eight = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                      __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  const Four four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) +
                    __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

inline float highest(Floats v) {
  typedef float Eight __attribute__((vector_size(32)));
  typedef float Four __attribute__((vector_size(16)));
  const Eight a = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7),
              b = __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  const Eight eight = a > b ? a : b;
  const Four c = __builtin_shufflevector(eight, eight, 0, 1, 2, 3),
             d = __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  const Four four = c > d ? c : d;
  const float left = four[0] > four[1] ? four[0] : four[1];
  const float right = four[2] > four[3] ? four[2] : four[3];
  return left > right ? left : right;
}

// The sums of sixteen vectors, each in its lane: halves of two vectors at a time become one.
inline Floats sums(const Floats* v) {
  Floats w[8], u[4], t[2];
  for (int i = 0; i < 8; i++)
    w[i] = __builtin_shufflevector(v[i], v[i + 8], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21,
                                   22, 23) +
           __builtin_shufflevector(v[i], v[i + 8], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28,
                                   29, 30, 31);
  for (int i = 0; i < 4; i++)
    u[i] = __builtin_shufflevector(w[i], w[i + 4], 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25,
                                   26, 27) +
           __builtin_shufflevector(w[i], w[i + 4], 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28,
                                   29, 30, 31);
  for (int i = 0; i < 2; i++)
    t[i] = __builtin_shufflevector(u[i], u[i + 2], 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13,
                                   28, 29) +
           __builtin_shufflevector(u[i], u[i + 2], 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14,
                                   15, 30, 31);
  return __builtin_shufflevector(t[0], t[1], 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14,
                                 30) +
         __builtin_shufflevector(t[0], t[1], 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15,
                                 31);
}

// The nearest whole number, of numbers below 2^22: to even at the middle.
inline Floats rounded(Floats v) {
  constexpr float SHIFT = 12582912;  // 1.5 · 2^23: what is added to it loses its fraction
  return (v + SHIFT) - SHIFT;
}

// e^v for v <= 0, to about one unit in the last place: 2^n from the exponent's bits, the rest by
// its Taylor series.
inline Floats exponential(Floats v) {
  v = v < -87.0f ? Floats{} - 87.0f : v;
  const Floats n = rounded(v * 1.44269504f);
  const Floats r = (v - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  Floats p = r * (1 / 720.0f) + 1 / 120.0f;
  p = p * r + 1 / 24.0f;
  p = p * r + 1 / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const Ints power = (__builtin_convertvector(n, Ints) + 127) << 23;
  return p * read<Floats>(&power);
}

// 1 / (1 + e^−v), from e^−|v|, which can't overflow.
inline Floats sigmoid(Floats v) {
  const Floats power = exponential(v < 0.0f ? v : -v);
  return (v < 0.0f ? power : Floats{} + 1.0f) / (1.0f + power);
}

// sums + Σ_b weights[b] · x[b] in each lane: four unsigned bytes of weights, four signed ones of x.
inline Ints dot4(Ints sums, Words weights, int32_t x) {
#if defined(__AVX512VNNI__)
  return (Ints)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)weights, _mm512_set1_epi32(x));
#else
  for (int b = 0; b < 4; b++) {
    const Words byte = (weights >> (8 * b)) & 255u;
    sums += (Ints)byte * int32_t(int8_t(uint32_t(x) >> (8 * b)));
  }
  return sums;
#endif
}

}  // namespace
