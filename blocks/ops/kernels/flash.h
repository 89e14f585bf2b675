// What pulls at queries, keys and values of the causal attention in attend.h, which says of each query
// the logarithm of its sum of powers: with it each weight is found once more, a tile at a time.
// blocks/ops/flash.py has the algorithm. Dao et al., 2022, arXiv:2205.14135.
#pragma once

#include "training.h"

namespace {

#if defined(__AVX512BF16__)
namespace flash {

using many_rows::put;

constexpr int64_t ROWS = 8, COLUMNS = 2 * LANES;  // of a tile
constexpr int64_t KEYS = 128, QUERIES = 256;      // that are worked on at once: a core keeps them
using Pairs = std::vector<uint32_t>;
using Tile = __m512[ROWS][2];

inline int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// Heads [B H T E] whose channels lie side by side.
struct Heads {
  bf16* at;
  int64_t heads, tokens, width, of_batch, of_head, step;
  explicit Heads(const Tensor& x)
      : at(data<bf16>(x)), heads(x.size(1)), tokens(x.size(2)), width(x.size(3)),
        of_batch(x.stride(0)), of_head(x.stride(1)), step(x.stride(2)) {}
  bf16* head(int64_t b, int64_t h) const { return at + b * of_batch + h * of_head; }

  // Pair p of token t: `group` tokens side by side, [T/group E/2 group].
  void across(const bf16* x, int64_t group, Pairs& to) const {
    const int64_t pairs = width / 2;
    to.assign(up(tokens, COLUMNS) * pairs, 0);
    for (int64_t t = 0; t < tokens; t++) {
      uint32_t* own = &to[t / group * group * pairs + t % group];
      for (int64_t p = 0; p < pairs; p++) own[p * group] = read<uint32_t>(x + t * step + 2 * p);
    }
  }

  // Pairs of neighbouring tokens: 32 channels side by side, [E/32 T/2 32].
  void along(const bf16* x, Pairs& to) const {
    const int64_t pairs = up(tokens, COLUMNS) / 2;
    to.assign(pairs * width, 0);
    for (int64_t t = 0; t < tokens; t += 2)
      for (int64_t i = 0; i < width; i += LANES) {
        const auto words = [&](int64_t t) {
          return __builtin_convertvector(read<Halves>(x + t * step + i), Words);
        };
        const Words two = t + 1 < tokens ? words(t) | words(t + 1) << 16 : words(t);
        std::memcpy(&to[(i / COLUMNS * pairs + t / 2) * COLUMNS + i % COLUMNS], &two, sizeof two);
      }
  }
};

// 8 rows times 32 columns: pair p of row r is x[p · PAIR + r · ROW].
template <int64_t PAIR, int64_t ROW>
inline void multiply(const uint32_t* x, const uint32_t* w, int64_t pairs, Tile& found) {
  Tile sums = {};
  for (int64_t p = 0; p < pairs; p++, w += COLUMNS, x += PAIR) {
    const auto left = read<__m512bh>(w), right = read<__m512bh>(w + LANES);
#pragma GCC unroll 8
    for (int64_t r = 0; r < ROWS; r++) {
      const auto one = (__m512bh)_mm512_set1_epi32(int(x[r * ROW]));
      sums[r][0] = _mm512_dpbf16_ps(sums[r][0], left, one);
      sums[r][1] = _mm512_dpbf16_ps(sums[r][1], right, one);
    }
  }
  std::memcpy(found, sums, sizeof sums);
}

inline void add(const Tile& found, float* to, int64_t width) {
  for (int64_t r = 0; r < ROWS; r++)
    for (int64_t half = 0; half < 2; half++) {
      float* own = to + r * width + half * LANES;
      put(wide(own) + (Floats)found[r][half], own);
    }
}

inline Floats numbered(int64_t first) {
  Floats v;
  for (int64_t i = 0; i < LANES; i++) v[i] = float(first + i);
  return v;
}

// What pulls at keys and values of one head, and at all queries that look there.
struct Backward {
  Pairs key_rows, value_rows, key_pairs;                      // of the head
  Pairs queries, query_pairs, pulls, pull_pairs;              // of a query head
  std::vector<float> to_q, to_k, to_v, logs, shared;
  uint32_t weights[ROWS * QUERIES / 2], bends[ROWS * QUERIES / 2];  // P and what pulls at the scores
  uint32_t bent[KEYS / 2 * QUERIES];                                // the latter in pairs of keys

  // Eight keys from s on and the queries from t on, of which `first` is the first of this part.
  void scored(int64_t s, int64_t t, int64_t first, int64_t part, int64_t pairs, int64_t value_pairs,
              float scale) {
    Tile scores, mixed;
    multiply<ROWS, 1>(&key_rows[s * pairs], &queries[t * pairs], pairs, scores);
    multiply<ROWS, 1>(&value_rows[s * value_pairs], &pulls[t * value_pairs], value_pairs, mixed);
    for (int64_t half = 0; half < 2; half++) {
      const int64_t at = t + half * LANES, place = at - first;
      const Floats log = wide(&logs[at]), own = wide(&shared[at]);
      for (int64_t r = 0; r < ROWS; r++) {
        Floats weight = exponential((Floats)scores[r][half] * scale - log);
        if (at < s + r) weight = numbered(at) >= float(s + r) ? weight : Floats{};
        const Floats bend = weight * ((Floats)mixed[r][half] - own) * scale;
        put(weight, (bf16*)weights + r * QUERIES + place);
        put(bend, (bf16*)bends + r * QUERIES + place);
      }
      for (int64_t r = 0; r < ROWS; r += 2) {
        const auto word = [&](int64_t r) {
          return __builtin_convertvector(read<Halves>((bf16*)bends + r * QUERIES + place), Words);
        };
        const Words two = word(r) | word(r + 1) << 16;
        std::memcpy(&bent[(s - part + r) / 2 * QUERIES + place], &two, sizeof two);
      }
    }
  }

  void run(const Heads& q, const Heads& k, const Heads& v, float scale) {
    const int64_t all = up(q.tokens, COLUMNS), pairs = k.width / 2, value_pairs = v.width / 2;
    for (int64_t part = 0; part < all; part += KEYS)
      for (int64_t first = part / QUERIES * QUERIES; first < all; first += QUERIES) {
        const int64_t last = std::min(first + QUERIES, all), end = std::min(part + KEYS, all);
        for (int64_t s = part; s < end; s += ROWS) {
          const int64_t from = std::max(first, s / COLUMNS * COLUMNS), count = (last - from) / 2;
          for (int64_t r = 0; r < ROWS; r += 2) {  // earlier queries don't look here
            uint32_t* own = &bent[(s - part + r) / 2 * QUERIES];
            std::fill(own, own + (from - first), 0u);
          }
          for (int64_t t = from; t < last; t += COLUMNS)
            scored(s, t, first, part, pairs, value_pairs, scale);
          const auto gather = [&](const uint32_t* rows, const Pairs& columns, int64_t width,
                                  float* to) {
            for (int64_t i = 0; i < width; i += COLUMNS) {
              Tile found;
              const uint32_t* own = &columns[(i / COLUMNS * all + from) / 2 * COLUMNS];
              multiply<1, QUERIES / 2>(rows + (from - first) / 2, own, count, found);
              add(found, to + s * width + i, width);
            }
          };
          gather(weights, pull_pairs, v.width, to_v.data());
          gather(bends, query_pairs, k.width, to_k.data());
        }
        for (int64_t t = std::max(first, part); t < last; t += ROWS)
          for (int64_t i = 0; i < k.width; i += COLUMNS) {
            Tile found;
            const uint32_t* own = &key_pairs[(i / COLUMNS * all + part) / 2 * COLUMNS];
            multiply<QUERIES, 1>(bent + t - first, own, (std::min(end, t + ROWS) - part) / 2, found);
            add(found, &to_q[t * k.width + i], k.width);
          }
      }
  }
};

inline void written(const std::vector<float>& sums, const Heads& to, bf16* at) {
  for (int64_t t = 0; t < to.tokens; t++)
    for (int64_t i = 0; i < to.width; i += LANES)
      put(wide(&sums[t * to.width + i]), at + t * to.step + i);
}

inline void backward(const Heads& pull, const Heads& q, const Heads& k, const Heads& v, const Heads& y,
                     const float* logs, int64_t batch, float scale, const Heads& to_q,
                     const Heads& to_k, const Heads& to_v) {
  const int64_t each = q.heads / k.heads, n = q.tokens, all = up(n, COLUMNS);
  parallel_for(0, batch * k.heads, 1, [&](int64_t from, int64_t until) {
    const auto held = std::make_unique<Backward>();
    Backward& work = *held;
    for (int64_t at = from; at < until; at++) {
      const int64_t b = at / k.heads, group = at % k.heads;
      k.across(k.head(b, group), ROWS, work.key_rows);
      v.across(v.head(b, group), ROWS, work.value_rows);
      k.along(k.head(b, group), work.key_pairs);
      work.to_k.assign(all * k.width, 0.0f);
      work.to_v.assign(all * v.width, 0.0f);
      for (int64_t h = group * each; h < (group + 1) * each; h++) {
        const bf16 *asked = q.head(b, h), *pulled = pull.head(b, h), *found = y.head(b, h);
        q.across(asked, COLUMNS, work.queries);
        q.along(asked, work.query_pairs);
        pull.across(pulled, COLUMNS, work.pulls);
        pull.along(pulled, work.pull_pairs);
        work.to_q.assign(all * q.width, 0.0f);
        work.logs.assign(all, INFINITY);
        std::copy_n(logs + (b * q.heads + h) * n, n, work.logs.begin());
        work.shared.assign(all, 0.0f);
        for (int64_t t = 0; t < n; t++) {
          Floats total = {};
          for (int64_t i = 0; i < v.width; i += LANES)
            total += wide(pulled + t * pull.step + i) * wide(found + t * y.step + i);
          work.shared[t] = sum(total);
        }
        work.run(q, k, v, scale);
        written(work.to_q, to_q, to_q.head(b, h));
      }
      written(work.to_k, to_k, to_k.head(b, group));
      written(work.to_v, to_v, to_v.head(b, group));
    }
  });
}

}  // namespace flash
#endif

}  // namespace
