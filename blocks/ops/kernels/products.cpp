// Products of few rows with large matrices, and attention of one query: what a model does for each
// new token. All of it is bound by memory, so each weight and each key is read once, in order.
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

// Rows come group after group, `counts` of each or one group of all; a group has as many matrices as
// every other, of the same sizes. `sizes` are the parts that the work on a matrix comes in, `outs`
// its columns of y.
std::vector<Job> jobs_of(std::vector<int64_t>& counts, int64_t rows,
                         const std::vector<int64_t>& sizes, const std::vector<int64_t>& outs) {
  if (counts.empty()) counts.push_back(rows);
  const size_t each = outs.size() / counts.size();
  std::vector<Job> jobs;
  int64_t row = 0, end = 0;
  for (size_t g = 0; g < counts.size(); row += counts[g++])
    for (size_t i = g * each, column = 0; i < (g + 1) * each; column += outs[i++])
      jobs.push_back({i, row, counts[g], int64_t(column), end += sizes[i]});
  return jobs;
}

// x [N D], weights [O_i D] of each group in turn -> [N ΣO_i]
Tensor products(Tensor x, std::vector<Tensor> weights, std::vector<int64_t> counts) {
  const int64_t d = x.size(1);
  int64_t all = 0;
  std::vector<int64_t> outs;
  for (const Tensor& w : weights) outs.push_back(w.size(0));
  const std::vector<Job> jobs = jobs_of(counts, x.size(0), outs, outs);
  for (size_t i = 0; i < outs.size() / counts.size(); i++) all += outs[i];
  Tensor y = torch::stable::new_empty(x, {x.size(0), all});
  const std::vector<float> wide_x = widened(x);
  by_type(x, [&](auto kind) {
    using T = decltype(kind);
    T* to = data<T>(y);
    parallel_for(0, jobs.back().end, 16, [&](int64_t from, int64_t until) {
      auto job = jobs.begin();
      float found[4];
      for (int64_t at = from; at < until; at++) {
        while (job->end <= at) job++;
        const int64_t own = at - job->end + outs[job->which];
        const T* w = data<T>(weights[job->which]) + own * d;
        const float* rows = &wide_x[job->row * d];
        T* out = to + job->row * all + job->column + own;
        int64_t k = 0;
        for (; k + 4 <= job->count; k += 4) {
          dots<4>(rows + k * d, w, d, found);
          for (int j = 0; j < 4; j++) narrow(found[j], out + (k + j) * all);
        }
        for (; k < job->count; k++) {
          dots<1>(rows + k * d, w, d, found);
          narrow(found[0], out + k * all);
        }
      }
    });
  });
  return y;
}

// Numbers as signed bytes: each group is its scale times them. `totals` are the sums of a group's.
struct Bytes {
  std::vector<int8_t> bytes;
  std::vector<float> scales;
  std::vector<int32_t> totals;

  Bytes(const Tensor& x, int64_t padded) {
    const int64_t n = x.size(0), d = x.size(1);
    const std::vector<float> from = widened(x);
    bytes.assign(n * padded, 0);
    scales.assign(n * padded / GROUP, 0);
    totals.assign(n * padded / GROUP, 0);
    std::vector<float> part(padded, 0);
    for (int64_t k = 0; k < n; k++) {
      std::copy(&from[k * d], &from[k * d] + d, part.begin());
      for (int64_t start = 0; start < padded; start += GROUP) {
        const int64_t g = (k * padded + start) / GROUP;
        const Floats a = wide(&part[start]), b = wide(&part[start + LANES]);
        const Floats size = abs(a) > abs(b) ? abs(a) : abs(b);
        float most = 0;
        for (int64_t i = 0; i < LANES; i++) most = std::max(most, size[i]);
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

// x [N D]; weights [O/16 G ·], bytes as `group` reads them; scales [O/16 G 16]; outs: rows of each
template <int BITS>
Tensor packed(Tensor x, std::vector<Tensor> weights, std::vector<Tensor> scales,
              std::vector<int64_t> outs, std::vector<int64_t> counts) {
  const int64_t groups = scales[0].size(1), size = GROUP * LANES * BITS / 8;
  int64_t all = 0;
  std::vector<int64_t> sizes;
  for (const Tensor& w : weights) sizes.push_back(w.size(0));
  const std::vector<Job> jobs = jobs_of(counts, x.size(0), sizes, outs);
  for (size_t i = 0; i < outs.size() / counts.size(); i++) all += outs[i];
  Tensor y = torch::stable::new_empty(x, {x.size(0), all});
  const Bytes given(x, groups * GROUP);
  by_type(x, [&](auto kind) {
    using T = decltype(kind);
    T* to = data<T>(y);
    parallel_for(0, jobs.back().end, 1, [&](int64_t from, int64_t until) {
      auto job = jobs.begin();
      for (int64_t tile = from; tile < until; tile++) {
        while (job->end <= tile) job++;
        const int64_t own = tile - job->end + sizes[job->which];
        const uint8_t* w = data<uint8_t>(weights[job->which]) + own * groups * size;
        const _Float16* s = data<_Float16>(scales[job->which]) + own * groups * LANES;
        const int64_t rows = std::min(LANES, outs[job->which] - own * LANES);
        for (int64_t k = job->row; k < job->row + job->count; k++) {
          Floats sums = {};
          for (int64_t g = 0; g < groups; g++) {
            const int64_t at = k * groups + g;
            const Ints found =
                group<BITS>(w + g * size, &given.bytes[at * GROUP], given.totals[at]);
            sums += __builtin_convertvector(found, Floats) * (wide(s + g * LANES) * given.scales[at]);
          }
          T* out = to + k * all + job->column + own * LANES;
          for (int64_t r = 0; r < rows; r++) narrow(sums[r], out + r);
        }
      }
    });
  });
  return y;
}

Tensor products8(Tensor x, std::vector<Tensor> weights, std::vector<Tensor> scales,
                 std::vector<int64_t> outs, std::vector<int64_t> counts) {
  return packed<8>(x, weights, scales, outs, counts);
}

Tensor products4(Tensor x, std::vector<Tensor> weights, std::vector<Tensor> scales,
                 std::vector<int64_t> outs, std::vector<int64_t> counts) {
  return packed<4>(x, weights, scales, outs, counts);
}

// What a query finds in some keys: powers are relative to `highest`, values not yet divided.
struct Found {
  float highest = -INFINITY, total = 0;
};

// N queries of one group look at `count` keys; what they find is added to `found` and `sums`.
template <int N, class T>
void look_at(const float* q, const T* k, const T* v, int64_t count, int64_t e, int64_t width,
             float scale, Found* found, float* sums) {
  constexpr int64_t MANY = 4 * LANES;
  alignas(64) float scores[N][MANY];
  for (int64_t start = 0; start < count; start += MANY) {
    const int64_t many = std::min(MANY, count - start);
    float dot[N], less[N];
    for (int n = 0; n < N; n++) std::fill(scores[n], scores[n] + MANY, -INFINITY);
    for (int64_t s = 0; s < many; s++) {
      dots<N>(q, k + (start + s) * e, e, dot);
      for (int n = 0; n < N; n++) scores[n][s] = dot[n] * scale;
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

// q [B H E], k [B K C E], v [B K C V], last [B or 1]: a row's query sees its slots up to that one
Tensor look(Tensor q, Tensor k, Tensor v, Tensor last, double scale) {
  const int64_t b = q.size(0), h = q.size(1), e = q.size(2);
  const int64_t heads = k.size(1), room = k.size(2), width = v.size(3), each = h / heads;
  const int64_t* newest = data<int64_t>(last);
  const int64_t furthest =
      std::min(*std::max_element(newest, newest + last.size(0)) + 1, room);
  // Some tasks for each thread, but none of a few slots alone.
  const int64_t tasks = (4 * torch::stable::get_num_threads() + b * heads - 1) / (b * heads);
  const int64_t slices = std::max<int64_t>(1, std::min(tasks, furthest / 128));
  const int64_t size = (furthest + slices - 1) / slices;  // slots that one task reads
  Tensor y = torch::stable::new_empty(q, {b, h, width});
  const std::vector<float> wide_q = widened(q);
  std::vector<Found> found(b * h * slices);  // by slice, then by head
  std::vector<float> sums(b * h * slices * width, 0);
  const bool shared = last.size(0) == 1;
  by_type(q, [&](auto kind) {
    using T = decltype(kind);
    const T *keys = data<T>(k), *values = data<T>(v);
    parallel_for(0, b * heads * slices, 1, [&](int64_t from, int64_t until) {
      for (int64_t task = from; task < until; task++) {
        const int64_t slice = task / (b * heads), head = task % (b * heads);
        const int64_t start = slice * size, seen = newest[shared ? 0 : head / heads] + 1;
        const int64_t count = std::min(size, std::min(seen, room) - start);
        if (count <= 0) continue;
        const T *some_keys = keys + (head * room + start) * e,
                *some_values = values + (head * room + start) * width;
        int64_t i = 0;
        const auto look = [&](auto number) {
          constexpr int N = decltype(number)::value;
          for (; i + N <= each; i += N) {
            const int64_t at = head * each + i, place = slice * b * h + at;
            look_at<N>(&wide_q[at * e], some_keys, some_values, count, e, width, scale,
                       &found[place], &sums[place * width]);
          }
        };
        look(std::integral_constant<int, 4>{});
        look(std::integral_constant<int, 1>{});
      }
    });
    T* to = data<T>(y);
    for (int64_t at = 0; at < b * h; at++) {
      float highest = -INFINITY, total = 0;
      for (int64_t s = 0; s < slices; s++) highest = std::max(highest, found[s * b * h + at].highest);
      std::vector<float> all(width, 0);
      for (int64_t s = 0; s < slices; s++) {
        const Found& part = found[s * b * h + at];
        if (part.total == 0) continue;
        const float power = std::exp(part.highest - highest);
        const float* own = &sums[(s * b * h + at) * width];
        total += part.total * power;
        for (int64_t i = 0; i < width; i++) all[i] += power * own[i];
      }
      for (int64_t i = 0; i < width; i++) narrow(all[i] / total, to + at * width + i);
    }
  });
  return y;
}

}  // namespace

STABLE_TORCH_LIBRARY(blocks, library) {
  library.def("products(Tensor x, Tensor[] weights, int[] counts=[]) -> Tensor");
  library.def("products8(Tensor x, Tensor[] weights, Tensor[] scales, int[] outs, int[] counts=[]) -> Tensor");
  library.def("products4(Tensor x, Tensor[] weights, Tensor[] scales, int[] outs, int[] counts=[]) -> Tensor");
  library.def("look(Tensor q, Tensor k, Tensor v, Tensor last, float scale) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(blocks, CPU, library) {
  library.impl("products", TORCH_BOX(&products));
  library.impl("products8", TORCH_BOX(&products8));
  library.impl("products4", TORCH_BOX(&products4));
  library.impl("look", TORCH_BOX(&look));
}
