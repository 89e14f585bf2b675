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

// Not every compiler has a type of its own for it.
struct fp16 {
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

// Half precision as floats: the exponent, which is 112 less than theirs, is put right by a product,
// which makes numbers of subnormal ones too; what is no number has all bits of it set.
inline Floats widened(Words halves) {
  const Words size = (halves & 0x7fffu) << 13;
  const Floats number = read<Floats>(&size) * 0x1p112f;
  const Words none = (Words)((halves & 0x7c00u) == 0x7c00u) & 0x7f800000u;
  const Words found = read<Words>(&number) | none | (halves & 0x8000u) << 16;
  return read<Floats>(&found);
}

inline Floats wide(const fp16* from) {
#if defined(__AVX512F__)
  return (Floats)_mm512_cvtph_ps(read<__m256i>(from));
#elif defined(__F16C__)
  typedef float Eight __attribute__((vector_size(32)));
  const Eight low = (Eight)_mm256_cvtph_ps(read<__m128i>(from));
  const Eight high = (Eight)_mm256_cvtph_ps(read<__m128i>(from + 8));
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#else
  return widened(__builtin_convertvector(read<Halves>(from), Words));
#endif
}

inline float wide1(const float* from) { return *from; }
inline float wide1(const fp16* from) {
  const uint32_t size = (from->bits & 0x7fffu) << 13;
  const float number = read<float>(&size) * 0x1p112f;
  const uint32_t none = (from->bits & 0x7c00u) == 0x7c00u ? 0x7f800000u : 0;
  const uint32_t found = read<uint32_t>(&number) | none | (from->bits & 0x8000u) << 16;
  return read<float>(&found);
}

inline float wide1(const bf16* from) {
  const uint32_t word = uint32_t(from->bits) << 16;
  return read<float>(&word);
}

inline void narrow(float value, float* to) { *to = value; }
inline void narrow(float value, fp16* to) {
  const uint32_t word = read<uint32_t>(&value), size = word & 0x7fffffff;
  uint32_t found;
  if (size >= 0x47800000) {  // 65536
    found = size > 0x7f800000 ? 0x7e00 : 0x7c00;
  } else if (size < 0x38800000) {  // 2^-14: subnormal numbers are multiples of what 0.5 ends with
    const float shifted = read<float>(&size) + 0.5f;
    found = read<uint32_t>(&shifted) - 0x3f000000;
  } else {
    found = (size - (112u << 23) + 0xfff + ((size >> 13) & 1)) >> 13;  // to even
  }
  to->bits = uint16_t(found | (word >> 16 & 0x8000));
}
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
#elif defined(__AVX2__)
  typedef int32_t Eight __attribute__((vector_size(32)));
  const __m256i all = _mm256_set1_epi32(x), odd = _mm256_srai_epi16(all, 8);
  const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(all, 8), 8);
  const auto add = [&](Eight own, Eight four) {
    const __m256i low = _mm256_and_si256((__m256i)four, _mm256_set1_epi16(255));
    const __m256i high = _mm256_srli_epi16((__m256i)four, 8);
    return own + (Eight)_mm256_madd_epi16(low, even) + (Eight)_mm256_madd_epi16(high, odd);
  };
  const Ints fours = (Ints)weights;
  const Eight a = add(__builtin_shufflevector(sums, sums, 0, 1, 2, 3, 4, 5, 6, 7),
                      __builtin_shufflevector(fours, fours, 0, 1, 2, 3, 4, 5, 6, 7));
  const Eight b = add(__builtin_shufflevector(sums, sums, 8, 9, 10, 11, 12, 13, 14, 15),
                      __builtin_shufflevector(fours, fours, 8, 9, 10, 11, 12, 13, 14, 15));
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#else
  for (int b = 0; b < 4; b++) {
    const Words byte = (weights >> (8 * b)) & 255u;
    sums += (Ints)byte * int32_t(int8_t(uint32_t(x) >> (8 * b)));
  }
  return sums;
#endif
}

}  // namespace
