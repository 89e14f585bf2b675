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

template <class F>
void by_type(const Tensor& x, const F& run) {
  switch (x.scalar_type()) {
    case ScalarType::BFloat16: return run(bf16{});
    case ScalarType::Half: return run(fp16{});
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

// Where the numbers of each tensor lie: to ask torch takes as long as to read some of them.
template <class T>
std::vector<const T*> starts_of(const std::vector<Tensor>& tensors) {
  std::vector<const T*> found;
  for (const Tensor& x : tensors) found.push_back(data<T>(x));
  return found;
}

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

constexpr int64_t STRETCH = 512;  // columns of four rows of both that the nearest cache holds

// Adds to sums[n][o] the products of some columns of four rows of w [O D] and four of x, of which 32
// columns each lie side by side. Memory reads ahead where one goes through it in order, which this
// doesn't: so it asks for what comes next.
inline void square(const bf16* x, const bf16* w, int64_t d, int64_t columns, const bf16* next,
                   Floats (*sums)[SQUARE]) {
  __m512 all[SQUARE][SQUARE];
  for (int n = 0; n < SQUARE; n++)
    for (int o = 0; o < SQUARE; o++) all[n][o] = (__m512)sums[n][o];
  for (int64_t i = 0; i < columns; i += PAIRS, x += SQUARE * PAIRS) {
    for (int o = 0; o < SQUARE; o++) __builtin_prefetch(next + o * d + i);
    __m512bh some[SQUARE];
    for (int n = 0; n < SQUARE; n++) some[n] = read<__m512bh>(x + n * PAIRS);
    for (int o = 0; o < SQUARE; o++) {
      const auto own = read<__m512bh>(w + o * d + i);
      for (int n = 0; n < SQUARE; n++) all[n][o] = _mm512_dpbf16_ps(all[n][o], own, some[n]);
    }
  }
  for (int n = 0; n < SQUARE; n++)
    for (int o = 0; o < SQUARE; o++) sums[n][o] = (Floats)all[n][o];
}

// One row of w times one of x. More sums at once would leave more of w under way, out of order, and
// memory would not see that it is read in order.
inline float dot(const bf16* x, const bf16* w, int64_t d) {
  __m512 a = {}, b = {};
  int64_t i = 0;
  for (; i + 2 * PAIRS <= d; i += 2 * PAIRS) {
    a = _mm512_dpbf16_ps(a, read<__m512bh>(x + i), read<__m512bh>(w + i));
    b = _mm512_dpbf16_ps(b, read<__m512bh>(x + i + PAIRS), read<__m512bh>(w + i + PAIRS));
  }
  if (i < d) a = _mm512_dpbf16_ps(a, read<__m512bh>(x + i), read<__m512bh>(w + i));
  return sum((Floats)a + (Floats)b);
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
    const int64_t side = job.count == 1 ? 1 : SQUARE;  // one row stays as it is
    laid.resize(laid.size() + (job.count + side - 1) / side * side * d);
    for (int64_t k = 0; k < job.count; k++) {
      bf16* to = &laid[starts[job.row] + k / side * side * d + k % side * PAIRS];
      for (int64_t i = 0; i < d; i += PAIRS, to += side * PAIRS)
        for (int64_t at = i; at < i + PAIRS; at += LANES)
          narrow(wide(x + (job.row + k) * d + at), to + at - i);
    }
  }
  const auto matrices = starts_of<bf16>(weights);
  work.divide(4, [&](const Job& job, int64_t own) {
    const bf16* w = matrices[job.which] + SQUARE * own * d;
    Y* out = y + job.row * work.all + job.column + SQUARE * own;
    if (job.count == 1) {
      for (int64_t o = 0; o < SQUARE; o++) narrow(dot(&laid[starts[job.row]], w + o * d, d), out + o);
      return;
    }
    for (int64_t first = 0; first < job.count; first += FEW) {
      const int64_t many = std::min(FEW, job.count - first);
      Floats all[FEW / SQUARE][SQUARE][SQUARE] = {};
      const bf16* rows = &laid[starts[job.row] + first * d];
      for (int64_t i = 0; i < d; i += STRETCH) {
        const bf16 *own = w + i, *next = i + STRETCH < d ? own + STRETCH : w + SQUARE * d;
        for (int64_t k = 0; k < many; k += SQUARE)
          square(rows + k * d + i * SQUARE, own, d, std::min(STRETCH, d - i), next, all[k / SQUARE]);
      }
      for (int64_t k = 0; k < many; k += SQUARE) {
        const Floats found = sums(all[k / SQUARE][0]);
        for (int64_t j = 0; j < std::min(SQUARE, many - k); j++)
          for (int64_t o = 0; o < SQUARE; o++)
            narrow(found[j * SQUARE + o], out + (first + k + j) * work.all + o);
      }
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
    if (d % PAIRS == 0 && parts.size() == outs.size())
      return multiply_pairs(given, n, d, weights, Work(counts, n, parts, outs), y);
  }
#endif
  std::vector<float> own;
  const float* x = in_floats(given, n * d, own);
  const Work work(counts, n, outs, outs);
  const auto matrices = starts_of<T>(weights);
  work.divide(16, [&](const Job& job, int64_t own) {
    const T* w = matrices[job.which] + own * d;
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

}  // namespace
