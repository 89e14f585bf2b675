// What lies between the products of many rows, each in one pass over them.
#pragma once

#include "products.h"

namespace {
namespace many_rows {

constexpr int64_t PASS = 1 << 14;  // numbers that are worth a thread's while

// run(row) for all rows of some numbers each, by all threads.
template <class F>
void each_row(int64_t rows, int64_t width, const F& run) {
  parallel_for(0, rows, std::max<int64_t>(1, PASS / width), [&](int64_t from, int64_t until) {
    for (int64_t row = from; row < until; row++) run(row);
  });
}

template <class T>
inline void put(Floats values, T* to) {
  if constexpr (std::is_same_v<T, bf16>)
    narrow(values, to);
  else
    for (int64_t i = 0; i < LANES; i++) narrow(values[i], to + i);
}

// A number as T has it.
template <class T>
inline float rounded_to(float value) {
  T found;
  narrow(value, &found);
  return wide1(&found);
}

// x [N D] / √(mean(x²) + eps) · (offset + w), rounded before w is multiplied or after.
template <class T>
void norm_rows(const T* x, int64_t n, int64_t d, const T* w, float eps, float offset, bool before, T* y) {
  std::vector<float> times(d);
  for (int64_t i = 0; i < d; i++) {
    times[i] = wide1(w + i) + offset;
    if (before) times[i] = rounded_to<T>(times[i]);
  }
  each_row(n, d, [&](int64_t row) {
    const T* from = x + row * d;
    T* to = y + row * d;
    Floats squares = {};
    int64_t i = 0;
    for (; i + LANES <= d; i += LANES) squares += wide(from + i) * wide(from + i);
    float all = sum(squares);
    for (; i < d; i++) all += wide1(from + i) * wide1(from + i);
    const float size = 1 / std::sqrt(all / d + eps);
    for (i = 0; i + LANES <= d; i += LANES) {
      if (before) {
        put(wide(from + i) * size, to + i);
        put(wide(to + i) * wide(&times[i]), to + i);
      } else {
        put(wide(from + i) * size * wide(&times[i]), to + i);
      }
    }
    for (; i < d; i++) {
      const float own = wide1(from + i) * size;
      narrow((before ? rounded_to<T>(own) : own) * times[i], to + i);
    }
  });
}

// One head of one token: channels of a pair, which lie side by side or `half` apart, turned by an angle.
template <class T>
inline void turn_row(const T* x, const T* cos, const T* sin, int64_t half, bool adjacent, T* y) {
  int64_t i = 0;
  if (!adjacent)
    for (; i + LANES <= half; i += LANES) {
      const Floats a = wide(x + i), b = wide(x + half + i), c = wide(cos + i), s = wide(sin + i);
      put(a * c - b * s, y + i);
      put(b * c + a * s, y + half + i);
    }
  for (; i < half; i++) {
    const int64_t one = adjacent ? 2 * i : i, other = adjacent ? 2 * i + 1 : half + i;
    const float a = wide1(x + one), b = wide1(x + other), c = wide1(cos + i), s = wide1(sin + i);
    narrow(a * c - b * s, y + one);
    narrow(b * c + a * s, y + other);
  }
}

}  // namespace many_rows
}  // namespace
