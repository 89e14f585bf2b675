// Gradients of what lies between the products of a training step, in one pass over memory each.
#pragma once

#include "rows.h"

namespace {
namespace training {

using many_rows::put;

// 1 / √(mean(x²) + eps)
template <class T>
float inverse_size(const T* x, int64_t d, double eps) {
  Floats all = {};
  for (int64_t i = 0; i < d; i += LANES) all += wide(x + i) * wide(x + i);
  return 1 / std::sqrt(sum(all) / d + float(eps));
}

// pull [N D] of x / √(mean(x²) + eps) · (offset + weight), D a multiple of 16 -> what pulls at x [N D]
// and at the weight [D]
template <class T>
void norm_backward(const T* pull, const T* x, const T* weight, int64_t n, int64_t d, double eps,
                   double offset, T* to_x, T* to_weight) {
  constexpr int64_t PARTS = 16;  // each has sums of its own, so that they don't depend on threads
  std::vector<float> sums(PARTS * d);
  parallel_for(0, PARTS, 1, [&](int64_t from, int64_t until) {
    for (int64_t part = from; part < until; part++) {
      float* shared = &sums[part * d];
      for (int64_t row = n * part / PARTS; row < n * (part + 1) / PARTS; row++) {
        const T *own = x + row * d, *g = pull + row * d;
        const float size = inverse_size(own, d, eps);
        Floats all = {};
        for (int64_t i = 0; i < d; i += LANES) {
          const Floats pulled = wide(g + i) * wide(own + i) * size;
          put(wide(shared + i) + pulled, shared + i);
          all += pulled * (wide(weight + i) + float(offset));
        }
        const float mean = sum(all) / d;
        for (int64_t i = 0; i < d; i += LANES) {
          const Floats pulled = wide(g + i) * (wide(weight + i) + float(offset));
          put((pulled - wide(own + i) * (size * mean)) * size, to_x + row * d + i);
        }
      }
    }
  });
  for (int64_t i = 0; i < d; i += LANES) {
    Floats all = {};
    for (int64_t part = 0; part < PARTS; part++) all += wide(&sums[part * d + i]);
    put(all, to_weight + i);
  }
}

// y = act(gate) up,   act(v) = v σ(a v + b v³), which is silu, quick_gelu or the tanh form of gelu.
template <class T>
void gated(const T* gate, const T* up, int64_t count, float a, float b, T* y) {
  parallel_for(0, count / LANES, 1024, [&](int64_t from, int64_t until) {
    for (int64_t i = from * LANES; i < until * LANES; i += LANES) {
      const Floats v = wide(gate + i);
      put(v * sigmoid(v * (a + b * v * v)) * wide(up + i), y + i);
    }
  });
}

template <class T>
void gated_backward(const T* pull, const T* gate, const T* up, int64_t count, float a, float b,
                    T* to_gate, T* to_up) {
  parallel_for(0, count / LANES, 1024, [&](int64_t from, int64_t until) {
    for (int64_t i = from * LANES; i < until * LANES; i += LANES) {
      const Floats v = wide(gate + i), g = wide(pull + i), open = sigmoid(v * (a + b * v * v));
      const Floats slope = open + v * open * (1.0f - open) * (a + 3 * b * v * v);
      put(g * wide(up + i) * slope, to_gate + i);
      put(g * v * open, to_up + i);
    }
  });
}

// The first of sixteen numbers, the others −∞.
template <class T>
Floats first(const T* from, int64_t count) {
  if (count >= LANES) return wide(from);
  Floats v = Floats{} - INFINITY;
  for (int64_t i = 0; i < count; i++) v[i] = wide1(from + i);
  return v;
}

// losses = log Σ e^s − s[target],   s = logits · scale, whose columns come in parts [N V_i]. Where
// `learn`, logits become what pulls at s: softmax(s) − [target].
template <class T>
void cross_entropy(const std::vector<Tensor>& parts, const int64_t* targets, float scale, bool learn,
                   float* losses) {
  int64_t all_columns = 0;
  for (const Tensor& part : parts) all_columns += part.size(1);
  for (int64_t row = 0; row < parts[0].size(0); row++)
    STD_TORCH_CHECK(0 <= targets[row] && targets[row] < all_columns, "a target is no column");
  parallel_for(0, parts[0].size(0), 1, [&](int64_t from, int64_t until) {
    for (int64_t row = from; row < until; row++) {
      // run(sixteen logits, where they are, how many of them are meant)
      const auto each = [&](const auto& run) {
        for (const Tensor& part : parts) {
          const int64_t v = part.size(1);
          T* own = data<T>(part) + row * v;
          for (int64_t i = 0; i < v; i += LANES) run(first(own + i, v - i), own + i, v - i);
        }
      };
      Floats top = Floats{} - INFINITY, all = {};
      each([&](Floats some, T*, int64_t) { top = some > top ? some : top; });
      const float most = highest(top) * scale;
      each([&](Floats some, T*, int64_t) { all += exponential(some * scale - most); });
      int64_t place = targets[row];
      size_t which = 0;
      while (place >= parts[which].size(1)) place -= parts[which++].size(1);
      T* aim = data<T>(parts[which]) + row * parts[which].size(1) + place;
      const float log = most + std::log(sum(all)), hit = wide1(aim) * scale;
      losses[row] = log - hit;
      if (!learn) continue;
      each([&](Floats some, T* at, int64_t count) {
        const Floats power = exponential(some * scale - log);
        if (count >= LANES) put(power, at);
        else for (int64_t j = 0; j < count; j++) narrow(power[j], at + j);
      });
      narrow(std::exp(hit - log) - 1, aim);
    }
  });
}

}  // namespace training
}  // namespace
