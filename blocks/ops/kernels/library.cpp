// What a model does for each new token, as operations of torch.
#include <map>
#include <memory>
#include <mutex>

#include "learning.h"
#include "look.h"
#include "packed.h"
#include "prefill.h"
#include "products.h"
#include "tape.h"

namespace {

// x [N D], weights [O_i D] of each group in turn -> [N ΣO_i]
Tensor products(Tensor x, std::vector<Tensor> weights, std::vector<int64_t> counts) {
  int64_t all = 0;
  for (int64_t out : rows_of(weights)) all += out;
  all /= counts.empty() ? 1 : counts.size();
  Tensor y = torch::stable::new_empty(x, {x.size(0), all});
  by_type(x, [&](auto kind) {
    using T = decltype(kind);
    multiply<T>(data<T>(x), x.size(0), x.size(1), weights, counts, data<T>(y));
  });
  return y;
}

// x [N D]; weights [O/16 G ·] and scales [O/16 G 16] as packed.h reads them; outs: rows O of each
template <int BITS>
Tensor packed(Tensor x, std::vector<Tensor> weights, std::vector<Tensor> scales,
              std::vector<int64_t> outs, std::vector<int64_t> counts) {
  int64_t all = 0;
  for (int64_t out : outs) all += out;
  all /= counts.empty() ? 1 : counts.size();
  Tensor y = torch::stable::new_empty(x, {x.size(0), all});
  by_type(x, [&](auto kind) {
    using T = decltype(kind);
    multiply_packed<BITS>(data<T>(x), x.size(0), x.size(1), weights, scales, outs, counts, data<T>(y));
  });
  return y;
}

// act(gate x) · (up x) of each group's gate and up
template <int BITS>
Tensor packed_gated(Tensor x, std::vector<Tensor> weights, std::vector<Tensor> scales,
                    std::vector<int64_t> outs, int64_t kind_of_act, std::vector<int64_t> counts) {
  const auto act = [&](Floats sums) { return activated(kind_of_act, sums); };
  Tensor y = torch::stable::new_empty(x, {x.size(0), outs[0]});
  by_type(x, [&](auto kind) {
    using T = decltype(kind);
    multiply_gated<BITS>(data<T>(x), x.size(0), x.size(1), weights, scales, outs, counts, act,
                         data<T>(y));
  });
  return y;
}

// q [B H E], k [B K C E], v [B K C V], last [B or 1]: a row's query sees its slots up to that one
Tensor look(Tensor q, Tensor k, Tensor v, Tensor last, double scale) {
  const int64_t b = q.size(0), h = q.size(1), room = k.size(2);
  const int64_t* slots = data<int64_t>(last);
  const bool shared = last.size(0) == 1;
  const auto newest = [&](int64_t row) { return std::min(slots[shared ? 0 : row], room - 1); };
  Tensor y = torch::stable::new_empty(q, {b, h, v.size(3)});
  const std::vector<float> wide_q = widened(q);
  by_type(q, [&](auto kind) {
    using T = decltype(kind);
    look_through<T>(wide_q.data(), b, h, k, v, newest, scale, data<T>(y));
  });
  return y;
}

// Tapes are kept here: to hand over some hundred tensors for each step takes longer than to find them.
std::mutex tapes_door;
std::map<int64_t, std::shared_ptr<const Tape>> tapes;

// The number of a new tape.
int64_t record(Tensor code, Tensor numbers, std::vector<Tensor> weights) {
  const int64_t *from = data<int64_t>(code), *until = from + code.numel();
  const float *first = data<float>(numbers), *last = first + numbers.numel();
  const std::lock_guard lock(tapes_door);
  static int64_t number = 0;
  tapes[++number] = std::make_shared<Tape>(Tape{{from, until}, {first, last}, std::move(weights)});
  return number;
}

// Rows up to which `products` of bfloat16 is quicker than torch's own, and those of packed weights.
int64_t few() { return FEW; }
int64_t few_packed() { return FEW_PACKED; }

void discard(int64_t number) {
  const std::lock_guard lock(tapes_door);
  tapes.erase(number);
}

// x [B D]; what memories and angles are, the tape says -> [B D]
Tensor step(Tensor x, int64_t number, std::vector<Tensor> memories, std::vector<Tensor> angles,
            Tensor positions, int64_t first) {
  std::shared_ptr<const Tape> tape;
  {
    const std::lock_guard lock(tapes_door);
    tape = tapes.at(number);
  }
  Player player(*tape, x.size(0), memories, angles, positions, first);
  Tensor y = torch::stable::new_empty(x, {x.size(0), x.size(1)});
  by_type(x, [&](auto kind) {
    using T = decltype(kind);
    const Place found = player.play(data<T>(x));
    for (int64_t k = 0; k < x.size(0); k++)
      for (int64_t i = 0; i < found.width; i++) narrow(found.row(k)[i], data<T>(y) + k * found.width + i);
  });
  return y;
}

}  // namespace

STABLE_TORCH_LIBRARY(blocks, library) {
  library.def("products(Tensor x, Tensor[] weights, int[] counts=[]) -> Tensor");
  library.def("products8(Tensor x, Tensor[] weights, Tensor[] scales, int[] outs, int[] counts=[]) -> Tensor");
  library.def("products4(Tensor x, Tensor[] weights, Tensor[] scales, int[] outs, int[] counts=[]) -> Tensor");
  library.def("look(Tensor q, Tensor k, Tensor v, Tensor last, float scale) -> Tensor");
  library.def("record(Tensor code, Tensor numbers, Tensor[] weights) -> int");
  library.def("discard(int number) -> ()");
  library.def("gated8(Tensor x, Tensor[] weights, Tensor[] scales, int[] outs, int act, int[] counts=[]) -> Tensor");
  library.def("gated4(Tensor x, Tensor[] weights, Tensor[] scales, int[] outs, int act, int[] counts=[]) -> Tensor");
  library.def("few() -> int");
  library.def("few_packed() -> int");
  library.def(
      "step(Tensor x, int number, Tensor(a!)[] memories, Tensor[] angles, Tensor positions, "
      "int first) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(blocks, CPU, library) {
  library.impl("products", TORCH_BOX(&products));
  library.impl("products8", TORCH_BOX(&packed<8>));
  library.impl("products4", TORCH_BOX(&packed<4>));
  library.impl("gated8", TORCH_BOX(&packed_gated<8>));
  library.impl("gated4", TORCH_BOX(&packed_gated<4>));
  library.impl("look", TORCH_BOX(&look));
  library.impl("record", TORCH_BOX(&record));
  library.impl("step", TORCH_BOX(&step));
}

STABLE_TORCH_LIBRARY_IMPL(blocks, CompositeExplicitAutograd, library) {
  library.impl("discard", TORCH_BOX(&discard));
  library.impl("few", TORCH_BOX(&few));
  library.impl("few_packed", TORCH_BOX(&few_packed));
}
