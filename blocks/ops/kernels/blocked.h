// Products of many rows. They are bound by arithmetic, so what is multiplied is laid out for it first:
// two neighbouring inputs are a pair, which one instruction multiplies with sixteen others.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <utility>

#include "products.h"

#if defined(__AVX512BF16__)
namespace {
namespace many_rows {

constexpr int64_t TALL = 12;               // rows that are multiplied at once, at most
constexpr int64_t BROAD = 2 * LANES;       // outputs at once: 24 sums, of 32 registers
constexpr int64_t PANEL = int64_t(1) << 18;  // bytes of weights that a core keeps beside its rows

// A cache line of pairs.
struct alignas(64) Line {
  uint32_t pairs[LANES];
};

inline std::unique_ptr<Line[]> lines(int64_t count) {
  return std::make_unique_for_overwrite<Line[]>(count);
}

// Word j of v[i] becomes word i of v[j]: in four steps words change places with others further off.
inline void transpose(Words* v) {
  const auto swap = [&]<int S, size_t... J>(std::integral_constant<int, S>, std::index_sequence<J...>) {
    for (int i = 0; i < LANES; i++) {
      if (i & S) continue;
      const Words a = v[i], b = v[i + S];
      v[i] = __builtin_shufflevector(a, b, (J & S ? LANES + J - S : J)...);
      v[i + S] = __builtin_shufflevector(a, b, (J & S ? LANES + J : J + S)...);
    }
  };
  constexpr auto all = std::make_index_sequence<LANES>{};
  swap(std::integral_constant<int, 8>{}, all);
  swap(std::integral_constant<int, 4>{}, all);
  swap(std::integral_constant<int, 2>{}, all);
  swap(std::integral_constant<int, 1>{}, all);
}

// Pair p of row r, of 16 rows at most, goes to to[p · step + r]; the number of pairs is one of 16.
inline void lay(const bf16* m, int64_t stride, int64_t count, int64_t pairs, uint32_t* to,
                int64_t step) {
  const __mmask16 kept = (1u << count) - 1;
  const bool full = count == LANES && step >= LANES;
  for (int64_t p = 0; p < pairs; p += LANES) {
    Words v[LANES];
    for (int64_t r = 0; r < LANES; r++)
      v[r] = r < count ? read<Words>(m + r * stride + 2 * p) : Words{};
    transpose(v);
    for (int64_t j = 0; j < LANES; j++)
      if (full) std::memcpy(to + (p + j) * step, &v[j], sizeof v[j]);
      else _mm512_mask_storeu_epi32(to + (p + j) * step, kept, (__m512i)v[j]);
  }
}

// R rows of x times 32 outputs; pair p of row r is x[p · PAIR + r · ROW].
template <int R, int PAIR = R, int ROW = 1>
inline void tile(const uint32_t* x, const Line* w, int64_t pairs, Floats (*sums)[2]) {
  __m512 own[R][2] = {};
  for (int64_t p = 0; p < pairs; p++, w += 2, x += PAIR) {
    const auto left = read<__m512bh>(w), right = read<__m512bh>(w + 1);
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      const auto one = (__m512bh)_mm512_set1_epi32(x[r * ROW]);
      own[r][0] = _mm512_dpbf16_ps(own[r][0], left, one);
      own[r][1] = _mm512_dpbf16_ps(own[r][1], right, one);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; r++)  // one by one: of a copy of all, GCC keeps the sums in memory
    for (int i = 0; i < 2; i++) sums[r][i] = (Floats)own[r][i];
}

// found(number of rows) as a constant, which loops over sums in registers need.
template <template <int> class F, size_t... R>
inline auto by_rows(int64_t rows, std::index_sequence<R...>) {
  static constexpr auto all = std::array{&F<R + 1>::run...};
  return all[rows - 1];
}

template <template <int> class F>
inline auto by_rows(int64_t rows) {
  return by_rows<F>(rows, std::make_index_sequence<TALL>{});
}

template <int R>
struct Tile {
  static void run(const uint32_t* x, const Line* w, int64_t pairs, Floats (*sums)[2]) {
    tile<R>(x, w, pairs, sums);
  }
};

// make()(task) for all tasks, each by whichever thread is free; a thread makes what it works with.
template <class F>
void share(int64_t tasks, const F& make) {
  std::atomic<int64_t> next{0};
  parallel_for(0, std::min<int64_t>(tasks, torch::stable::get_num_threads()), 1, [&](int64_t, int64_t) {
    auto run = make();
    for (int64_t task; (task = next++) < tasks;) run(task);
  });
}

// Blocks of neighbouring rows, as pairs.
struct Laid {
  int64_t n, pairs, blocks, rows;  // of x, of a row, of x, of a block
  std::unique_ptr<Line[]> held;

  Laid(const bf16* x, int64_t n_, int64_t d) : n(n_), pairs(d / 2) {
    blocks = (n + TALL - 1) / TALL;
    rows = (n + blocks - 1) / blocks;  // alike, as a block of few is no quicker than one of many
    blocks = (n + rows - 1) / rows;
    held = lines((blocks * rows * pairs + LANES - 1) / LANES);
    share(blocks, [&] {
      return [&](int64_t b) { lay(x + b * rows * d, d, count(b), pairs, block(b), rows); };
    });
  }

  uint32_t* block(int64_t b) const { return held[0].pairs + b * rows * pairs; }
  int64_t count(int64_t b) const { return std::min(rows, n - b * rows); }
};

// Sixteen rows of a matrix, or as many as are left; where their outputs go, and what is added to them.
struct Part {
  const bf16* w = nullptr;
  int64_t count = 0, column = 0;
  Floats bias = {};
};

// The parts of a matrix [O D]; a bias has O numbers or none.
inline void cut(const Tensor& w, const Tensor& bias, int64_t column, std::vector<Part>& parts) {
  for (int64_t o = 0; o < w.size(0); o += LANES) {
    Part part{data<bf16>(w) + o * w.size(1), std::min(LANES, w.size(0) - o), column + o, {}};
    for (int64_t i = 0; i < part.count && bias.numel(); i++)
      part.bias[i] = wide1(data<bf16>(bias) + o + i);
    parts.push_back(part);
  }
}

// x [N D] times parts, in twos: finish(row, both, their sums).
template <class F>
void multiply_blocked(const bf16* x, int64_t n, int64_t d, const std::vector<Part>& parts,
                      const F& finish) {
  const Laid laid(x, n, d);
  const auto multiply = by_rows<Tile>(laid.rows);
  // As many in a task as a core keeps, but several tasks a thread, of which one may be disturbed.
  const int64_t twos = parts.size() / 2, each = twos / (8 * torch::stable::get_num_threads());
  const int64_t some = std::max<int64_t>(1, std::min(each, PANEL / (BROAD * d * 2)));
  // Of a narrow matrix, which makes few tasks, each is cut by rows as well.
  const int64_t panels = (twos + some - 1) / some;
  const int64_t most = 4 * torch::stable::get_num_threads() / panels;
  const int64_t slices = std::clamp<int64_t>(most, 1, laid.blocks);
  share(panels * slices, [&] {
    return [&, panel = lines(some * d)](int64_t task) {
      const int64_t first = task / slices * some, last = std::min(twos, first + some);
      const int64_t until = laid.blocks * (task % slices + 1) / slices;
      for (int64_t i = 2 * first; i < 2 * last; i++) {
        uint32_t* to = panel[(i / 2 - first) * d + i % 2].pairs;
        lay(parts[i].w, d, parts[i].count, laid.pairs, to, BROAD);
      }
      for (int64_t b = laid.blocks * (task % slices) / slices; b < until; b++)
        for (int64_t i = first; i < last; i++) {
          Floats sums[TALL][2];
          multiply(laid.block(b), &panel[(i - first) * d], laid.pairs, sums);
          for (int64_t r = 0; r < laid.count(b); r++)
            finish(b * laid.rows + r, &parts[2 * i], sums[r]);
        }
    };
  });
}

// The first of sixteen numbers.
inline void narrow_some(Floats values, int64_t count, bf16* to) {
  if (count == LANES) return narrow(values, to);
  const __m256bh found = _mm512_cvtneps_pbh((__m512)values);
  _mm256_mask_storeu_epi16(to, (1u << count) - 1, (__m256i)found);
}

}  // namespace many_rows
}  // namespace
#endif
