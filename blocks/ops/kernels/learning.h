// What lies between the products of a training step, as operations of torch.
#pragma once

#include "flash.h"
#include "prefill.h"

namespace {
namespace learning {

std::tuple<Tensor, Tensor> norm_backward(Tensor pull, Tensor x, Tensor weight, double eps,
                                         double offset) {
  const int64_t d = weight.numel(), n = x.numel() / d;
  Tensor to_x = torch::stable::empty_like(x), to_weight = torch::stable::empty_like(weight);
  by_type(x, [&](auto kind) {
    using T = decltype(kind);
    training::norm_backward(data<T>(pull), data<T>(x), data<T>(weight), n, d, eps, offset, data<T>(to_x),
                  data<T>(to_weight));
  });
  return {to_x, to_weight};
}

Tensor gated(Tensor gate, Tensor up, double a, double b) {
  Tensor y = torch::stable::empty_like(gate);
  by_type(gate, [&](auto kind) {
    using T = decltype(kind);
    training::gated(data<T>(gate), data<T>(up), gate.numel(), a, b, data<T>(y));
  });
  return y;
}

std::tuple<Tensor, Tensor> gated_backward(Tensor pull, Tensor gate, Tensor up, double a, double b) {
  Tensor to_gate = torch::stable::empty_like(gate), to_up = torch::stable::empty_like(up);
  by_type(gate, [&](auto kind) {
    using T = decltype(kind);
    training::gated_backward(data<T>(pull), data<T>(gate), data<T>(up), gate.numel(), a, b, data<T>(to_gate),
                   data<T>(to_up));
  });
  return {to_gate, to_up};
}

Tensor cross_entropy(std::vector<Tensor> logits, Tensor targets, double scale, bool learn) {
  const Tensor& first = logits[0];
  Tensor losses = torch::stable::new_empty(first, {first.size(0)}, ScalarType::Float);
  by_type(first, [&](auto kind) {
    training::cross_entropy<decltype(kind)>(logits, data<int64_t>(targets), scale, learn,
                                            data<float>(losses));
  });
  return losses;
}

#if defined(__AVX512BF16__)
using flash::Heads;

std::tuple<Tensor, Tensor> attention(Tensor q, Tensor k, Tensor v, double scale) {
  const int64_t b = q.size(0), h = q.size(1), t = q.size(2);
  Tensor y = torch::stable::new_empty(q, {b, t, h, v.size(3)});
  Tensor logs = torch::stable::new_empty(q, {b, h, t}, ScalarType::Float);
  using many_rows::View;
  many_rows::attend_blocked(View(q), View(k), View(v), true, scale, data<bf16>(y), data<float>(logs));
  return {torch::stable::transpose(y, 1, 2), logs};
}

std::tuple<Tensor, Tensor, Tensor> attention_backward(Tensor pull, Tensor q, Tensor k, Tensor v,
                                                      Tensor y, Tensor logs, double scale) {
  Tensor to_q = torch::stable::empty_like(q), to_k = torch::stable::empty_like(k),
         to_v = torch::stable::empty_like(v);
  flash::backward(Heads(pull), Heads(q), Heads(k), Heads(v), Heads(y), data<float>(logs),
                  q.size(0), scale, Heads(to_q), Heads(to_k), Heads(to_v));
  return {to_q, to_k, to_v};
}
#endif

// Whether there is an `attention` that is quicker than torch's own.
bool attends() { return many_rows::many() > 0; }

}  // namespace learning
}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(blocks, library) {
  library.def(
      "learn_norm_backward(Tensor pull, Tensor x, Tensor weight, float eps, "
      "float offset) -> (Tensor, Tensor)");
  library.def("learn_gated(Tensor gate, Tensor up, float a, float b) -> Tensor");
  library.def(
      "learn_gated_backward(Tensor pull, Tensor gate, Tensor up, float a, float b) -> (Tensor, "
      "Tensor)");
  library.def(
      "cross_entropy(Tensor(a!)[] logits, Tensor targets, float scale, "
      "bool learn) -> Tensor");
  library.def("attends() -> bool");
#if defined(__AVX512BF16__)
  library.def("learn_attention(Tensor q, Tensor k, Tensor v, float scale) -> (Tensor, Tensor)");
  library.def(
      "learn_attention_backward(Tensor pull, Tensor q, Tensor k, Tensor v, Tensor y, Tensor logs, "
      "float scale) -> (Tensor, Tensor, Tensor)");
#endif
}

STABLE_TORCH_LIBRARY_IMPL(blocks, CPU, library) {
  library.impl("learn_norm_backward", TORCH_BOX(&learning::norm_backward));
  library.impl("learn_gated", TORCH_BOX(&learning::gated));
  library.impl("learn_gated_backward", TORCH_BOX(&learning::gated_backward));
  library.impl("cross_entropy", TORCH_BOX(&learning::cross_entropy));
#if defined(__AVX512BF16__)
  library.impl("learn_attention", TORCH_BOX(&learning::attention));
  library.impl("learn_attention_backward", TORCH_BOX(&learning::attention_backward));
#endif
}

STABLE_TORCH_LIBRARY_IMPL(blocks, CompositeExplicitAutograd, library) {
  library.impl("attends", TORCH_BOX(&learning::attends));
}
