// Products with matrices kept in 8 or 4 bits a weight, of whole numbers: rows of x are rounded to bytes.
#pragma once

#include <atomic>
#include <memory>

#include "products.h"

namespace {

constexpr int64_t GROUP = 32;      // weights that share a scale
constexpr int64_t KEPT = 1 << 19;  // bytes of x that a core's cache holds beside weights
constexpr int64_t TALL = 4;        // rows, and sixteens of outputs, whose sums registers hold
#if defined(__AVX512VNNI__)
constexpr int64_t BROAD = 2;
constexpr int64_t FEW_PACKED = INT64_MAX;  // rows up to which unpacking and torch's product are slower
#else
constexpr int64_t BROAD = 1;
constexpr int64_t FEW_PACKED = 64;
#endif

// A group of a row: its scale times whole numbers from −127 to 127. Weights are kept as what is never
// negative; a sum of products that begins at `start` comes out as if they weren't.
struct Bytes {
  int8_t numbers[GROUP];
  float scale;
  int32_t start;
};

// NaN or infinity anywhere in a group makes its scale NaN.
inline void round_to(Bytes& to, Floats a, Floats b, int32_t above) {
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
std::unique_ptr<Bytes[]> in_bytes(const X* x, int64_t n, int64_t d, int64_t groups, const Work& work,
                                  int32_t above) {
  std::unique_ptr<Bytes[]> bytes(new Bytes[n * groups]);
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
      Bytes* to = &bytes[starts[k]];
      int64_t i = 0;
      for (; i + GROUP <= d; i += GROUP, to += steps[k])
        round_to(*to, wide(row + i), wide(row + i + LANES), above);
      if (i == d) continue;
      float last[GROUP] = {};
      for (int64_t j = i; j < d; j++) last[j - i] = wide1(row + j);
      round_to(*to, wide(last), wide(last + LANES), above);
    }
  });
  return bytes;
}

// Sixteen outputs: for each group of inputs 512 bytes, weight + 128, or 256, in each two weights + 8, of
// which the upper one is 16 inputs further; and 16 scales.
struct Sixteen {
  const uint8_t* bytes;
  const fp16* scales;
};

// R rows of x times T sixteens of outputs; those of a row go to sums[2 r] and what follows.
template <int BITS, int R, int T>
void tile(const Sixteen* own, const Bytes* x, int64_t groups, Floats* sums) {
  constexpr int64_t SIZE = GROUP * LANES * BITS / 8;
  Floats found[R][T] = {};
  for (int64_t g = 0; g < groups; g++, x += R) {
    Ints all[R][T];
    for (int r = 0; r < R; r++)
      for (int t = 0; t < T; t++) all[r][t] = Ints{} + x[r].start;
    for (int j = 0; j < 4; j++) {
      Words first[T], second[T];
      for (int t = 0; t < T; t++) {
        const uint8_t* from = own[t].bytes + g * SIZE + SIZE / 4 * j;
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
      const Floats scale = wide(own[t].scales + g * LANES);
      for (int r = 0; r < R; r++)
        found[r][t] += __builtin_convertvector(all[r][t], Floats) * (scale * x[r].scale);
    }
  }
  for (int r = 0; r < R; r++)
    for (int t = 0; t < T; t++) sums[2 * r + t] = found[r][t];
}

// The same, of at most that many.
template <int BITS, int R = TALL, int T = BROAD, class... More>
void tile_of(int64_t rows, int64_t broad, const More&... more) {
  if constexpr (R > 1)
    if (rows < R) return tile_of<BITS, R - 1, T>(rows, broad, more...);
  if constexpr (T > 1)
    if (broad < T) return tile_of<BITS, R, T - 1>(rows, broad, more...);
  tile<BITS, R, T>(more...);
}

// Parts of such a size that make up a whole.
inline int64_t pieces(int64_t whole, int64_t size) { return (whole + size - 1) / size; }

// Rows that are taken at a time: parts of about the same size, which the cache holds.
inline int64_t rows_at_once(int64_t count, int64_t groups) {
  const int64_t parts = pieces(count, KEPT / int64_t(groups * sizeof(Bytes)) + 1);
  return parts ? pieces(pieces(count, parts), TALL) * TALL : 1;
}

// Packed matrices: bytes [O/16 G ·] and scales [O/16 G 16] of each.
struct Packed {
  std::vector<const uint8_t*> bytes;
  std::vector<const fp16*> scales;
  int64_t groups;

  Packed(const std::vector<Tensor>& weights, const std::vector<Tensor>& scales_)
      : bytes(starts_of<uint8_t>(weights)),
        scales(starts_of<fp16>(scales_)),
        groups(scales_[0].size(1)) {}

  template <int BITS>
  Sixteen sixteen(size_t which, int64_t o) const {
    const int64_t at = o * groups * LANES;
    return {bytes[which] + at * GROUP * BITS / 8, scales[which] + at};
  }
};

// x [N D] times matrices of `outs` rows, a sixteen of outputs and its `other` at a time: the next one, or
// that of the matrix in the same place of `others`. finish(row, column, outputs, both sums).
template <int BITS, class X, class F>
void multiply_twos(const X* x, int64_t n, int64_t d, const Packed& own, const Packed* others,
                   const std::vector<int64_t>& outs, const std::vector<int64_t>& counts,
                   const F& finish) {
  const int64_t groups = own.groups;
  const size_t each = counts.empty() ? outs.size() : outs.size() / counts.size();
  // A lone row waits for the memory, which likes one stream best.
  const auto step = [&](int64_t count) { return count > 1 && !others ? BROAD : 1; };
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < outs.size(); i++) {
    const int64_t count = counts.empty() ? n : counts[i / each];
    sizes.push_back(pieces(outs[i], step(count) * LANES) * pieces(count, rows_at_once(count, groups)));
  }
  const Work work(counts, n, sizes, outs);
  const auto bytes = in_bytes(x, n, d, groups, work, BITS == 8 ? 128 : 8);
  work.divide(1, [&](const Job& job, int64_t part) {
    const int64_t out = work.outs[job.which], all = pieces(out, step(job.count) * LANES);
    const int64_t some = rows_at_once(job.count, groups), start = part / all * some;
    const int64_t o = part % all * step(job.count);
    const int64_t count = std::min(out - o * LANES, step(job.count) * LANES);
    const int64_t broad = others ? 2 : pieces(count, LANES);
    const Sixteen both[2] = {own.sixteen<BITS>(job.which, o), others ? others->sixteen<BITS>(job.which, o)
                                                                : own.sixteen<BITS>(job.which, o + 1)};
    for (int64_t k = start; k < std::min(job.count, start + some); k += TALL) {
      const int64_t rows = std::min(TALL, job.count - k);
      Floats sums[2 * TALL];
      for (int64_t t = 0; t < broad; t += BROAD)
        tile_of<BITS>(rows, broad - t, both + t, &bytes[(job.row + k) * groups], groups,
                      sums + t);
      for (int64_t r = 0; r < rows; r++)
        finish(job.row + k + r, job.column + o * LANES, count, sums + 2 * r);
    }
  });
}

template <class Y>
void put_some(Floats values, int64_t count, Y* to) {
  if constexpr (std::is_same_v<Y, bf16>)
    if (count >= LANES) return narrow(values, to);
  for (int64_t i = 0; i < std::min(count, LANES); i++) narrow(values[i], to + i);
}

// x [N D] times packed matrices [O_i D] of each group in turn -> y [N ΣO_i]. What comes of a row does
// not depend on the others.
template <int BITS, class X, class Y>
void multiply_packed(const X* x, int64_t n, int64_t d, const std::vector<Tensor>& weights,
                     const std::vector<Tensor>& scales, const std::vector<int64_t>& outs,
                     const std::vector<int64_t>& counts, Y* y) {
  int64_t all = 0;
  for (size_t i = 0; i < outs.size() / std::max<size_t>(1, counts.size()); i++) all += outs[i];
  multiply_twos<BITS>(x, n, d, Packed(weights, scales), nullptr, outs, counts,
                      [&](int64_t row, int64_t column, int64_t count, const Floats* sums) {
                        put_some(sums[0], count, y + row * all + column);
                        put_some(sums[1], count - LANES, y + row * all + column + LANES);
                      });
}

// act(gate x) · (up x) -> y [N O], of matrices that come in turn: a gate, its up, the next gate.
template <int BITS, class X, class Y, class F>
void multiply_gated(const X* x, int64_t n, int64_t d, const std::vector<Tensor>& weights,
                    const std::vector<Tensor>& scales, const std::vector<int64_t>& outs,
                    const std::vector<int64_t>& counts, const F& act, Y* y) {
  std::vector<Tensor> halves[2][2];
  std::vector<int64_t> half;
  for (size_t i = 0; i < weights.size(); i++) {
    halves[i % 2][0].push_back(weights[i]);
    halves[i % 2][1].push_back(scales[i]);
    if (i % 2) half.push_back(outs[i]);
  }
  const Packed gates(halves[0][0], halves[0][1]), ups(halves[1][0], halves[1][1]);
  multiply_twos<BITS>(x, n, d, gates, &ups, half, counts,
                      [&](int64_t row, int64_t column, int64_t count, const Floats* sums) {
                        put_some(act(sums[0]) * sums[1], count, y + row * half[0] + column);
                      });
}

}  // namespace
