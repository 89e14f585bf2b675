// Products with matrices kept in 8 or 4 bits a weight, of whole numbers: rows of x are rounded to bytes.
#pragma once

#include <memory>

#include "products.h"

namespace {

constexpr int64_t GROUP = 32;           // weights that share a scale
#if defined(__AVX512F__)  // rows, and sixteens of outputs, whose sums registers hold
constexpr int64_t TALL = 4, BROAD = 2;
#else
constexpr int64_t TALL = 2, BROAD = 1;
#endif
constexpr int64_t KEPT = 1 << 19;       // bytes of x that a core's cache holds beside weights

// A group of a row: its scale times whole numbers from −127 to 127. Weights are stored as what is never
// negative; a sum of products that begins at `start` comes out as if they weren't.
struct Part {
  int8_t numbers[GROUP];
  float scale;
  int32_t start;
};

// NaN or infinity anywhere in a group makes its scale NaN.
inline void round_to(Part& to, Floats a, Floats b, int32_t above) {
  typedef int8_t Sixteen __attribute__((vector_size(16)));
  const float most = highest(abs(a) > abs(b) ? abs(a) : abs(b));
  const float times = most < 1e-30f ? 0 : 127 / most;  // of less the inverse could be infinite
  a = rounded(a * times);
  b = rounded(b * times);
  const float total = sum(a + b);
  const Sixteen left = __builtin_convertvector(__builtin_convertvector(a, Ints), Sixteen);
  const Sixteen right = __builtin_convertvector(__builtin_convertvector(b, Ints), Sixteen);
  std::memcpy(to.numbers, &left, sizeof left);
  std::memcpy(to.numbers + LANES, &right, sizeof right);
  to.scale = most / 127 + 0 * total;
  to.start = total == total ? -above * int32_t(total) : 0;
}

// Rows in groups: those that are multiplied at once lie side by side, group after group.
template <class X>
std::unique_ptr<Part[]> in_parts(const X* x, int64_t n, int64_t d, int64_t groups, const Work& work,
                                 int32_t above) {
  std::unique_ptr<Part[]> parts(new Part[n * groups]);
  std::vector<int64_t> starts(n), steps(n);
  for (const Job& job : work.jobs)
    for (int64_t k = 0; k < job.count; k++) {
      const int64_t first = k / TALL * TALL;
      starts[job.row + k] = (job.row + first) * groups + k - first;
      steps[job.row + k] = std::min(TALL, job.count - first);
    }
  parallel_for(0, n, (1 << 15) / d + 1, [&](int64_t from, int64_t until) {
    for (int64_t k = from; k < until; k++) {
      const X* row = x + k * d;
      Part* to = &parts[starts[k]];
      int64_t i = 0;
      for (; i + GROUP <= d; i += GROUP, to += steps[k])
        round_to(*to, wide(row + i), wide(row + i + LANES), above);
      if (i == d) continue;
      float last[GROUP] = {};
      for (int64_t j = i; j < d; j++) last[j - i] = wide1(row + j);
      round_to(*to, wide(last), wide(last + LANES), above);
    }
  });
  return parts;
}

// R rows of x times T sixteens of outputs. A byte holds weight + 128; a nibble, of two in a byte whose
// lower one is 16 inputs earlier, weight + 8.
template <int BITS, int R, int T>
void tile(const uint8_t* w, const _Float16* scales, const Part* x, int64_t groups,
          Floats (&sums)[TALL][BROAD]) {
  constexpr int64_t SIZE = GROUP * LANES * BITS / 8;
  Floats found[R][T] = {};
  for (int64_t g = 0; g < groups; g++, w += SIZE, scales += LANES, x += R) {
    Ints all[R][T];
    for (int r = 0; r < R; r++)
      for (int t = 0; t < T; t++) all[r][t] = Ints{} + x[r].start;
    for (int j = 0; j < 4; j++) {
      Words first[T], second[T];
      for (int t = 0; t < T; t++) {
        const uint8_t* from = w + t * groups * SIZE + SIZE / 4 * j;
        first[t] = read<Words>(from);
        second[t] = BITS == 8 ? read<Words>(from + 64) : (first[t] >> 4) & 0x0f0f0f0fu;
        if (BITS == 4) first[t] &= 0x0f0f0f0fu;
      }
      for (int r = 0; r < R; r++) {
        const auto a = read<int32_t>(x[r].numbers + (BITS == 8 ? 8 * j : 4 * j));
        const auto b = read<int32_t>(x[r].numbers + (BITS == 8 ? 8 * j + 4 : 16 + 4 * j));
        for (int t = 0; t < T; t++) all[r][t] = dot4(dot4(all[r][t], first[t], a), second[t], b);
      }
    }
    for (int t = 0; t < T; t++) {
      const Floats scale = wide(scales + t * groups * LANES);
      for (int r = 0; r < R; r++)
        found[r][t] += __builtin_convertvector(all[r][t], Floats) * (scale * x[r].scale);
    }
  }
  for (int r = 0; r < R; r++)
    for (int t = 0; t < T; t++) sums[r][t] = found[r][t];
}

// The same, of at most that many.
template <int BITS, int R = TALL, int T = BROAD, class... More>
void tile_of(int64_t rows, int64_t tiles, More&... more) {
  if constexpr (R > 1)
    if (rows < R) return tile_of<BITS, R - 1, T>(rows, tiles, more...);
  if constexpr (T > 1)
    if (tiles < T) return tile_of<BITS, R, T - 1>(rows, tiles, more...);
  tile<BITS, R, T>(more...);
}

template <class Y>
void put(Floats sums, int64_t count, Y* to) {
  if constexpr (std::is_same_v<Y, bf16>)
    if (count == LANES) return narrow(sums, to);
  for (int64_t i = 0; i < count; i++) narrow(sums[i], to + i);
}

// Parts of such a size that make up a whole.
inline int64_t share(int64_t whole, int64_t size) { return (whole + size - 1) / size; }

// Rows of a job that one part of the work takes.
inline int64_t rows_at_once(int64_t count, int64_t groups) {
  const int64_t parts = share(count, KEPT / int64_t(groups * sizeof(Part)) + 1);
  return parts ? share(share(count, parts), TALL) * TALL : 1;
}

// x [N D]; weights [O/16 G ·], bytes as `tile` reads them; scales [O/16 G 16]; outs: rows of each matrix
// -> y [N ΣO_i]. What comes of a row does not depend on the others.
template <int BITS, class X, class Y>
void multiply_packed(const X* x, int64_t n, int64_t d, const std::vector<Tensor>& weights,
                     const std::vector<Tensor>& scales, const std::vector<int64_t>& outs,
                     const std::vector<int64_t>& counts, Y* y) {
  const int64_t groups = scales[0].size(1), size = GROUP * LANES * BITS / 8;
  const size_t each = counts.empty() ? outs.size() : outs.size() / counts.size();
  // Sixteens of outputs at once: a lone row waits for the memory, which likes one stream best.
  const auto broad = [](int64_t count) { return count > 1 ? BROAD : 1; };
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < outs.size(); i++) {
    const int64_t count = counts.empty() ? n : counts[i / each], some = rows_at_once(count, groups);
    sizes.push_back(share(weights[i].size(0), broad(count)) * share(count, some));
  }
  const Work work(counts, n, sizes, outs);
  const std::vector<int64_t> tiles_of = rows_of(weights);
  const auto bytes = starts_of<uint8_t>(weights);
  const auto steps = starts_of<_Float16>(scales);
  const auto parts = in_parts(x, n, d, groups, work, BITS == 8 ? 128 : 8);
  work.divide(1, [&](const Job& job, int64_t own) {
    const int64_t all = tiles_of[job.which], across = share(all, broad(job.count));
    const int64_t some = rows_at_once(job.count, groups), start = own / across * some;
    const int64_t last = std::min(job.count, start + some);
    const int64_t o = own % across * broad(job.count), out = o * LANES;
    const int64_t tiles = std::min(broad(job.count), all - o);
    const uint8_t* w = bytes[job.which] + o * groups * size;
    const _Float16* s = steps[job.which] + o * groups * LANES;
    for (int64_t k = start; k < last; k += TALL) {
      const int64_t rows = std::min(TALL, last - k);
      const Part* from = &parts[(job.row + k) * groups];
      Floats sums[TALL][BROAD];
      tile_of<BITS>(rows, tiles, w, s, from, groups, sums);
      for (int64_t r = 0; r < rows; r++)
        for (int64_t t = 0; t < tiles; t++)
          put(sums[r][t], std::min(LANES, work.outs[job.which] - out - t * LANES),
              y + (job.row + k + r) * work.all + job.column + out + t * LANES);
    }
  });
}

}  // namespace
