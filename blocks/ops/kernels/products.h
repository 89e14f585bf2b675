// Products of few rows with large matrices. They are bound by memory, so each weight is read once, in
// order.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "vectors.h"

using torch::headeronly::ScalarType;
using torch::stable::parallel_for;
using torch::stable::Tensor;

namespace {

constexpr int64_t GROUP = 32;  // weights that share a scale

template <class F>
void by_type(const Tensor& x, const F& run) {
  switch (x.scalar_type()) {
    case ScalarType::BFloat16: return run(bf16{});
    case ScalarType::Half: return run(_Float16{});
    default: return run(float{});
  }
}

template <class T>
T* data(const Tensor& x) {
  return static_cast<T*>(x.mutable_data_ptr());
}

std::vector<float> widened(const Tensor& x) {
  std::vector<float> all(x.numel());
  by_type(x, [&](auto kind) {
    const auto* from = data<decltype(kind)>(x);
    for (size_t i = 0; i < all.size(); i++) all[i] = wide1(from + i);
  });
  return all;
}

template <int N, class T>
void dots(const float* x, const T* w, int64_t d, float* found) {
  Floats a[N] = {}, b[N] = {};  // two sums each hide how long an addition takes
  int64_t i = 0;
  for (; i + 2 * LANES <= d; i += 2 * LANES) {
    const Floats w0 = wide(w + i), w1 = wide(w + i + LANES);
    for (int n = 0; n < N; n++) {
      a[n] += wide(x + n * d + i) * w0;
      b[n] += wide(x + n * d + i + LANES) * w1;
    }
  }
  for (int n = 0; n < N; n++) found[n] = sum(a[n] + b[n]);
  for (; i < d; i++)
    for (int n = 0; n < N; n++) found[n] += x[n * d + i] * wide1(w + i);
}

// One matrix, and the rows that it is multiplied with: what comes of it goes into a column of y.
struct Job {
  size_t which;        // of the matrices
  int64_t row, count;  // rows of x
  int64_t column;
  int64_t end;  // of all jobs up to this one, in parts of the work
};

// Matrices on the same rows. Rows come group after group, `counts` of each or one group of all; a
// group has as many matrices as every other, of the same sizes. `sizes` are the parts that the work
// on a matrix comes in, `outs` its columns of y.
struct Work {
  std::vector<Job> jobs;
  std::vector<int64_t> sizes, outs;
  int64_t all = 0;  // columns of y

  Work(std::vector<int64_t> counts, int64_t rows, std::vector<int64_t> sizes_,
       std::vector<int64_t> outs_)
      : sizes(std::move(sizes_)), outs(std::move(outs_)) {
    if (counts.empty()) counts.push_back(rows);
    const size_t each = outs.size() / counts.size();
    int64_t row = 0, end = 0;
    for (size_t g = 0; g < counts.size(); row += counts[g++])
      for (size_t i = g * each, column = 0; i < (g + 1) * each; column += outs[i++])
        jobs.push_back({i, row, counts[g], int64_t(column), end += sizes[i]});
    for (size_t i = 0; i < each; i++) all += outs[i];
  }

  // run(job, which part of it) for all parts, by all threads; `least` parts a thread.
  template <class F>
  void divide(int64_t least, const F& run) const {
    parallel_for(0, jobs.back().end, least, [&](int64_t from, int64_t until) {
      auto job = jobs.begin();
      for (int64_t at = from; at < until; at++) {
        while (job->end <= at) job++;
        run(*job, at - job->end + sizes[job->which]);
      }
    });
  }
};

std::vector<int64_t> rows_of(const std::vector<Tensor>& weights) {
  std::vector<int64_t> found;
  for (const Tensor& w : weights) found.push_back(w.size(0));
  return found;
}

// Numbers as floats, which `kept` holds where they were none.
template <class X>
const float* in_floats(const X* x, int64_t count, std::vector<float>& kept) {
  if constexpr (std::is_same_v<X, float>) {
    return x;
  } else {
    kept.resize(count);
    for (int64_t i = 0; i < count; i++) kept[i] = wide1(x + i);
    return kept.data();
  }
}

#if defined(__AVX512BF16__)
constexpr int64_t FEW = 32;   // rows up to which torch's own product is slower
constexpr int64_t SQUARE = 4;  // rows of x, and of w, that are multiplied at once
constexpr int64_t PAIRS = 2 * LANES;

// Four rows of w times four of x, of which 32 columns each lie side by side. Memory reads ahead where
// one goes through it in order, which this doesn't: so it asks for the next rows in order.
inline Floats square(const bf16* x, const bf16* w, int64_t d) {
  __m512 all[SQUARE][SQUARE] = {};
  const bf16* next = w + SQUARE * d;
  for (int64_t i = 0; i < d; i += PAIRS, x += SQUARE * PAIRS, next += SQUARE * PAIRS) {
    for (int o = 0; o < SQUARE; o++) __builtin_prefetch(next + o * PAIRS);
    __m512bh some[SQUARE];
    for (int n = 0; n < SQUARE; n++) some[n] = read<__m512bh>(x + n * PAIRS);
    for (int o = 0; o < SQUARE; o++) {
      const auto own = read<__m512bh>(w + o * d + i);
      for (int n = 0; n < SQUARE; n++) all[n][o] = _mm512_dpbf16_ps(all[n][o], own, some[n]);
    }
  }
  Floats found[LANES];
  std::memcpy(found, all, sizeof all);
  return sums(found);
}

// The same as `multiply`, of four outputs in each part of the work.
template <class X, class Y>
void multiply_pairs(const X* x, int64_t n, int64_t d, const std::vector<Tensor>& weights,
                    const Work& work, Y* y) {
  // Rows far apart would want the same few places of the cache.
  std::vector<bf16> laid;
  std::vector<int64_t> starts(n, -1);
  for (const Job& job : work.jobs) {
    if (!job.count || starts[job.row] >= 0) continue;
    starts[job.row] = laid.size();
    laid.resize(laid.size() + (job.count + SQUARE - 1) / SQUARE * SQUARE * d);
    for (int64_t k = 0; k < job.count; k++) {
      bf16* to = &laid[starts[job.row] + k / SQUARE * SQUARE * d + k % SQUARE * PAIRS];
      for (int64_t i = 0; i < d; i += PAIRS, to += SQUARE * PAIRS)
        for (int64_t at = i; at < i + PAIRS; at += LANES)
          narrow(wide(x + (job.row + k) * d + at), to + at - i);
    }
  }
  work.divide(4, [&](const Job& job, int64_t own) {
    const bf16* w = data<bf16>(weights[job.which]) + SQUARE * own * d;
    Y* out = y + job.row * work.all + job.column + SQUARE * own;
    for (int64_t k = 0; k < job.count; k += SQUARE) {
      const Floats found = square(&laid[starts[job.row] + k * d], w, d);
      for (int64_t j = 0; j < std::min(SQUARE, job.count - k); j++)
        for (int64_t o = 0; o < SQUARE; o++)
          narrow(found[j * SQUARE + o], out + (k + j) * work.all + o);
    }
  });
}
#else
constexpr int64_t FEW = 4;
#endif

// x [N D] times weights [O_i D] of each group in turn -> y [N ΣO_i]
template <class T, class X, class Y>
void multiply(const X* given, int64_t n, int64_t d, const std::vector<Tensor>& weights,
              const std::vector<int64_t>& counts, Y* y) {
  const std::vector<int64_t> outs = rows_of(weights);
#if defined(__AVX512BF16__)
  if constexpr (std::is_same_v<T, bf16>) {
    std::vector<int64_t> parts;
    for (int64_t out : outs)
      if (out % SQUARE == 0) parts.push_back(out / SQUARE);
    if (n > 1 && d % PAIRS == 0 && parts.size() == outs.size())
      return multiply_pairs(given, n, d, weights, Work(counts, n, parts, outs), y);
  }
#endif
  std::vector<float> own;
  const float* x = in_floats(given, n * d, own);
  const Work work(counts, n, outs, outs);
  work.divide(16, [&](const Job& job, int64_t own) {
    const T* w = data<T>(weights[job.which]) + own * d;
    const float* rows = x + job.row * d;
    Y* out = y + job.row * work.all + job.column + own;
    float found[4];
    int64_t k = 0;
    for (; k + 4 <= job.count; k += 4) {
      dots<4>(rows + k * d, w, d, found);
      for (int j = 0; j < 4; j++) narrow(found[j], out + (k + j) * work.all);
    }
    for (; k < job.count; k++) {
      dots<1>(rows + k * d, w, d, found);
      narrow(found[0], out + k * work.all);
    }
  });
}

// Numbers as signed bytes: each group is its scale times them. `totals` are the sums of a group's.
struct Bytes {
  std::vector<int8_t> bytes;
  std::vector<float> scales;
  std::vector<int32_t> totals;

  Bytes(const float* from, int64_t n, int64_t d, int64_t padded) {
    bytes.assign(n * padded, 0);
    scales.assign(n * padded / GROUP, 0);
    totals.assign(n * padded / GROUP, 0);
    std::vector<float> part(padded, 0);
    for (int64_t k = 0; k < n; k++) {
      std::copy(from + k * d, from + k * d + d, part.begin());
      for (int64_t start = 0; start < padded; start += GROUP) {
        const int64_t g = (k * padded + start) / GROUP;
        const Floats a = wide(&part[start]), b = wide(&part[start + LANES]);
        const float most = highest(abs(a) > abs(b) ? abs(a) : abs(b));
        if (!(most > 0)) continue;
        scales[g] = most / 127;
        const float times = 127 / most;
        const Ints left = __builtin_convertvector(rounded(a * times), Ints);
        const Ints right = __builtin_convertvector(rounded(b * times), Ints);
        for (int64_t i = 0; i < LANES; i++) {
          bytes[g * GROUP + i] = int8_t(left[i]);
          bytes[g * GROUP + LANES + i] = int8_t(right[i]);
          totals[g] += left[i] + right[i];
        }
      }
    }
  }
};

// One group of 32 inputs to 16 outputs. A byte holds weight + 128; a nibble, of two in a byte whose
// lower one is 16 inputs earlier, weight + 8.
template <int BITS>
Ints group(const uint8_t* w, const int8_t* x, int32_t total) {
  Ints even = {}, odd = {};
  even -= total * (BITS == 8 ? 128 : 8);
  for (int j = 0; j < 4; j++) {
    if (BITS == 8) {
      even = dot4(even, read<Words>(w + 128 * j), read<int32_t>(x + 8 * j));
      odd = dot4(odd, read<Words>(w + 128 * j + 64), read<int32_t>(x + 8 * j + 4));
    } else {
      const Words pair = read<Words>(w + 64 * j);
      even = dot4(even, pair & 0x0f0f0f0fu, read<int32_t>(x + 4 * j));
      odd = dot4(odd, (pair >> 4) & 0x0f0f0f0fu, read<int32_t>(x + 16 + 4 * j));
    }
  }
  return even + odd;
}

// x [N D]; weights [O/16 G ·], bytes as `group` reads them; scales [O/16 G 16] -> y [N ΣO_i]
template <int BITS, class Y>
void multiply_packed(const float* x, int64_t n, int64_t d, const std::vector<Tensor>& weights,
                     const std::vector<Tensor>& scales, const Work& work, Y* y) {
  const int64_t groups = scales[0].size(1), size = GROUP * LANES * BITS / 8;
  const Bytes given(x, n, d, groups * GROUP);
  work.divide(1, [&](const Job& job, int64_t own) {
    const uint8_t* w = data<uint8_t>(weights[job.which]) + own * groups * size;
    const _Float16* s = data<_Float16>(scales[job.which]) + own * groups * LANES;
    const int64_t rows = std::min(LANES, work.outs[job.which] - own * LANES);
    for (int64_t k = job.row; k < job.row + job.count; k++) {
      Floats sums = {};
      for (int64_t g = 0; g < groups; g++) {
        const int64_t at = k * groups + g;
        const Ints found = group<BITS>(w + g * size, &given.bytes[at * GROUP], given.totals[at]);
        sums += __builtin_convertvector(found, Floats) * (wide(s + g * LANES) * given.scales[at]);
      }
      Y* out = y + k * work.all + job.column + own * LANES;
      for (int64_t r = 0; r < rows; r++) narrow(sums[r], out + r);
    }
  });
}

}  // namespace
