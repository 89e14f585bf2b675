// Attention of one query a head over keys and values that are read once, in order.
#pragma once

#include "products.h"

namespace {

// What a query finds in some keys: powers are relative to `highest`, values not yet divided.
struct Found {
  float highest = -INFINITY, total = 0;
};

constexpr int64_t MANY = 4 * LANES;  // keys that are looked at before any of their values

// Has memory send what is needed next.
template <class T>
void ask(const T* from, int64_t count) {
  for (int64_t i = 0; i < count; i += 64 / int64_t(sizeof(T))) __builtin_prefetch(from + i);
}

// In the lanes of found[n], what adds up to the product of query n [N E] with one key [E].
template <int N, class T>
void meet(const float* q, const T* key, int64_t e, Floats* found) {
  Floats all[N] = {};
  int64_t i = 0;
  for (; i + LANES <= e; i += LANES) {
    const Floats some = wide(key + i);
    for (int n = 0; n < N; n++) all[n] += wide(q + n * e + i) * some;
  }
  for (; i < e; i++)
    for (int n = 0; n < N; n++) all[n][0] += q[n * e + i] * wide1(key + i);
  std::copy(all, all + N, found);
}

// mixed [N V] = less · mixed + Σ_s powers_s · value_s, over `many` values [many V].
template <int N, class T>
void mix(const float (*powers)[MANY], const T* v, int64_t many, int64_t width, const float* less,
         float* mixed, const float*) {
  int64_t i = 0;
  for (; i + LANES <= width; i += LANES) {
    Floats all[N];
    for (int n = 0; n < N; n++) all[n] = wide(mixed + n * width + i) * less[n];
    for (int64_t s = 0; s < many; s++) {
      const Floats value = wide(v + s * width + i);
      for (int n = 0; n < N; n++) all[n] += powers[n][s] * value;
    }
    for (int n = 0; n < N; n++) std::memcpy(mixed + n * width + i, &all[n], sizeof(Floats));
  }
  for (; i < width; i++)
    for (int n = 0; n < N; n++) {
      float& all = mixed[n * width + i];
      all *= less[n];
      for (int64_t s = 0; s < many; s++) all += powers[n][s] * wide1(v + s * width + i);
    }
}

#if defined(__AVX512BF16__)
template <int N>
void meet(const bf16* q, const bf16* key, int64_t e, Floats* found) {
  __m512 all[N] = {};
  for (int64_t i = 0; i < e; i += PAIRS) {
    const auto some = read<__m512bh>(key + i);
    for (int n = 0; n < N; n++) all[n] = _mm512_dpbf16_ps(all[n], read<__m512bh>(q + n * e + i), some);
  }
  for (int n = 0; n < N; n++) found[n] = (Floats)all[n];
}

// Two values at a time, whose columns come to lie side by side.
template <int N>
void mix(const float (*powers)[MANY], const bf16* v, int64_t many, int64_t width, const float* less,
         float* mixed, const bf16*) {
  alignas(64) bf16 rounded[N][MANY];
  for (int n = 0; n < N; n++)
    for (int64_t s = 0; s < MANY; s += LANES) narrow(wide(powers[n] + s), rounded[n] + s);
  constexpr int64_t NEXT = 32;  // numbers the second vector's from here on
  alignas(64) uint16_t order[2][PAIRS];
  for (int64_t i = 0; i < PAIRS; i++)
    for (int64_t half = 0; half < 2; half++) order[half][i] = half * LANES + i / 2 + i % 2 * NEXT;
  const auto low = read<__m512i>(order[0]), high = read<__m512i>(order[1]);
  for (int64_t i = 0; i < width; i += PAIRS) {
    __m512 all[N][2];
    for (int n = 0; n < N; n++)
      for (int64_t half = 0; half < 2; half++)
        all[n][half] = (__m512)(wide(mixed + n * width + i + half * LANES) * less[n]);
    for (int64_t s = 0; s < many; s += 2) {
      const auto one = read<__m512i>(v + s * width + i);
      const auto other = s + 1 < many ? read<__m512i>(v + (s + 1) * width + i) : __m512i{};
      const auto left = (__m512bh)_mm512_permutex2var_epi16(one, low, other);
      const auto right = (__m512bh)_mm512_permutex2var_epi16(one, high, other);
      for (int n = 0; n < N; n++) {
        const auto pair = (__m512bh)_mm512_set1_epi32(read<int32_t>(&rounded[n][s]));
        all[n][0] = _mm512_dpbf16_ps(all[n][0], left, pair);
        all[n][1] = _mm512_dpbf16_ps(all[n][1], right, pair);
      }
    }
    for (int n = 0; n < N; n++) std::memcpy(mixed + n * width + i, all[n], sizeof all[n]);
  }
}
#endif

// N queries of one group look at `count` keys; what they find is added to `found` and `mixed`.
template <int N, class Q, class T>
void look_at(const Q* q, const T* k, const T* v, int64_t count, int64_t e, int64_t width,
             float scale, Found* found, float* mixed) {
  alignas(64) float powers[N][MANY];
  for (int64_t start = 0; start < count; start += MANY, k += MANY * e, v += MANY * width) {
    const int64_t many = std::min(MANY, count - start);
    for (int64_t s = 0; s < MANY; s += LANES) {
      Floats parts[N][LANES] = {};
      for (int64_t j = s; j < std::min(s + LANES, many); j++) {
        Floats own[N];
        ask(v + j * width, width);
        meet<N>(q, k + j * e, e, own);
        for (int n = 0; n < N; n++) parts[n][j - s] = own[n];
      }
      for (int n = 0; n < N; n++) {
        Floats all = sums(parts[n]) * scale;
        for (int64_t lane = std::max<int64_t>(0, many - s); lane < LANES; lane++) all[lane] = -INFINITY;
        std::memcpy(powers[n] + s, &all, sizeof all);
      }
    }
    ask(k + many * e, std::min(MANY, count - start - many) * e);
    float less[N];
    for (int n = 0; n < N; n++) {
      Floats most = wide(powers[n]);
      for (int64_t s = LANES; s < MANY; s += LANES) {
        const Floats some = wide(powers[n] + s);
        most = some > most ? some : most;
      }
      const float top = std::max(found[n].highest, highest(most));
      Floats total = {};
      for (int64_t s = 0; s < MANY; s += LANES) {
        const Floats score = wide(powers[n] + s);
        const Floats power = score == -INFINITY ? Floats{} : exponential(score - top);
        std::memcpy(powers[n] + s, &power, sizeof power);
        total += power;
      }
      less[n] = std::exp(found[n].highest - top);
      found[n] = {top, found[n].total * less[n] + sum(total)};
    }
    mix<N>(powers, v, many, width, less, mixed, q);
  }
}

// q [B H E], k [B K C E], v [B K C V]; the query of row b sees its slots up to newest(b) -> y [B H V]
template <class T, class Q, class Newest, class Y>
void look_by(const Q* q, int64_t b, int64_t h, const Tensor& k, const Tensor& v,
                  const Newest& newest, float scale, Y* y) {
  const int64_t heads = k.size(1), room = k.size(2), e = k.size(3), width = v.size(3);
  const int64_t each = h / heads;
  int64_t furthest = 0;
  for (int64_t row = 0; row < b; row++) furthest = std::max(furthest, newest(row) + 1);
  // Some tasks for each thread, but none of a few slots alone.
  const int64_t tasks = (4 * torch::stable::get_num_threads() + b * heads - 1) / (b * heads);
  const int64_t slices = std::max<int64_t>(1, std::min(tasks, furthest / 128));
  const int64_t size = (furthest + slices - 1) / slices;  // slots that one task reads
  std::vector<Found> found(b * h * slices);               // by slice, then by head
  std::vector<float> sums(b * h * slices * width, 0);
  const T *keys = data<T>(k), *values = data<T>(v);
  parallel_for(0, b * heads * slices, 1, [&](int64_t from, int64_t until) {
    for (int64_t task = from; task < until; task++) {
      const int64_t slice = task / (b * heads), head = task % (b * heads);
      const int64_t start = slice * size;
      const int64_t count = std::min(size, newest(head / heads) + 1 - start);
      if (count <= 0) continue;
      const T *some_keys = keys + (head * room + start) * e,
              *some_values = values + (head * room + start) * width;
      int64_t i = 0;
      const auto look = [&](auto number) {
        constexpr int N = decltype(number)::value;
        for (; i + N <= each; i += N) {
          const int64_t at = head * each + i, place = slice * b * h + at;
          look_at<N>(q + at * e, some_keys, some_values, count, e, width, scale, &found[place],
                     &sums[place * width]);
        }
      };
      look(std::integral_constant<int, 4>{});
      look(std::integral_constant<int, 1>{});
    }
  });
  std::vector<float> all(width);
  for (int64_t at = 0; at < b * h; at++) {
    float highest = -INFINITY, total = 0;
    for (int64_t s = 0; s < slices; s++) highest = std::max(highest, found[s * b * h + at].highest);
    std::fill(all.begin(), all.end(), 0.0f);
    for (int64_t s = 0; s < slices; s++) {
      const Found& part = found[s * b * h + at];
      if (part.total == 0) continue;
      const float power = std::exp(part.highest - highest);
      const float* own = &sums[(s * b * h + at) * width];
      total += part.total * power;
      for (int64_t i = 0; i < width; i++) all[i] += power * own[i];
    }
    for (int64_t i = 0; i < width; i++) narrow(all[i] / total, y + at * width + i);
  }
}

// The same for queries in floats, which become pairs where the processor multiplies those.
template <class T, class Newest, class Y>
void look_through(const float* q, int64_t b, int64_t h, const Tensor& k, const Tensor& v,
                  const Newest& newest, float scale, Y* y) {
#if defined(__AVX512BF16__)
  if constexpr (std::is_same_v<T, bf16>) {
    if (k.size(3) % PAIRS == 0 && v.size(3) % PAIRS == 0) {
      std::vector<bf16> pairs(b * h * k.size(3));
      for (size_t i = 0; i < pairs.size(); i += LANES) narrow(wide(q + i), &pairs[i]);
      return look_by<T>(pairs.data(), b, h, k, v, newest, scale, y);
    }
  }
#endif
  look_by<T>(q, b, h, k, v, newest, scale, y);
}

}  // namespace
