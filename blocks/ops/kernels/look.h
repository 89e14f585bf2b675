// Attention of one query a head over keys and values that are read once, in order.
#pragma once

#include "products.h"

namespace {

// What a query finds in some keys: powers are relative to `highest`, values not yet divided.
struct Found {
  float highest = -INFINITY, total = 0;
};

// The scores of N queries [N E] with up to sixteen keys [count E], -inf in the lanes after them.
template <int N, class T>
void score(const float* q, const T* k, int64_t count, int64_t e, float scale, float (*scores)[64]) {
  Floats parts[N][LANES] = {};
  for (int64_t s = 0; s < count; s++) {
    int64_t i = 0;
    for (; i + LANES <= e; i += LANES) {
      const Floats key = wide(k + s * e + i);
      for (int n = 0; n < N; n++) parts[n][s] += wide(q + n * e + i) * key;
    }
    for (; i < e; i++)
      for (int n = 0; n < N; n++) parts[n][s][0] += q[n * e + i] * wide1(k + s * e + i);
  }
  for (int n = 0; n < N; n++) {
    Floats all = sums(parts[n]) * scale;
    for (int64_t s = count; s < LANES; s++) all[s] = -INFINITY;
    std::memcpy(scores[n], &all, sizeof all);
  }
}

// N queries of one group look at `count` keys; what they find is added to `found` and `sums`.
template <int N, class T>
void look_at(const float* q, const T* k, const T* v, int64_t count, int64_t e, int64_t width,
             float scale, Found* found, float* sums) {
  constexpr int64_t MANY = 4 * LANES;
  alignas(64) float scores[N][MANY];
  for (int64_t start = 0; start < count; start += MANY) {
    const int64_t many = std::min(MANY, count - start);
    float less[N];
    for (int n = 0; n < N; n++) std::fill(scores[n], scores[n] + MANY, -INFINITY);
    for (int64_t s = 0; s < many; s += LANES) {
      const auto to = reinterpret_cast<float(*)[MANY]>(&scores[0][s]);
      score<N>(q, k + (start + s) * e, std::min(LANES, many - s), e, scale, to);
    }
    for (int n = 0; n < N; n++) {
      const float highest = std::max(found[n].highest, *std::max_element(scores[n], scores[n] + many));
      Floats total = {};
      for (int64_t s = 0; s < MANY; s += LANES) {
        const Floats power = exponential(wide(scores[n] + s) - highest);
        std::memcpy(scores[n] + s, &power, sizeof power);
      }
      std::fill(scores[n] + many, scores[n] + MANY, 0.0f);
      for (int64_t s = 0; s < MANY; s += LANES) total += wide(scores[n] + s);
      less[n] = std::exp(found[n].highest - highest);
      found[n] = {highest, found[n].total * less[n] + sum(total)};
    }
    int64_t i = 0;
    for (; i + LANES <= width; i += LANES) {
      Floats all[N];
      for (int n = 0; n < N; n++) all[n] = wide(sums + n * width + i) * less[n];
      for (int64_t s = 0; s < many; s++) {
        const Floats value = wide(v + (start + s) * width + i);
        for (int n = 0; n < N; n++) all[n] += scores[n][s] * value;
      }
      for (int n = 0; n < N; n++) std::memcpy(sums + n * width + i, &all[n], sizeof(Floats));
    }
    for (; i < width; i++)
      for (int n = 0; n < N; n++) {
        float& all = sums[n * width + i];
        all *= less[n];
        for (int64_t s = 0; s < many; s++) all += scores[n][s] * wide1(v + (start + s) * width + i);
      }
  }
}

// q [B H E], k [B K C E], v [B K C V]; the query of row b sees its slots up to newest(b) -> y [B H V]
template <class T, class Newest, class Y>
void look_through(const float* q, int64_t b, int64_t h, const Tensor& k, const Tensor& v,
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

}  // namespace
