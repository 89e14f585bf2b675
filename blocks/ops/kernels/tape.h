// A whole step of one token a row: instructions that `blocks/speed/tape.py` has written, one after
// another, on rows of floats. What lies between two large products costs next to nothing this way.
#pragma once

#include "look.h"
#include "packed.h"

namespace {

enum Instruction : int64_t { NORM, MULTIPLY, TURN, LOOK, ACT, ADD };
enum Activation : int64_t { IDENTITY, SILU, GELU, GELU_TANH, QUICK_GELU, RELU, RELU2, SIGMOID, TANH };

inline Floats activated(int64_t kind, Floats x) {
  switch (kind) {
    case SILU: return x * sigmoid(x);
    case GELU_TANH: return x * sigmoid(1.5957691216f * (x + 0.044715f * x * x * x));
    case QUICK_GELU: return x * sigmoid(1.702f * x);
    case RELU: return x > 0.0f ? x : Floats{};
    case RELU2: return x > 0.0f ? x * x : Floats{};
    case SIGMOID: return sigmoid(x);
    case TANH: return 2.0f * sigmoid(2.0f * x) - 1.0f;
    case GELU:
      for (int64_t i = 0; i < LANES; i++) x[i] *= 0.5f * (1 + std::erf(x[i] * 0.70710678f));
      return x;
    default: return x;
  }
}

// Σ (x − mean)² of n numbers.
inline float squared(const float* x, int64_t n, float mean) {
  Floats all = {};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) all += (wide(x + i) - mean) * (wide(x + i) - mean);
  float found = sum(all);
  for (; i < n; i++) found += (x[i] - mean) * (x[i] - mean);
  return found;
}

// The numbers of a tensor that was of this type when the tape was written.
template <class T>
T* typed(const Tensor& x) {
  constexpr ScalarType kind = std::is_same_v<T, bf16>       ? ScalarType::BFloat16
                              : std::is_same_v<T, fp16> ? ScalarType::Half
                                                            : ScalarType::Float;
  STD_TORCH_CHECK(x.scalar_type() == kind, "weights have changed their dtype since optimize");
  return data<T>(x);
}

// Some columns of a table of floats, one row a token.
struct Place {
  float* start;
  int64_t stride, width;
  float* row(int64_t k) const { return start + k * stride; }
};

// What stays the same from step to step.
struct Tape {
  std::vector<int64_t> code;
  std::vector<float> numbers;
  std::vector<Tensor> weights;
};

class Player {
 public:
  // first: the position that the first row of the angles belongs to; -1: they have one a token
  Player(const Tape& tape, int64_t rows, const std::vector<Tensor>& memories,
         const std::vector<Tensor>& angles, const Tensor& positions, int64_t first)
      : rows_(rows),
        code_(tape.code.data()),
        end_(code_ + tape.code.size()),
        numbers_(tape.numbers.data()),
        weights_(tape.weights),
        memories_(memories),
        angles_(angles),
        positions_(data<int64_t>(positions)),
        shared_(positions.numel() == 1),
        first_(first),
        table_(rows * next()) {}

  template <class T>
  Place play(const T* x) {
    const Place first = place();
    for (int64_t k = 0; k < rows_; k++)
      for (int64_t i = 0; i < first.width; i++) first.row(k)[i] = wide1(x + k * first.width + i);
    const Place last = place();
    while (code_ < end_) {
      switch (next()) {
        case NORM: norm<T>(); break;
        case MULTIPLY: multiply_all<T>(); break;
        case TURN: turn(); break;
        case LOOK: look<T>(); break;
        case ACT: act(); break;
        case ADD: add(); break;
      }
    }
    return last;
  }

 private:
  int64_t next() { return *code_++; }
  float number() { return *numbers_++; }
  int64_t position(int64_t row) const { return positions_[shared_ ? 0 : row]; }

  Place place() {
    const int64_t base = next(), stride = next(), from = next(), width = next();
    return {table_.data() + base * rows_ + from, stride, width};
  }

  // The next tensor; -1 is none.
  const Tensor* tensor() {
    const int64_t which = next();
    return which < 0 ? nullptr : &weights_[which];
  }

  // run(row) for all rows, by all threads where there is enough to do; `width` numbers each.
  template <class F>
  void each_row(int64_t width, const F& run) const {
    parallel_for(0, rows_, std::max<int64_t>(1, 8192 / width), [&](int64_t from, int64_t until) {
      for (int64_t k = from; k < until; k++) run(k);
    });
  }

  // Vectors side by side, each normed by itself, with the same weight.
  template <class T>
  void norm() {
    const Place from = place(), to = place();
    const int64_t width = next(), centred = next();
    const Tensor *weight = tensor(), *bias = tensor();
    const float eps = number(), offset = number();
    const T* w = weight ? typed<T>(*weight) : nullptr;
    const T* b = bias ? typed<T>(*bias) : nullptr;
    each_row(from.width, [&](int64_t k) {
      for (int64_t start = 0; start < from.width; start += width) {
        const float* x = from.row(k) + start;
        float* y = to.row(k) + start;
        float mean = 0;
        for (int64_t i = 0; centred && i < width; i++) mean += x[i] / width;
        const float scale = 1 / std::sqrt(squared(x, width, mean) / width + eps);
        int64_t i = 0;
        for (; i + LANES <= width; i += LANES) {
          Floats value = (wide(x + i) - mean) * scale;
          if (w) value *= offset + wide(w + i);
          if (b) value += wide(b + i);
          std::memcpy(y + i, &value, sizeof value);
        }
        for (; i < width; i++) {
          const float value = (x[i] - mean) * scale * (w ? offset + wide1(w + i) : 1.0f);
          y[i] = b ? value + wide1(b + i) : value;
        }
      }
    });
  }

  template <class T>
  void multiply_all() {
    const Place from = place(), to = place();
    const int64_t bits = next(), count = next();
    std::vector<Tensor> parts, scales;
    std::vector<const Tensor*> biases;
    std::vector<int64_t> outs, sizes;
    for (int64_t i = 0; i < count; i++) {
      outs.push_back(next());
      parts.push_back(*tensor());
      if (bits < 16)
        scales.push_back(*tensor());
      else
        typed<T>(parts.back());
      biases.push_back(tensor());
    }
    if (bits == 16) {
      multiply<T>(from.start, rows_, from.width, parts, {}, to.start);
    } else {
      const auto& packed = bits == 8 ? multiply_packed<8, float, float> : multiply_packed<4, float, float>;
      packed(from.start, rows_, from.width, parts, scales, outs, {}, to.start);
    }
    for (int64_t i = 0, column = 0; i < count; column += outs[i++])
      for (int64_t k = 0; biases[i] && k < rows_; k++)
        for (int64_t o = 0; o < outs[i]; o++)
          to.row(k)[column + o] += wide1(typed<T>(*biases[i]) + o);
  }

  // Heads side by side, the first channels of each turned by this step's angles.
  void turn() {
    const Place at = place();
    const int64_t e = next(), dims = next(), adjacent = next(), which = next();
    const Tensor &cosines = angles_[2 * which], &sines = angles_[2 * which + 1];
    for (int64_t k = 0; k < rows_; k++) {
      const int64_t row = first_ < 0 ? (cosines.size(0) == 1 ? 0 : k) : position(k) - first_;
      const int64_t own = row * (dims / 2);
      const float *cos = data<float>(cosines) + own, *sin = data<float>(sines) + own;
      for (int64_t start = 0; start < at.width; start += e) {
        float* x = at.row(k) + start;
        for (int64_t i = 0; i < dims / 2; i++) {
          float &a = x[adjacent ? 2 * i : i], &b = x[adjacent ? 2 * i + 1 : i + dims / 2];
          const float first = a * cos[i] - b * sin[i];
          b = b * cos[i] + a * sin[i];
          a = first;
        }
      }
    }
  }

  template <class T>
  void look() {
    const Place q = place(), k = place(), v = place(), to = place();
    const int64_t which = next();
    const float scale = number();
    const Tensor &keys = memories_[2 * which], &values = memories_[2 * which + 1];
    const int64_t heads = keys.size(1), room = keys.size(2), e = keys.size(3);
    std::vector<float> queries(rows_ * q.width);
    for (int64_t row = 0; row < rows_; row++) {
      std::copy(q.row(row), q.row(row) + q.width, &queries[row * q.width]);
      const int64_t slot = position(row) % room;  // a ring goes round
      keep(k, row, typed<T>(keys), heads, room, slot, e);
      keep(v, row, typed<T>(values), heads, room, slot, values.size(3));
    }
    const auto newest = [&](int64_t row) { return std::min(position(row), room - 1); };
    look_through<T>(queries.data(), rows_, q.width / e, keys, values, newest, scale, to.start);
  }

  template <class T>
  void keep(const Place& from, int64_t row, T* memory, int64_t heads, int64_t room, int64_t slot,
            int64_t e) {
    for (int64_t head = 0; head < heads; head++) {
      T* to = memory + ((row * heads + head) * room + slot) * e;
      for (int64_t i = 0; i < e; i++) narrow(from.row(row)[head * e + i], to + i);
    }
  }

  // act(a), or act(a) · b
  void act() {
    const Place from = place(), times = place(), to = place();
    const int64_t kind = next();
    each_row(to.width, [&](int64_t k) {
      const float *a = from.row(k), *b = times.row(k);
      float* y = to.row(k);
      int64_t i = 0;
      for (; i + LANES <= to.width; i += LANES) {
        Floats found = activated(kind, wide(a + i));
        if (times.width) found *= wide(b + i);
        std::memcpy(y + i, &found, sizeof found);
      }
      for (; i < to.width; i++)
        y[i] = activated(kind, Floats{} + a[i])[0] * (times.width ? b[i] : 1.0f);
    });
  }

  void add() {
    const Place a = place(), b = place(), to = place();
    const float first = number(), second = number();
    for (int64_t k = 0; k < rows_; k++)
      for (int64_t i = 0; i < to.width; i++)
        to.row(k)[i] = first * a.row(k)[i] + second * b.row(k)[i];
  }

  const int64_t rows_;
  const int64_t *code_, *const end_;
  const float* numbers_;
  const std::vector<Tensor>&weights_, &memories_, &angles_;
  const int64_t* positions_;
  const bool shared_;
  const int64_t first_;
  std::vector<float> table_;
};

}  // namespace
