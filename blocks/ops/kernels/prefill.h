// What a model does for many tokens at once, as operations of torch.
#pragma once

#include "attend.h"
#include "blocked.h"
#include "rows.h"
#include "tape.h"

namespace {
namespace many_rows {

// Rows from which on what follows is quicker than torch's own; 0 where it is not: the processor lacks
// what it needs, or has more (AMX), which torch uses.
#if defined(__AVX512BF16__) && !defined(__AMX_BF16__)
inline int64_t many() { return FEW + 1; }
#else
inline int64_t many() { return 0; }
#endif

#if defined(__AVX512BF16__)
// x [N D], weights [O_i D], biases [O_i] or [0] -> [N ΣO_i]
inline Tensor dense(Tensor x, std::vector<Tensor> weights, std::vector<Tensor> biases) {
  std::vector<Part> parts;
  int64_t all = 0;
  for (size_t i = 0; i < weights.size(); all += weights[i++].size(0))
    cut(weights[i], biases[i], all, parts);
  if (parts.size() % 2) parts.emplace_back();
  Tensor y = torch::stable::new_empty(x, {x.size(0), all});
  multiply_blocked(data<bf16>(x), x.size(0), x.size(1), parts,
                   [to = data<bf16>(y), all](int64_t row, const Part* both, const Floats* sums) {
                     for (int64_t i = 0; i < 2; i++)
                       narrow_some(sums[i] + both[i].bias, both[i].count, to + row * all + both[i].column);
                   });
  return y;
}

// act(gate x) · (up x), x [N D] -> [N O]
inline Tensor gated(Tensor x, std::vector<Tensor> weights, std::vector<Tensor> biases, int64_t act) {
  std::vector<Part> gates, ups, parts;
  cut(weights[0], biases[0], 0, gates);
  cut(weights[1], biases[1], 0, ups);
  for (size_t i = 0; i < gates.size(); i++) parts.insert(parts.end(), {gates[i], ups[i]});
  const int64_t out = weights[0].size(0);
  Tensor y = torch::stable::new_empty(x, {x.size(0), out});
  multiply_blocked(data<bf16>(x), x.size(0), x.size(1), parts,
                   [=, to = data<bf16>(y)](int64_t row, const Part* both, const Floats* sums) {
                     const Floats opened = activated(act, sums[0] + both[0].bias);
                     narrow_some(opened * (sums[1] + both[1].bias), both->count,
                            to + row * out + both->column);
                   });
  return y;
}

// q [B H T E], k [B K S E], v [B K S V] -> [B H T V], its heads side by side in memory
inline Tensor attend(Tensor q, Tensor k, Tensor v, bool causal, double scale) {
  Tensor y = torch::stable::new_empty(q, {q.size(0), q.size(2), q.size(1), v.size(3)});
  attend_blocked(View(q), View(k), View(v), causal, scale, data<bf16>(y));
  return torch::stable::transpose(y, 1, 2);
}
#endif

// x [N D], w [D] -> [N D]
inline Tensor norm(Tensor x, Tensor w, double eps, double offset, bool before) {
  Tensor y = torch::stable::new_empty(x, {x.size(0), x.size(1)});
  by_type(x, [&](auto kind) {
    using T = decltype(kind);
    norm_rows(data<T>(x), x.size(0), x.size(1), data<T>(w), eps, offset, before, data<T>(y));
  });
  return y;
}

// x [B H T E], whose channels lie side by side; cosines and sines [B or 1, T, R/2] -> [B H T E]
inline Tensor turn(Tensor x, Tensor cos, Tensor sin, bool adjacent) {
  const int64_t heads = x.size(1), tokens = x.size(2), e = x.size(3), half = cos.size(2);
  Tensor y = torch::stable::new_empty(x, {x.size(0), tokens, heads, e});
  by_type(x, [&](auto kind) {
    using T = decltype(kind);
    each_row(x.size(0) * tokens, heads * e, [&](int64_t row) {
      const int64_t b = row / tokens, t = row % tokens;
      const int64_t angle = (cos.size(0) == 1 ? t : row) * half;
      for (int64_t h = 0; h < heads; h++) {
        const T* from = data<T>(x) + b * x.stride(0) + h * x.stride(1) + t * x.stride(2);
        T* to = data<T>(y) + (row * heads + h) * e;
        turn_row(from, data<T>(cos) + angle, data<T>(sin) + angle, half, adjacent, to);
        std::copy(from + 2 * half, from + e, to + 2 * half);
      }
    });
  });
  return torch::stable::transpose(y, 1, 2);
}

}  // namespace many_rows
}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(blocks, prefill) {
  prefill.def("many() -> int");
  prefill.def("dense(Tensor x, Tensor[] weights, Tensor[] biases) -> Tensor");
  prefill.def("gated(Tensor x, Tensor[] weights, Tensor[] biases, int act) -> Tensor");
  prefill.def("attend(Tensor q, Tensor k, Tensor v, bool causal, float scale) -> Tensor");
  prefill.def("norm(Tensor x, Tensor w, float eps, float offset, bool before) -> Tensor");
  prefill.def("turn(Tensor x, Tensor cos, Tensor sin, bool adjacent) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(blocks, CPU, prefill) {
#if defined(__AVX512BF16__)
  prefill.impl("dense", TORCH_BOX(&many_rows::dense));
  prefill.impl("gated", TORCH_BOX(&many_rows::gated));
  prefill.impl("attend", TORCH_BOX(&many_rows::attend));
#endif
  prefill.impl("norm", TORCH_BOX(&many_rows::norm));
  prefill.impl("turn", TORCH_BOX(&many_rows::turn));
}

STABLE_TORCH_LIBRARY_IMPL(blocks, CompositeExplicitAutograd, prefill) {
  prefill.impl("many", TORCH_BOX(&many_rows::many));
}
